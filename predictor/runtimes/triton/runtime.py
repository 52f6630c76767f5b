"""A model of a Triton repository as a runtime: by its configuration, with the runtime of its framework inside."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from predictor.model import Model
from predictor.others import here
from predictor.runtimes.onnx import Onnx
from predictor.runtimes.pytorch import PyTorch
from predictor.runtimes.runtime import Files, Runtime
from predictor.runtimes.triton.layout import lay_out, root, served
from torpor.errors import InvalidInputError, NotFoundError, UnsupportedError

if TYPE_CHECKING:  # protobuf, 40 ms
    from predictor.runtimes.triton.config import Config

FILE = "config.pbtxt"
_INSIDE: Mapping[str, type[Onnx | PyTorch]] = {"onnxruntime": Onnx, "pytorch": PyTorch}


@dataclass(frozen=True, slots=True)
class Triton:
    """Fits `Runtime`. `keeps_files`: code of a model may read beside it as late as it likes."""

    requires: tuple[str, ...] = ("google.protobuf",)
    extra: str = "grpc"
    keeps_files: bool = True

    def choose(self, names: Sequence[str], *, allow_pickle: bool) -> tuple[str, ...]:  # noqa: ARG002  # names tell not
        prefix = root(names)
        inside = [each.removeprefix(prefix) for each in names if each.startswith(prefix)]
        return tuple(prefix + each for each in lay_out(inside).chosen)

    def prepare(self) -> None:
        """Nothing: which framework it is the configuration says."""

    def verify(self, files: Files) -> None:
        files = _rooted(files)
        config = self._config(files)
        if config is not None and config.backend == "ensemble":
            return
        if config is None or config.backend != "python":
            inner = _inside(config)
            inner.verify(_version(files, config))
            return
        script = _version(files, config).path(config.filename)
        if not script.is_file():
            raise NotFoundError(f"there is no {script.parent.name}/{config.filename}")
        try:
            compile(script.read_bytes(), str(script), "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            raise InvalidInputError(config.filename, str(error), "Python that can be compiled is needed") from error

    def open(self, files: Files) -> Model:
        from predictor.runtimes.triton.model import TritonModel

        files = _rooted(files)
        config = self._config(files)
        if config is not None and config.backend == "ensemble":
            from predictor.runtimes.triton.ensemble import Ensemble

            return Ensemble(config, files.folder, here.require())
        version = _version(files, config)
        if config is None:
            return _inside(None).open(version)
        if config.backend == "python":
            from predictor.runtimes.triton.python.backend import PythonBackend

            return PythonBackend(config, files.folder, version.path(config.filename))
        from predictor.runtimes.triton.complete import by_signature

        inner = _inside(config).open(version)
        config = by_signature(config, inner.signature)
        return TritonModel(config, files.folder, inner)

    def _config(self, files: Files) -> Config | None:
        """Return the configuration, if there is one, having seen that it means the version which is here."""
        from predictor.runtimes.triton.config import read

        if FILE not in files.names:
            return None
        try:
            text = files.path(FILE).read_text("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInputError(FILE, str(error), "write it in UTF-8") from error
        config = read(text)
        served(lay_out(files.names), config)
        return config


def _rooted(files: Files) -> Files:
    """Return the files as seen from the model's own folder."""
    prefix = root(files.names)
    names = tuple(each.removeprefix(prefix) for each in files.names if each.startswith(prefix))
    return Files(files.folder / prefix, names, files.allow_pickle, files.scratch)


def _inside(config: Config | None) -> Runtime:
    """Return the runtime of the framework; without a configuration that can only be ONNX, whose files say enough."""
    backend = "onnxruntime" if config is None else config.backend
    inner = _INSIDE[backend]()
    missing = [each for each in inner.requires if not _is_here(each)]
    if missing:
        raise UnsupportedError(
            f"backend {backend!r} needs {', '.join(missing)}, not installed here; pip install 'torpor[{inner.extra}]'"
        )
    return inner


@cache
def _is_here(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _version(files: Files, config: Config | None) -> Files:
    """Return the files of the version alone, as its framework's runtime chooses them."""
    layout = lay_out(files.names)
    if not layout.versions:
        raise NotFoundError("there is no folder of a version, like 1/, as a model of Triton's has")
    folder = files.folder / str(layout.newest)
    names = [str(Path(each).relative_to(str(layout.newest))) for each in layout.versions[layout.newest]]
    if config is not None and config.backend == "python":
        return Files(folder, tuple(names), files.allow_pickle, files.scratch)
    filename = "model.onnx" if config is None else config.filename
    if filename not in names:
        hint = f"; without a {FILE} only ONNX models are served" if config is None else ""
        raise NotFoundError(f"there is no {layout.newest}/{filename}{hint}")
    suffix = Path(filename).suffix
    # One framework's file, and what may be its weights: a model.pt beside a model.onnx is another backend's.
    alone = [each for each in names if each == filename or Path(each).suffix != suffix]
    chosen = _inside(config).choose(alone, allow_pickle=files.allow_pickle)
    return Files(folder, chosen, files.allow_pickle, files.scratch)

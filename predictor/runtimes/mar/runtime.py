"""TorchServe's model archives as a runtime: choose, check, unpack, and open their handlers."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torpor
from predictor.model import Model
from predictor.runtimes import cpus
from predictor.runtimes.mar import archive, entry, manifest, store
from predictor.runtimes.mar.context import Context
from predictor.runtimes.mar.manifest import MANIFEST
from predictor.runtimes.mar.metrics import MetricsCache
from predictor.runtimes.mar.model import MarModel
from predictor.runtimes.runtime import Files
from torpor.errors import InvalidInputError, LoadError

_preparing = threading.Lock()


@dataclass(frozen=True, slots=True)
class Mar:
    """Fits `Runtime`. `keeps_files`: a folder that is no archive is used where it lies."""

    requires: tuple[str, ...] = ("torch", "yaml")
    extra: str = "torch"
    keeps_files: bool = True

    def choose(self, names: Sequence[str], *, allow_pickle: bool) -> tuple[str, ...]:  # noqa: ARG002  # code it is anyway
        return store.choose(names)

    def prepare(self) -> None:
        with _preparing:
            import torch

            if "OMP_NUM_THREADS" not in os.environ:
                torch.set_num_threads(cpus.available())

    def verify(self, files: Files) -> None:
        """See what can be seen without unpacking: a zip's list of files, and its manifest."""
        path = store.archive(files.folder, files.names)
        if path.is_dir():
            manifest.read(path)
            return
        archive.check(path)
        if not path.name.endswith(archive.TARRED):
            _check_manifest(path)

    def open(self, files: Files) -> Model:
        path = store.archive(files.folder, files.names)
        if path.is_dir():
            return _opened(path, _nothing)
        folder = Path(tempfile.mkdtemp(prefix="torpor-mar-", dir=files.scratch))
        remove = partial(shutil.rmtree, folder, ignore_errors=True)
        try:
            archive.unpack(path, folder)
            return _opened(_root(path, folder), remove)
        except BaseException:
            remove()
            raise


def _opened(folder: Path, remove: Callable[[], None]) -> Model:
    said = manifest.read(folder)
    config = manifest.config(folder, said)
    gpu = 0 if Path("/dev/nvidiactl").exists() else None
    context = Context(said.name, str(folder), said.document, 1, gpu, torpor.__version__, metrics=MetricsCache())
    context.model_yaml_config = config
    found = entry.open_(folder, said, context)

    def close() -> None:
        entry.close(folder)
        remove()

    return MarModel(found, context, said.version, close)


def _root(path: Path, folder: Path) -> Path:
    """Return where the manifest is: the archiver puts what is in a .tar.gz into a folder of the model's name."""
    if (folder / MANIFEST).is_file():
        return folder
    found = [each.parents[1] for each in folder.glob(f"*/{MANIFEST}")]
    if len(found) != 1:
        raise LoadError("verify", f"{path.name} is no model archive of TorchServe's: there is no {MANIFEST} in it")
    return found[0]


def _check_manifest(path: Path) -> None:
    with zipfile.ZipFile(path) as zipped:
        try:
            name = next(each for each in zipped.namelist() if each == MANIFEST or each.endswith(f"/{MANIFEST}"))
        except StopIteration:
            why = f"there is no {MANIFEST} in it"
            raise LoadError("verify", f"{path.name} is no model archive of TorchServe's: {why}") from None
        if zipped.getinfo(name).file_size > manifest.LIMIT:
            raise InvalidInputError(
                MANIFEST, f"{zipped.getinfo(name).file_size} bytes", f"{manifest.LIMIT} are the most"
            )
        try:
            raw = zipped.read(name)
        except Exception as error:  # whatever a broken zip makes of it
            raise LoadError("verify", f"{path.name} is corrupt: {error}") from error
    manifest.parse(raw)


def _nothing() -> None:
    """Leave the folder: it is not ours."""

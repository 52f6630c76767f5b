"""A class of the user's own: `class Model` with `predict`, and perhaps `load`, in a model.py beside what it needs."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import logging
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import orjson

from predictor.model import Model, Signature
from predictor.runtimes.runtime import Files
from predictor.runtimes.userclass import SCRIPT, Method, arrays, batching, declared, labels, outputs
from torpor.errors import InvalidInputError, LoadError, ModelError, NotFoundError

if TYPE_CHECKING:
    from predictor.batching.options import Batching
    from torpor.protocol.tensors import Tensor

log = logging.getLogger(__name__)

_CACHES = ("__pycache__/", ".git/")


@dataclass(frozen=True, slots=True)
class PythonClass:
    """Fits `Runtime`."""

    requires: tuple[str, ...] = ()
    extra: str = ""
    keeps_files: bool = True

    def choose(self, names: Sequence[str], *, allow_pickle: bool) -> tuple[str, ...]:  # noqa: ARG002  # code it is anyway
        if SCRIPT not in names:
            raise NotFoundError(f"there is no {SCRIPT} with a `class Model` among {_few(names)}")
        return tuple(each for each in names if not each.startswith(_CACHES) and "/__pycache__/" not in each)

    def prepare(self) -> None:
        """Nothing: what the model imports, only the model knows."""

    def verify(self, files: Files) -> None:
        path = files.path(SCRIPT)
        try:
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            raise InvalidInputError(SCRIPT, str(error), "Python that can be compiled is needed") from error

    def open(self, files: Files) -> Model:
        folder = str(files.folder)
        sys.path.insert(0, folder)  # its own modules come before installed ones of the same name, as for any script
        try:
            return PythonModel(_make(files.path(SCRIPT)), folder)
        except BaseException:
            sys.path.remove(folder)
            raise


class PythonModel:
    """Fits `Model`, and of what models may be able to do, whatever the class has."""

    def __init__(self, instance: Any, folder: str) -> None:
        """Raises InvalidInputError where an attribute of the class that says what it is like is not as it must be."""
        self._instance = instance
        self._folder = folder
        self._methods = {name: Method(instance, name) for name in ("predict", "infer", "explain", "stream")}
        self._signature = declared(instance)
        self._labels = labels(instance, self._signature)
        self._batching = batching(instance)

    @property
    def signature(self) -> Signature:
        """What the class declares; without that one tensor of any type, its first axis the instances."""
        return self._signature

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        return self._labels

    @property
    def batching(self) -> Batching | None:
        return self._batching

    @property
    def explains(self) -> bool:
        return self._methods["explain"].is_there

    @property
    def streams(self) -> bool:
        return self._methods["stream"].is_there

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        return self.predict_with(instances, {})

    def predict_with(self, instances: Sequence[Any], parameters: Mapping[str, Any]) -> Sequence[Any]:
        return self._each("predict", instances, parameters)

    def explain(self, instances: Sequence[Any]) -> Sequence[Any]:
        return self._each("explain", instances, {})

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        return self.infer_with(inputs, {})

    def infer_with(self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]) -> Sequence[Tensor]:
        method = self._methods["infer"]
        if method.is_there:
            return outputs(method, method(arrays(inputs, self._signature), parameters, "inputs"))
        if len(inputs) != 1:
            names = ", ".join(each.name for each in inputs)
            raise InvalidInputError(
                "inputs", names, f"this model takes one input: its class has no `infer` in {SCRIPT}"
            )
        if not inputs[0].shape:
            raise InvalidInputError(f"inputs[0] ({inputs[0].name}).shape", [], "the first axis counts the instances")
        return (_tensor(self.predict_with(_texts(inputs[0].array.tolist()), parameters)),)

    def stream(
        self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]
    ) -> Generator[Sequence[Tensor], None, None]:
        method = self._methods["stream"]
        answers = method.iterate(arrays(inputs, self._signature), parameters, "inputs")
        with contextlib.closing(answers):  # so that the class's own `finally` runs when the client leaves
            for answer in answers:
                yield outputs(method, answer)

    def tokens_in_flight(self) -> float | None:
        """Return what the class says of its tokens, if it says anything."""
        say = getattr(self._instance, "tokens_in_flight", None)
        return say() if callable(say) else None

    def warm(self) -> None:
        """Nothing: no input can be made up for a model that is not known. Its `load` may call its `predict`."""

    def close(self) -> None:
        if self._folder in sys.path:
            sys.path.remove(self._folder)

    def _each(self, name: str, instances: Sequence[Any], parameters: Mapping[str, Any]) -> Sequence[Any]:
        method = self._methods[name]
        given = method(list(instances), parameters, "instances")
        answers = _plain(given)
        if not isinstance(answers, list):
            raise ModelError(
                f"{name} of {SCRIPT} returned {type(given).__name__}; a list with one {method.result} each is needed"
            )
        if len(answers) != len(instances):
            raise ModelError(
                f"{name} of {SCRIPT} returned {len(answers)} {method.result}s for {len(instances)} instances"
            )
        return answers


def _make(path: Path) -> Any:
    """Import the file, make the class, load it; what the user's code raises is told as it is."""
    kind = run_code(lambda: getattr(import_script(path), "Model", None))
    if not inspect.isclass(kind):
        raise LoadError("open", f"{SCRIPT} has no `class Model`")
    if not any(callable(getattr(kind, name, None)) for name in ("predict", "infer")):
        raise LoadError("open", f"class Model in {SCRIPT} has no method `predict`, nor `infer`")
    instance = run_code(kind)
    load = getattr(instance, "load", None)
    if callable(load):
        run_code(load)
    return instance


def run_code(code: Callable[[], Any]) -> Any:
    try:
        return code()
    except (
        Exception,
        SystemExit,
        KeyboardInterrupt,
    ) as error:  # `sys.exit()` in a model must not end the server without a word
        log.exception("%s failed", SCRIPT)
        raise LoadError("open", f"{type(error).__name__}: {error}") from error


def import_script(path: Path) -> ModuleType:
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Under its name, so that pickle, dataclasses and its other files find it.
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    return module


def _plain(value: Any) -> Any:
    """Turn numpy's arrays and numbers into lists and numbers, wherever they are."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _texts(value: Any) -> Any:
    """BYTES arrive as bytes; a class that takes texts by V1 gets texts by V2 too."""
    if isinstance(value, list):
        return [_texts(each) for each in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _tensor(predictions: Sequence[Any]) -> Tensor:
    """Numbers, truth values and texts are tensors as they are; anything else is text that holds JSON."""
    import numpy as np

    from torpor.protocol.tensors import Tensor

    try:
        array = np.array(predictions)
    except ValueError:  # ragged
        array = np.array(None)
    if not predictions or array.dtype.kind not in "biufU":
        array = np.array([orjson.dumps(each).decode() for each in predictions], dtype=object)
    return Tensor("output-0", array)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")

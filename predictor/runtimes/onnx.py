"""ONNX models, by ONNX Runtime: any inputs and outputs that are tensors, weights in the file or beside it."""

from __future__ import annotations

import ctypes
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from predictor.model import Model, Signature
from predictor.runtimes import cpus
from predictor.runtimes.onnxfile import Contents, check_external, scan
from predictor.runtimes.onnxports import Port, fitting, from_instances, ports, to_predictions
from predictor.runtimes.runtime import Files
from torpor.errors import InvalidInputError, LoadError, ModelError, NotFoundError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from torpor.protocol.tensors import Tensor

log = logging.getLogger(__name__)

MODEL = ".onnx"
_NO_WEIGHTS = frozenset(
    {".dll", ".dylib", ".so"}
    | {".h5", ".msgpack", ".ort", ".safetensors"}
    | {".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
    | {".ipynb", ".jpg", ".json", ".md", ".png", ".py", ".txt", ".yaml", ".yml"}
)
"""What lies beside a model and is no part of it; weights may have any other name."""
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_OF_NO_USE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from \S+ failed: ?|/onnxruntime_src/\S+:\d+ .*?\)\S* (?=[A-Z\[])"
)
"""Codes, our own path, and where in its own code it was."""
_BF16 = 16
"""TensorProto.BFLOAT16."""
_FATAL = 4
"""Of ONNX Runtime's levels of severity: it logs what it raises too, and a client's mistakes are none of the log's."""


@dataclass(frozen=True, slots=True)
class Onnx:
    """Fits `Runtime`."""

    requires: tuple[str, ...] = ("onnxruntime",)
    extra: str = "onnx"
    keeps_files: bool = False

    def choose(self, names: Sequence[str], *, allow_pickle: bool) -> tuple[str, ...]:  # noqa: ARG002  # there are none
        found = sorted(each for each in names if "/" not in each and each.endswith(MODEL))
        ours = [each for each in found if each == f"model{MODEL}"] or found
        if not ours:
            raise NotFoundError(f"there is no file that ends with {MODEL}")
        if len(ours) > 1:
            raise InvalidInputError("storageUri", ", ".join(ours), "one model is needed; name its file in the URI")
        others = [each for each in names if each.endswith(MODEL) and each != ours[0]]
        weights = [each for each in names if _may_be_weights(each) and not each.startswith(tuple(others))]
        return (ours[0], *weights)

    def prepare(self) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(_FATAL)

    def verify(self, files: Files) -> None:
        name, *weights = files.names
        check_external(files.folder, name, weights, scan(files.path(name)).external)

    def open(self, files: Files) -> Model:
        import onnxruntime

        self.prepare()
        name = files.names[0]
        path = files.path(name)
        contents = scan(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cpus.available()
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL
        # Its threads would wait for work with the CPUs that other requests need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            session = onnxruntime.InferenceSession(path, options, providers=_providers())
        except Exception as error:  # its errors have no class in common
            raise _explained(name, contents, error) from error
        log.info("%s runs on %s", name, ", ".join(session.get_providers()))
        return OnnxModel(session, contents)


class OnnxModel:
    """Fits `Model`. A session may be asked by several threads at once; they share the threads that it has."""

    def __init__(self, session: Any, contents: Contents) -> None:
        self._session = session
        self._inputs = ports("input", session.get_inputs(), contents.shapeless)
        self._outputs = ports("output", session.get_outputs(), contents.shapeless)
        self._names = [each.name for each in self._outputs]
        # numpy has no BF16 of its own, and ONNX Runtime takes and gives no other.
        self._is_plain = all(each.datatype != "BF16" for each in (*self._inputs, *self._outputs))
        self._signature = Signature(
            "onnxruntime_onnx",
            tuple(each.spec for each in self._inputs),
            tuple(each.spec for each in self._outputs),
        )

    @property
    def signature(self) -> Signature:
        return self._signature

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        if not instances:
            return []
        given = fitting(self._inputs, from_instances(self._inputs, instances))
        return to_predictions(dict(zip(self._names, self._run(given), strict=True)), len(instances))

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        from torpor.protocol.tensors import Tensor

        found = self._run(fitting(self._inputs, inputs))
        return [Tensor(name, array) for name, array in zip(self._names, found, strict=True)]

    def warm(self) -> None:
        from torpor.protocol.tensors import Tensor

        made = {each.name: Tensor(each.name, _made_up(each)) for each in self._inputs}
        try:
            self._run(made)
        except (
            InvalidInputError,
            ModelError,
        ) as error:  # it may know that such input is impossible: that is no failure
            log.info("the model does not take what was made up, so it is not warmed up: %s", error)

    def close(self) -> None:
        """Nothing: the memory goes with the object."""

    def _run(self, given: dict[str, Tensor]) -> Sequence[NDArray[Any]]:
        """Return the outputs in their order. Arrays go in and come out as they lie in memory, but on a GPU."""
        import numpy as np

        # Kept until the answer is there: the session reads the arrays where they are.
        arrays = {name: _texts(each) if each.datatype == "BYTES" else each.array for name, each in given.items()}
        try:
            if self._is_plain:
                found: Sequence[NDArray[Any]] = self._session.run(self._names, arrays)
                return found
            arrays = {name: np.ascontiguousarray(each) for name, each in arrays.items()}
            values = {name: _value(arrays[name], each.datatype) for name, each in given.items()}
            return [_array(each) for each in self._session.run_with_ort_values(self._names, values)]
        except Exception as error:  # its errors have no class in common
            if "allocate" in str(error):
                raise ModelError(
                    "the model did not get the memory that it needs for this; the pod's log says more"
                ) from error
            shapes = ", ".join(f"{name} {list(each.shape)}" for name, each in given.items())
            raise InvalidInputError("inputs", shapes, f"the model cannot compute it: {_brief(error)}") from error


def _may_be_weights(name: str) -> bool:
    hidden = any(part.startswith((".", "__")) for part in PurePosixPath(name).parts)
    return not hidden and not name.endswith(MODEL) and PurePosixPath(name).suffix.lower() not in _NO_WEIGHTS


def _providers() -> list[str]:
    """Return what computes: a GPU where this ONNX Runtime was built for one and finds it, and the CPUs for the rest.

    Not run anywhere yet: the machines that this was written on have no GPU.
    """
    import onnxruntime

    if _CUDA not in onnxruntime.get_available_providers():
        return [_CPU]
    if hasattr(onnxruntime, "preload_dlls"):  # since 1.21: finds CUDA's libraries among Python's packages
        onnxruntime.preload_dlls()
    return [_CUDA, _CPU]


def _explained(name: str, contents: Contents, error: Exception) -> LoadError:
    """Return why the session was not made; operators that are no standard's are the usual reason."""
    standard = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
    custom = sorted(f"{domain}::{operator}" for domain, operator in contents.operators if domain not in standard)
    if custom:
        return LoadError(
            "open",
            f"{name} needs operators that ONNX Runtime does not have, and libraries of such are not loaded: "
            f"{', '.join(custom)} ({_brief(error)})",
        )
    return LoadError("open", f"{name}: {_brief(error)}")


def _brief(error: Exception) -> str:
    """Return what it says to somebody who does not know its code, in one line."""
    return _OF_NO_USE.sub("", " ".join(str(error).split()))


def _made_up(port: Port) -> NDArray[Any]:
    """Return the smallest input of the port's shape, all zeros or empty texts."""
    import numpy as np

    from torpor.protocol.tensors import DATATYPES

    shape = [1 if length < 0 else length for length in port.spec.shape]
    return np.full(shape, "", np.object_) if port.datatype == "BYTES" else np.zeros(shape, DATATYPES[port.datatype])


def _texts(tensor: Tensor) -> NDArray[Any]:
    """Return BYTES as the texts that ONNX's strings are; V2 may give them as bytes."""
    import numpy as np

    elements = tensor.array.ravel().tolist()
    try:
        texts = [each.decode() if isinstance(each, bytes) else each for each in elements]
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{tensor.name}.data", error.object, "this model takes texts in UTF-8") from error
    array = np.empty(len(texts), np.object_)
    array[:] = texts
    return array.reshape(tensor.shape)


def _value(array: NDArray[Any], datatype: str) -> Any:
    import numpy as np
    import onnxruntime

    if datatype == "BF16":
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), _BF16)
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _array(value: Any) -> NDArray[Any]:
    import numpy as np

    from torpor.protocol.tensors import DATATYPES

    if value.element_type() != _BF16:
        array: NDArray[Any] = value.numpy()
        return array
    found = np.empty(value.shape(), DATATYPES["BF16"])
    if found.size:
        ctypes.memmove(found.ctypes.data, value.data_ptr(), found.nbytes)
    return found

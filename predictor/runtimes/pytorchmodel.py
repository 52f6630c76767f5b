"""A PyTorch module as a model: tensors are checked before it sees them, and not copied where that can be."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from predictor.model import Signature
from predictor.runtimes.onnxports import Port, fitting, from_instances, to_predictions
from predictor.runtimes.pytorchcall import Call, named
from torpor.errors import InvalidInputError, LoadError, ModelError, TorporError
from torpor.protocol.tensors import DATATYPES, Tensor

log = logging.getLogger(__name__)

TYPES: Mapping[torch.dtype, str] = {
    torch.bool: "BOOL",
    torch.uint8: "UINT8",
    torch.uint16: "UINT16",
    torch.uint32: "UINT32",
    torch.uint64: "UINT64",
    torch.int8: "INT8",
    torch.int16: "INT16",
    torch.int32: "INT32",
    torch.int64: "INT64",
    torch.float16: "FP16",
    torch.float32: "FP32",
    torch.float64: "FP64",
    torch.bfloat16: "BF16",
}
DTYPES = {name: dtype for dtype, name in TYPES.items()}
_INSTANCES = "FP32"
"""What a request by V1 is read as where nothing says it: PyTorch's own default."""
_CLIENTS = (RuntimeError, IndexError, AssertionError)
"""What PyTorch raises for shapes and numbers that it cannot compute with."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A module on its device, and all that is known of it."""

    platform: str
    call: Call
    outputs: tuple[Port, ...] = ()
    """Empty: what comes, comes."""
    labels: Mapping[str, Sequence[str]] | None = None
    device: str = "cpu"
    dtype: torch.dtype | None = None
    compiled: bool = False


class TorchModel:
    """Fits `Model` and `NamesClasses`.

    One pass at a time, on all CPUs of the pod: two at once would share them, and both be late.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._inputs = opened.call.inputs
        self._lock = threading.Lock()
        inputs = tuple(each.spec for each in _typed(self._inputs, {}))
        self._signature = Signature(opened.platform, inputs, tuple(each.spec for each in opened.outputs))

    @property
    def signature(self) -> Signature:
        return self._signature

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        return self._opened.labels or {}

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        if not instances:
            return []
        ports = _typed(self._inputs, {})
        given = fitting(ports, from_instances(ports, instances))
        return to_predictions(self._run(given), len(instances))

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        for each in inputs:
            if each.datatype == "BYTES":
                raise InvalidInputError(f"{each.name}.datatype", "BYTES", "PyTorch's tensors are numbers")
        given = fitting(_typed(self._inputs, {each.name: each.datatype for each in inputs}), inputs)
        return [Tensor(name, array) for name, array in self._run(given).items()]

    def warm(self) -> None:
        """Compiling happens here, and fails here: without a compiler the first request would find it out."""
        if any(not each.datatype for each in self._inputs):
            log.info("no input can be made up for the model: model.yaml does not say what its inputs are")
            return
        # The compiler takes a length of 1 for one that never changes.
        length = 2 if self._opened.compiled else 1
        made = {each.name: Tensor(each.name, _made_up(each, length)) for each in self._inputs}
        try:
            self._run(made)
        except TorporError as error:
            if self._opened.compiled and not isinstance(error, InvalidInputError):
                raise LoadError("warm", f"the model cannot be compiled: {error}") from error
            # It may know that such input is impossible: that is no failure.
            log.info("the model does not take what was made up, so it is not warmed up: %s", error)

    def close(self) -> None:
        """Nothing: the weights go with the object."""

    def _run(self, given: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
        tensors = {each.name: self._placed(to_torch(given[each.name].array)) for each in self._inputs}
        try:
            with self._lock, torch.inference_mode():
                found = named(self._opened.call(tensors), self._opened.outputs)
                return {name: self._array(name, each) for name, each in found.items()}
        except TorporError:
            raise
        except _CLIENTS as error:
            if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
                raise ModelError("the model did not get the memory that it needs for this") from error
            if self._opened.compiled and type(error).__module__.startswith(
                "torch._"
            ):  # of the compiler, and no client's
                raise ModelError(_brief(error)) from error
            shapes = ", ".join(f"{name} {list(each.shape)}" for name, each in given.items())
            raise InvalidInputError("inputs", shapes, f"the model cannot compute it: {_brief(error)}") from error
        except Exception as error:  # of the user's own code, whose words may not be for clients
            log.exception("forward failed")
            raise ModelError(f"forward raised {type(error).__name__}; the pod's log says more") from error

    def _placed(self, tensor: torch.Tensor) -> torch.Tensor:
        dtype = self._opened.dtype if tensor.is_floating_point() else None
        return tensor.to(device=self._opened.device, dtype=dtype)

    def _array(self, name: str, tensor: torch.Tensor) -> NDArray[Any]:
        """Return an output as it lies in memory; raises ModelError where it is not what is declared."""
        declared = next((each for each in self._opened.outputs if each.name == name), None)
        if declared is not None:
            wanted = DTYPES[declared.datatype]
            if tensor.dtype != wanted and wanted.is_floating_point and tensor.is_floating_point():
                tensor = tensor.to(wanted)
            fits = declared.shape is None or _fits(tuple(tensor.shape), declared.shape)
            if tensor.dtype != wanted or not fits:
                said = f"{declared.datatype} {list(declared.shape or ())}"
                is_ = f"{TYPES.get(tensor.dtype, tensor.dtype)} {list(tensor.shape)}"
                raise ModelError(f"output {name!r} is {is_}, and declared as {said}")
        if tensor.dtype not in TYPES or tensor.layout != torch.strided:
            raise ModelError(f"output {name!r} is {tensor.dtype} {tensor.layout}; V2 has no such tensors")
        return to_numpy(tensor)


def to_torch(array: NDArray[Any]) -> torch.Tensor:
    """Return a tensor on the array's own memory; a copy of what may not be written to, or lies backwards."""
    if not array.flags.writeable or any(each < 0 for each in array.strides):
        array = array.copy()
    if array.dtype == DATATYPES["BF16"]:  # numpy has no such type, so PyTorch takes its bits
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    """Return an array on the tensor's own memory, where that is the CPU's."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        bits: NDArray[Any] = tensor.contiguous().view(torch.int16).numpy()
        return bits.view(DATATYPES["BF16"])
    array: NDArray[Any] = tensor.numpy()
    return array


def device(name: str) -> str:
    """Return where to compute. A GPU has not been tried: the machines that this was written on have none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise LoadError("open", "model.yaml: device: 'cuda' is asked for and this pod sees no GPU; use auto or cpu")
    return name


def quietly(load: Any, *arguments: Any) -> Any:
    """Call what warns of what its user, and not we, could change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load(*arguments)


def _typed(ports: Sequence[Port], given: Mapping[str, str]) -> list[Port]:
    return [each if each.datatype else replace(each, datatype=given.get(each.name, _INSTANCES)) for each in ports]


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(each in {-1, is_} for each, is_ in zip(wanted, shape, strict=True))


def _made_up(port: Port, length: int) -> NDArray[Any]:
    return np.zeros([length if each < 0 else each for each in port.shape or ()], DATATYPES[port.datatype])


def _brief(error: Exception) -> str:
    """Return the line that says what is wrong: TorchScript puts a listing of its code before it."""
    lines = [each.strip() for each in str(error).splitlines() if each.strip()]
    if not lines:
        return type(error).__name__
    script = lines[0].startswith("The following operation failed in the TorchScript")
    return (lines[-1] if script else lines[0]).removeprefix("RuntimeError: ")

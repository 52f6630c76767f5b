"""Inputs and outputs of an ONNX graph, and what a request must hold to fit them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from predictor.model import TensorSpec
from torpor.errors import InvalidInputError, LoadError, ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from torpor.protocol.tensors import Tensor

DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(bfloat16)": "BF16",
    "tensor(string)": "BYTES",
}


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output."""

    name: str
    datatype: str
    shape: tuple[int, ...] | None
    """-1: any length. None: any number of dimensions too."""

    @property
    def spec(self) -> TensorSpec:
        """What the metadata endpoint says, where a shape has no word for `any number of dimensions`."""
        return TensorSpec(self.name, self.datatype, (-1,) if self.shape is None else self.shape)

    def check(self, tensor: Tensor) -> None:
        """Raise InvalidInputError, naming field and value and what is allowed, unless the tensor fits."""
        if tensor.datatype != self.datatype:
            raise InvalidInputError(f"{self.name}.datatype", tensor.datatype, f"this input is {self.datatype}")
        if self.shape is None:
            return
        fits = len(tensor.shape) == len(self.shape) and all(
            wanted in {-1, given} for wanted, given in zip(self.shape, tensor.shape, strict=True)
        )
        if not fits:
            allowed = f"this input has shape {list(self.shape)}; -1 is any length"
            raise InvalidInputError(f"{self.name}.shape", list(tensor.shape), allowed)


def ports(what: str, arguments: Sequence[Any], shapeless: Collection[str]) -> tuple[Port, ...]:
    """Return what ONNX Runtime says of its session's inputs or outputs; raises LoadError for what V2 cannot carry."""
    found = []
    for each in arguments:
        if each.type not in DATATYPES:
            advice = "; scikit-learn's models need the option zipmap=False" if each.type.startswith("seq(map") else ""
            raise LoadError(
                "open", f"{what} {each.name!r} is {each.type}; tensors of numbers or texts are served{advice}"
            )
        shape = None
        if each.name not in shapeless:
            shape = tuple(length if isinstance(length, int) and length >= 0 else -1 for length in each.shape)
        found.append(Port(each.name, DATATYPES[each.type], shape))
    return tuple(found)


def fitting(inputs: Sequence[Port], given: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the tensors by name; raises InvalidInputError unless each input, and nothing else, has one that fits."""
    tensors = {each.name: each for each in given}
    names = ", ".join(each.name for each in inputs)
    for each in tensors:
        if each not in {port.name for port in inputs}:
            raise InvalidInputError("inputs", each, f"this model takes {names}")
    for port in inputs:
        if port.name not in tensors:
            raise InvalidInputError("inputs", ", ".join(tensors), f"{port.name} is missing; this model takes {names}")
        port.check(tensors[port.name])
    return tensors


def from_instances(inputs: Sequence[Port], instances: Sequence[Any]) -> list[Tensor]:
    """Return the tensors of a V1 request, whose first axis counts the instances.

    An instance is an object with a value for each input, or, of a model with one input, that value. An input without
    axes cannot have a value for each instance: all of them must have the same.
    """
    from torpor.protocol.tensors import Tensor

    found = []
    for port in inputs:
        values = [_value(index, each, inputs, port.name) for index, each in enumerate(instances)]
        field = "instances" if len(inputs) == 1 and not isinstance(instances[0], dict) else f"instances[*].{port.name}"
        if port.shape == ():
            if any(each != values[0] for each in values):
                raise InvalidInputError(field, values, "this input is one value for all instances of a request")
            found.append(Tensor(port.name, _array(field, port.datatype, values[:1]).reshape(())))
            continue
        if port.shape and port.shape[0] not in {-1, len(values)}:
            allowed = (
                f"the first axis of {port.name} has length {port.shape[0]}, and each instance is one of it; or use V2"
            )
            raise InvalidInputError("instances", f"{len(values)} instances", allowed)
        found.append(Tensor(port.name, _array(field, port.datatype, values)))
    return found


def to_predictions(outputs: Mapping[str, NDArray[Any]], count: int) -> list[Any]:
    """Return one prediction for each instance: an object with a value for each output, or that of the only one."""
    lists: dict[str, list[Any]] = {}
    for name, array in outputs.items():
        if not array.ndim or len(array) != count:
            raise ModelError(f"output {name!r} has shape {list(array.shape)} for {count} instances; use V2")
        lists[name] = _plain(array)
    if len(lists) == 1:
        (only,) = lists.values()
        return only
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def _value(index: int, instance: Any, inputs: Sequence[Port], name: str) -> Any:
    if not isinstance(instance, dict):
        if len(inputs) == 1:
            return instance
        names = ", ".join(each.name for each in inputs)
        raise InvalidInputError(f"instances[{index}]", instance, f"this model takes an object with {names}")
    known = [each.name for each in inputs]
    if set(instance) != set(known):
        raise InvalidInputError(f"instances[{index}]", list(instance), f"this model takes {', '.join(known)}")
    return instance[name]


def _array(field: str, datatype: str, values: list[Any]) -> NDArray[Any]:
    """Return the values, nested as they are."""
    from torpor.protocol.elements import read_elements

    shape, inner = [len(values)], values
    while isinstance(inner[0] if inner else None, list):
        inner = inner[0]
        shape.append(len(inner))
    try:
        return read_elements(field, datatype, tuple(shape), values)
    except InvalidInputError as error:  # to V2, which it reads, the list is the data of something
        raise InvalidInputError(error.field.replace(".data", "", 1), error.value, error.allowed) from error


def _plain(array: NDArray[Any]) -> list[Any]:
    import numpy as np

    if array.dtype.kind not in "biufOUS":
        array = array.astype(np.float32)  # BF16, which is no type of Python's
    values: list[Any] = array.tolist()
    return values

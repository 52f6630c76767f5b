"""The Open Inference Protocol (V2) in JSON: requests into tensors, tensors into answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from torpor.errors import InvalidInputError, UnsupportedError
from torpor.protocol.document import brief, parameters, read_object
from torpor.protocol.elements import read_elements, read_shape, write_elements
from torpor.protocol.tensors import DATATYPES, Tensor

_EXTENSIONS: Mapping[str, str] = {
    "binary_data": "binary tensors",
    "binary_data_size": "binary tensors",
    "binary_data_output": "binary tensors",
    "shared_memory_region": "shared memory",
    "classification": "classification",
}
"""Parameters that would change what the answer is. Of others, a server may know none."""


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What is asked of a model."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...] | None = None
    """The outputs that are wanted, in this order; None is all of them."""
    id: str | None = None
    """Comes back with the answer."""


def decode(body: bytes | bytearray) -> InferRequest:
    """Read a request; raises InvalidInputError, and UnsupportedError for extensions that are not offered."""
    document = read_object(body)
    _refuse_extensions("", document)
    id_ = document.get("id")
    if id_ is not None and not isinstance(id_, str):
        raise InvalidInputError("id", brief(id_), "use a text")
    entries = _entries("inputs", document.get("inputs"))
    inputs = tuple(_input(f"inputs[{index}]", entry) for index, entry in enumerate(entries))
    outputs = document.get("outputs")
    # An empty list is what some clients write for "all".
    return InferRequest(
        inputs, tuple(_name_of(each) for each in _entries("outputs", outputs)) if outputs else None, id_
    )


def check_outputs(wanted: Sequence[str] | None, known: Sequence[str]) -> None:
    """Raise InvalidInputError naming the first wanted output that the model does not have."""
    for index, name in enumerate(wanted or ()):
        if name not in known:
            raise InvalidInputError(f"outputs[{index}].name", name, f"use one of {', '.join(known)}")


def select(wanted: Sequence[str] | None, outputs: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the outputs that are wanted, in that order; raises InvalidInputError for one that is not there."""
    if wanted is None:
        return outputs
    by_name = {output.name: output for output in outputs}
    check_outputs(wanted, list(by_name))
    return [by_name[name] for name in wanted]


def encode(model: str, version: str, id_: str | None, outputs: Sequence[Tensor]) -> bytes:
    """Write an answer."""
    answer: dict[str, Any] = {"model_name": model, "model_version": version}
    if id_ is not None:
        answer["id"] = id_
    answer["outputs"] = [_output(output) for output in outputs]
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _entries(field: str, raw: Any) -> list[Mapping[str, Any]]:
    """Return a list of at least one object, each with a name of its own."""
    if not isinstance(raw, list) or not raw:
        raise InvalidInputError(field, brief(raw), "use a list of at least one object")
    seen: set[str] = set()
    for index, entry in enumerate(raw):
        path = f"{field}[{index}]"
        if not isinstance(entry, dict):
            raise InvalidInputError(path, brief(entry), "use an object")
        name = entry.get("name")
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"{path}.name", brief(name), "use a text of at least one character")
        if name in seen:
            raise InvalidInputError(f"{path}.name", name, "use each name once")
        seen.add(name)
        _refuse_extensions(f"{path}.", entry)
    return raw


def _name_of(entry: Mapping[str, Any]) -> str:
    name: str = entry["name"]
    return name


def _input(path: str, entry: Mapping[str, Any]) -> Tensor:
    datatype = entry.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise InvalidInputError(f"{path}.datatype", brief(datatype), f"use one of {', '.join(DATATYPES)}")
    shape = read_shape(f"{path}.shape", entry.get("shape"))
    return Tensor(entry["name"], read_elements(path, datatype, shape, entry.get("data")))


def _output(tensor: Tensor) -> dict[str, Any]:
    native = tensor.array.dtype.newbyteorder("=")
    tensor = Tensor(tensor.name, tensor.array.astype(native, copy=False))
    try:
        datatype = tensor.datatype
    except KeyError as error:
        raise TypeError(f"output {tensor.name!r} is {tensor.array.dtype}, for which V2 has no datatype") from error
    return {"name": tensor.name, "shape": tensor.shape, "datatype": datatype, "data": write_elements(tensor)}


def _refuse_extensions(path: str, holder: Mapping[str, Any]) -> None:
    for key, value in parameters(path, holder).items():
        # `binary_data: false` asks for what there is.
        if value and key in _EXTENSIONS:
            raise UnsupportedError(
                f"{path}parameters.{key}: {_EXTENSIONS[key]} are not offered; send and take JSON data"
            )

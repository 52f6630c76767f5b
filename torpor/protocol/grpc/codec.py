"""ModelInferRequest to what every form of V2 means, and answers to ModelInferResponse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from torpor.errors import InvalidInputError, UnsupportedError
from torpor.protocol.binary import Buffer, read_raw, write_raw
from torpor.protocol.document import brief
from torpor.protocol.elements import MAX_DIMENSIONS, MAX_LENGTH, read_elements
from torpor.protocol.grpc.messages import METHODS, SERVICE, Message, ModelInferResponse
from torpor.protocol.grpc.raw import joined, split
from torpor.protocol.inference import InferRequest, Wanted
from torpor.protocol.tensors import DATATYPES, Tensor

CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""In which field of InferTensorContents a datatype's elements are; the others are sent raw."""

_REQUEST = METHODS["ModelInfer"].request


@dataclass(frozen=True, slots=True)
class Request:
    """A ModelInferRequest as it came."""

    message: Message
    """All but the raw tensors."""
    raw: Sequence[Buffer]
    length: int = 0
    """Of all of it, in bytes."""

    @classmethod
    def read(cls, data: bytes) -> Request:
        """Read it from the wire; raises InvalidInputError for what is no message."""
        try:
            return cls(*split(_REQUEST, data), len(data))
        except DecodeError as error:
            raise no_message(data, "ModelInferRequest") from error


@dataclass(frozen=True, slots=True)
class Response:
    """A ModelInferResponse before it goes."""

    message: Message
    raw: Sequence[Buffer] = ()

    def written(self) -> bytes:
        """Return it as it goes over the wire."""
        return joined(self.message, self.raw) if self.raw else self.message.SerializeToString()

    def whole(self) -> Message:
        """Return it as one message, for what is inside another."""
        self.message.raw_output_contents.extend(bytes(each) for each in self.raw)
        return self.message


def no_message(data: bytes, kind: str) -> InvalidInputError:
    """Return what is said of bytes that protobuf cannot read."""
    return InvalidInputError(
        "message", f"{len(data)} bytes", f"send {SERVICE.partition('.')[0]}.{kind} as protobuf has it"
    )


def decode(asked: Request) -> InferRequest:
    """Return what is asked; raises InvalidInputError, and UnsupportedError for extensions that are not offered.

    `binary` says whether the tensors came raw. Raw ones are views of the request's bytes, which may not be written to.
    """
    request, raw = asked.message, asked.raw
    if not request.inputs:
        raise InvalidInputError("inputs", brief([]), "at least one is needed")
    if raw and len(raw) != len(request.inputs):
        allowed = f"give one for each of the {len(request.inputs)} inputs, or none"
        raise InvalidInputError("raw_input_contents", f"{len(raw)} entries", allowed)
    names: set[str] = set()
    inputs: list[Tensor] = []
    for index, entry in enumerate(request.inputs):
        path = f"inputs[{index}]"
        _check_name(f"{path}.name", entry.name, names)
        _refuse_memory(path, parameters(entry.parameters))
        inputs.append(Tensor(entry.name, _elements(path, entry, raw[index] if raw else None)))
    names.clear()
    wanted: list[Wanted] = []
    for index, entry in enumerate(request.outputs):
        path = f"outputs[{index}]"
        _check_name(f"{path}.name", entry.name, names)
        given = parameters(entry.parameters)
        _refuse_memory(path, given)
        wanted.append(Wanted(entry.name, bool(raw), _classes(path, given)))
    is_raw = bool(raw)
    return InferRequest(
        tuple(inputs), tuple(wanted) or None, request.id or None, parameters(request.parameters), is_raw
    )


def encode(model: str, version: str, id_: str | None, outputs: Sequence[tuple[Tensor, bool]]) -> Response:
    """Return an answer: raw, unless the request was not and each output has contents.

    A message has the one or the other for all of its tensors. Raises TypeError for what V2 cannot say.
    """
    answer = ModelInferResponse(model_name=model, model_version=version, id=id_ or "")
    is_raw = any(binary for _, binary in outputs) or any(_datatype(each) not in CONTENTS for each, _ in outputs)
    tensors: list[Buffer] = []
    for output, _ in outputs:
        datatype = _datatype(output)
        entry = answer.outputs.add(name=output.name, datatype=datatype, shape=output.shape)
        if is_raw:
            tensors.append(write_raw(output))
        else:
            getattr(entry.contents, CONTENTS[datatype]).extend(_plain(output))
    return Response(answer, tensors)


def parameters(given: Mapping[str, Message]) -> dict[str, Any]:
    """Return parameters as Python's values; one that says nothing is None."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        kind = value.WhichOneof("parameter_choice")
        found[name] = None if kind is None else getattr(value, kind)
    return found


def _check_name(path: str, name: str, seen: set[str]) -> None:
    if not name:
        raise InvalidInputError(path, "", "use a text of at least one character")
    if name in seen:
        raise InvalidInputError(path, name, "use each name once")
    seen.add(name)


def _elements(path: str, entry: Message, raw: Buffer | None) -> NDArray[Any]:
    datatype = entry.datatype
    if datatype not in DATATYPES:
        raise InvalidInputError(f"{path}.datatype", brief(datatype), f"use one of {', '.join(DATATYPES)}")
    shape = tuple(entry.shape)
    if len(shape) > MAX_DIMENSIONS or not all(0 <= length <= MAX_LENGTH for length in shape):
        allowed = f"use at most {MAX_DIMENSIONS} lengths from 0 to {MAX_LENGTH}"
        raise InvalidInputError(f"{path}.shape", brief(list(shape)), allowed)
    filled = [field.name for field, _ in entry.contents.ListFields()]
    if raw is not None:
        if filled:
            raise InvalidInputError(f"{path}.contents", filled[0], "raw_input_contents has the elements already")
        return read_raw(path, datatype, shape, raw)
    field = CONTENTS.get(datatype)
    if field is None:
        raise InvalidInputError(f"{path}.datatype", datatype, "its elements are sent in raw_input_contents")
    if any(each != field for each in filled):
        raise InvalidInputError(f"{path}.contents", ", ".join(filled), f"{datatype} is sent in {field}")
    elements = list(getattr(entry.contents, field))
    if datatype == "BYTES":
        return _texts(path, shape, elements)
    return read_elements(path, datatype, shape, elements)


def _texts(path: str, shape: tuple[int, ...], elements: list[bytes]) -> NDArray[Any]:
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    try:
        return array.reshape(shape)
    except ValueError as error:
        allowed = f"contents has {len(elements)} elements"
        raise InvalidInputError(f"{path}.shape", brief(list(shape)), allowed) from error


def _classes(path: str, given: Mapping[str, Any]) -> int:
    value = given.get("classification", 0)
    if type(value) is not int or not 0 <= value <= MAX_LENGTH:
        allowed = f"use a whole number from 0 to {MAX_LENGTH}"
        raise InvalidInputError(f"{path}.parameters.classification", brief(value), allowed)
    return value


def _datatype(output: Tensor) -> str:
    try:
        return output.datatype
    except KeyError as error:
        raise TypeError(f"output {output.name!r} is {output.array.dtype}, for which V2 has no datatype") from error


def _plain(output: Tensor) -> list[Any]:
    elements: list[Any] = output.array.ravel().tolist()
    if output.datatype == "BYTES":
        return [each.encode() if isinstance(each, str) else each for each in elements]
    return elements


def _refuse_memory(path: str, given: Mapping[str, Any]) -> None:
    if given.get("shared_memory_region"):
        raise UnsupportedError(f"{path}.parameters.shared_memory_region: shared memory is not offered; send the data")

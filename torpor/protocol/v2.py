"""The Open Inference Protocol (V2) over HTTP: JSON, and tensors as bytes after it, to requests; answers to these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from torpor.errors import InvalidInputError, UnsupportedError
from torpor.protocol.binary import Buffer, read_raw, write_raw
from torpor.protocol.document import brief, parameters, read_object
from torpor.protocol.elements import read_elements, read_shape, write_elements
from torpor.protocol.headers import HEADER_LENGTH
from torpor.protocol.inference import InferRequest, Wanted
from torpor.protocol.tensors import DATATYPES, Tensor

MAX_CLASSES = 2**31 - 1

_NONE: Mapping[str, Any] = {}


@dataclass(slots=True)  # made for each request: frozen ones take a microsecond longer, each
class Encoded:
    """An answer: JSON, then binary tensors."""

    head: bytes
    tail: tuple[Buffer, ...] = ()

    @property
    def header_length(self) -> int | None:
        """What HEADER_LENGTH says; None without binary tensors."""
        return len(self.head) if self.tail else None

    @property
    def length(self) -> int:
        return len(self.head) + sum(map(len, self.tail))


def read_header_length(text: str | None, body_length: int) -> int | None:
    """Return the number in HEADER_LENGTH; raises InvalidInputError. None: the body is JSON."""
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20) or int(text) > body_length:
        allowed = f"use a whole number up to the length of the body, {body_length}"
        raise InvalidInputError(HEADER_LENGTH, brief(text), allowed)
    return int(text)


def decode(body: Buffer, header_length: int | None = None) -> InferRequest:
    """Read a request whose first `header_length` bytes are JSON; None: all of them.

    Raises InvalidInputError, and UnsupportedError for extensions that are not offered. Tensors that came as bytes are
    views of `body`.
    """
    view = memoryview(body)
    split = len(view) if header_length is None else header_length
    document = read_object(view[:split])
    given = parameters("", document)
    if given:
        _refuse_memory("", given)
    id_ = document.get("id")
    if id_ is not None and not isinstance(id_, str):
        raise InvalidInputError("id", brief(id_), "use a text")
    binary = _flag("parameters.binary_data_output", given.get("binary_data_output"))
    entries = _entries("inputs", document.get("inputs"))
    tail = _Tail(view[split:])
    inputs = tuple([_input(f"inputs[{index}]", entry, tail) for index, entry in enumerate(entries)])
    tail.check_empty()
    outputs = document.get("outputs")
    # An empty list is what some clients write for "all".
    wanted = tuple(_wanted_all(_entries("outputs", outputs), binary=binary)) if outputs else None
    return InferRequest(inputs, wanted, id_, given, binary)


def decode_raw(body: Buffer, name: str, datatype: str, shape: Sequence[int]) -> InferRequest:
    """Read a body that is nothing but the elements of the model's one input, which has this `shape`.

    Triton's raw binary request: the first axis, where it may have any length, has length 1, and one more axis may have
    any. Of BYTES, the body is the one element. Outputs come back as bytes. Raises InvalidInputError.
    """
    if datatype == "BYTES":
        array = np.empty(1, np.object_)
        array[0] = bytes(body)
        return InferRequest((Tensor(name, array.reshape([1] * max(1, len(shape)))),), binary=True)
    lengths = [1, *shape[1:]] if shape and shape[0] < 0 else list(shape)
    open_ = [index for index, each in enumerate(lengths) if each < 0]
    if len(open_) > 1:
        raise InvalidInputError(HEADER_LENGTH, 0, f"the shape of {name} is {list(shape)}: send JSON that says it")
    if open_:
        size = DATATYPES[datatype].itemsize * math.prod(each for each in lengths if each >= 0)
        lengths[open_[0]] = len(body) // size if size else 0
    return InferRequest((Tensor(name, read_raw(name, datatype, tuple(lengths), body)),), binary=True)


def encode(model: str, version: str, id_: str | None, outputs: Sequence[tuple[Tensor, bool]]) -> Encoded:
    """Write an answer; of each output it is said whether it goes as bytes. Raises TypeError for what V2 cannot say."""
    answer: dict[str, Any] = {"model_name": model, "model_version": version}
    if id_ is not None:
        answer["id"] = id_
    tail: list[Buffer] = []
    answer["outputs"] = [_output(output, tail) if binary else _output(output) for output, binary in outputs]
    return Encoded(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), tuple(tail))


class _Tail:
    """The bytes after the JSON: taken input by input, to the last."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def take(self, path: str, size: Any) -> memoryview:
        if type(size) is not int or not 0 <= size <= len(self._view) - self._at:
            allowed = f"use a whole number up to {len(self._view) - self._at}, the bytes that are left after the JSON"
            raise InvalidInputError(f"{path}.parameters.binary_data_size", brief(size), allowed)
        begin, self._at = self._at, self._at + size
        return self._view[begin : self._at]

    def check_empty(self) -> None:
        left = len(self._view) - self._at
        if left:
            raise InvalidInputError(
                "body", f"{left} bytes", "they follow the JSON, and no input's binary_data_size has them"
            )


def _entries(field: str, raw: Any) -> list[Mapping[str, Any]]:
    """Return a list of at least one object, each with a name of its own."""
    if not isinstance(raw, list) or not raw:
        raise InvalidInputError(field, brief(raw), "use a list of at least one object")
    seen: set[str] = set()
    for index, entry in enumerate(raw):
        if not isinstance(entry, dict):
            raise InvalidInputError(f"{field}[{index}]", brief(entry), "use an object")
        name = entry.get("name")
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"{field}[{index}].name", brief(name), "use a text of at least one character")
        if name in seen:
            raise InvalidInputError(f"{field}[{index}].name", name, "use each name once")
        seen.add(name)
    return raw


def _input(path: str, entry: Mapping[str, Any], tail: _Tail) -> Tensor:
    datatype = entry.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise InvalidInputError(f"{path}.datatype", brief(datatype), f"use one of {', '.join(DATATYPES)}")
    shape = read_shape(f"{path}.shape", entry.get("shape"))
    given = parameters(f"{path}.", entry) if "parameters" in entry else _NONE
    if given:
        _refuse_memory(f"{path}.", given)
    if "binary_data_size" not in given:
        return Tensor(entry["name"], read_elements(path, datatype, shape, entry.get("data")))
    if entry.get("data") is not None:
        raise InvalidInputError(f"{path}.data", brief(entry["data"]), "binary_data_size says that it follows the JSON")
    return Tensor(entry["name"], read_raw(path, datatype, shape, tail.take(path, given["binary_data_size"])))


def _wanted_all(entries: Sequence[Mapping[str, Any]], *, binary: bool) -> list[Wanted]:
    found: list[Wanted] = []
    for index, entry in enumerate(entries):
        path = f"outputs[{index}]."
        given = parameters(path, entry)
        _refuse_memory(path, given)
        is_binary = _flag(f"{path}parameters.binary_data", given.get("binary_data"), default=binary)
        found.append(Wanted(entry["name"], is_binary, _classes(f"{path}parameters.classification", given)))
    return found


def _flag(path: str, raw: Any, *, default: bool = False) -> bool:
    if raw is None:
        return default
    if not isinstance(raw, bool):
        raise InvalidInputError(path, brief(raw), "use true or false")
    return raw


def _classes(path: str, given: Mapping[str, Any]) -> int:
    raw = given.get("classification", 0)
    if type(raw) is not int or not 0 <= raw <= MAX_CLASSES:
        raise InvalidInputError(path, brief(raw), f"use a whole number from 0 to {MAX_CLASSES}")
    return raw


def _output(tensor: Tensor, tail: list[Buffer] | None = None) -> dict[str, Any]:
    if not tensor.array.dtype.isnative:
        tensor = Tensor(tensor.name, tensor.array.astype(tensor.array.dtype.newbyteorder("=")))
    try:
        datatype = tensor.datatype
    except KeyError as error:
        raise TypeError(f"output {tensor.name!r} is {tensor.array.dtype}, for which V2 has no datatype") from error
    entry: dict[str, Any] = {"name": tensor.name, "shape": tensor.shape, "datatype": datatype}
    if tail is None:
        entry["data"] = write_elements(tensor)
    else:
        raw = write_raw(tensor)
        tail.append(raw)
        entry["parameters"] = {"binary_data_size": len(raw)}
    return entry


def _refuse_memory(path: str, given: Mapping[str, Any]) -> None:
    """Refuse shared memory: a client that names memory of the server's has been the way in (CVE-2025-23319)."""
    if given.get("shared_memory_region"):
        raise UnsupportedError(f"{path}parameters.shared_memory_region: shared memory is not offered; send the data")

"""What the server and a model's process say to each other: JSON, and tensors as they lie in memory. Pure.

Nothing in it is ever executed, by whatever side: a model that has taken over its process can send wrong answers, and
that is all.

A message is 16 bytes (length of the header, of the body), the header, the body. The header is JSON: kind, value,
tensors (name, dtype, shape, place in the body), octets (place in the body).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import orjson
from numpy.typing import NDArray

from torpor.protocol.tensors import Tensor

Buffer = bytes | bytearray | memoryview

PREFIX = struct.Struct("<QQ")
MOST_BYTES = 2**36
"""Of one message; a length above is no length."""
_ALIGNED = 16
"""Bytes; numbers of every type lie where the processor likes them."""
_BF16 = np.dtype(ml_dtypes.bfloat16)
_NUMBERS = re.compile(r"[<>|=][biufc]\d{1,2}|[<>|=][SU]\d{1,10}|[<>=][mM]8(\[\d*[a-zA-Z]{1,2}\])?", re.ASCII)
_FLAGS = (bytes, str)
"""What an element of BYTES was, by number."""


class GarbledError(Exception):
    """No message: its sender is not what it was."""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said."""

    kind: str
    value: Any = None
    """As JSON has it: arrays come as lists, keys as texts, NaN as null."""
    tensors: Sequence[Tensor] = ()
    octets: Sequence[bytes] = ()


def write(message: Message) -> list[Buffer]:
    """Return what is to be sent, tensors without a copy; raises TypeError for what cannot be sent."""
    body: list[Buffer] = []
    at = 0

    def put(buffer: Buffer, size: int) -> tuple[int, int]:
        nonlocal at
        place = (at, size)
        body.append(buffer)
        if gap := -size % _ALIGNED:
            body.append(bytes(gap))
        at += size + gap
        return place

    tensors = []
    for each in message.tensors:
        dtype, data, size = _laid_out(each)
        tensors.append((each.name, dtype, each.shape, *put(data, size)))
    octets = [put(each, len(each)) for each in message.octets]
    header = _json([message.kind, message.value, tensors, octets])
    header += b" " * (-len(header) % _ALIGNED)
    return [PREFIX.pack(len(header), at) + header, *body]


def lengths(prefix: Buffer) -> tuple[int, int]:
    """Return how long header and body are; raises GarbledError."""
    header, body = PREFIX.unpack(prefix)
    if header + body > MOST_BYTES or header % _ALIGNED:
        raise GarbledError(f"a message of {header} and {body} bytes")
    return header, body


def read(header: memoryview, body: memoryview) -> Message:
    """Return the message, whose tensors share the memory of `body`; raises GarbledError."""
    try:
        kind, value, tensors, octets = orjson.loads(header)
        return Message(
            str(kind),
            value,
            tuple([_tensor(each, body) for each in tensors]),
            tuple([bytes(_part(body, *each)) for each in octets]),
        )
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError) as error:
        raise GarbledError(f"{type(error).__name__}: {error}") from error


def _laid_out(tensor: Tensor) -> tuple[str, Buffer, int]:
    """Return (dtype, elements in C's order, bytes)."""
    array = tensor.array
    if array.dtype == object:
        packed = _packed(tensor.name, array)
        return "O", packed, len(packed)
    name = "BF16" if array.dtype == _BF16 else array.dtype.str
    if name != "BF16" and not _NUMBERS.fullmatch(name):
        raise TypeError(f"tensor {tensor.name!r}: elements of type {array.dtype} cannot be sent")
    flat = np.ascontiguousarray(array).reshape(-1)
    return name, flat.view(np.uint8).data if flat.nbytes else b"", flat.nbytes


def _packed(name: str, array: NDArray[Any]) -> bytes:
    """Return of each element how long it is, then of each what it is, then all of them."""
    flags = bytearray()
    elements: list[bytes] = []
    for each in array.ravel().tolist():
        if isinstance(each, bytes):
            flags.append(0)
            elements.append(each)
        elif isinstance(each, str):
            flags.append(1)
            elements.append(each.encode("utf-8", "surrogatepass"))
        else:
            raise TypeError(f"tensor {name!r} holds {type(each).__name__} where BYTES are str or bytes")
    sizes = np.fromiter(map(len, elements), np.int64, len(elements))
    return b"".join((sizes.tobytes(), flags, *elements))


def _tensor(told: Sequence[Any], body: memoryview) -> Tensor:
    name, dtype, shape, at, size = told
    part = _part(body, at, size)
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"shape {shape}")
    if dtype == "O":
        return Tensor(str(name), _unpacked(part, math.prod(shape)).reshape(shape))
    if dtype != "BF16" and not _NUMBERS.fullmatch(dtype):
        raise ValueError(f"dtype {dtype}")
    kind = _BF16 if dtype == "BF16" else np.dtype(dtype)
    if kind.itemsize == 0:  # texts without a character have no size that could be divided by
        return Tensor(str(name), np.zeros(shape, kind))
    if math.prod(shape) * kind.itemsize != size:
        raise ValueError(f"{size} bytes for {dtype} {shape}")
    return Tensor(str(name), np.frombuffer(part, kind).reshape(shape) if size else np.empty(shape, kind))


def _unpacked(part: memoryview, count: int) -> NDArray[Any]:
    sizes = np.frombuffer(part[: 8 * count], np.int64)
    flags = part[8 * count : 9 * count]
    texts = bytes(part[9 * count :])
    if len(sizes) != count or len(flags) != count or (sizes < 0).any() or (sizes > len(texts)).any():
        raise ValueError(f"{len(part)} bytes for {count} elements")
    array = np.empty(count, object)
    at = 0
    for index, (size, flag) in enumerate(zip(sizes.tolist(), flags, strict=True)):
        element = texts[at : at + size]
        array[index] = element if _FLAGS[flag] is bytes else element.decode("utf-8", "surrogatepass")
        at += size
    if at != len(texts):
        raise ValueError(f"{len(texts)} bytes where {at} were announced")
    return array


def _part(body: memoryview, at: int, size: int) -> memoryview:
    if type(at) is not int or type(size) is not int or at < 0 or size < 0 or at + size > len(body):
        raise ValueError(f"{size} bytes at {at} of {len(body)}")
    return body[at : at + size]


def _json(value: Any) -> bytes:
    options = orjson.OPT_NON_STR_KEYS
    try:
        return orjson.dumps(value, default=_plain, option=options | orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:
        # Arrays in the other byte order, or of times, orjson refuses; as lists they are numbers and texts.
        return orjson.dumps(value, default=_plain, option=options)


def _plain(value: Any) -> Any:
    """Return what orjson knows for what it does not; as torpor/protocol/v1.py, through which answers go next."""
    if not hasattr(value, "tolist"):
        raise TypeError(f"{type(value).__name__} is no JSON")
    return value.tolist()

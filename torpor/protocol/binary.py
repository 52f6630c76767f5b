"""Tensors as bytes: row-major and little-endian; BYTES elements each after their length, 4 bytes of it.

The binary tensor extension of V2 over HTTP and the raw contents of V2 over gRPC are the same bytes.
"""

from __future__ import annotations

import math
import struct
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torpor.errors import InvalidInputError
from torpor.protocol.document import brief
from torpor.protocol.tensors import DATATYPES, Tensor

Buffer = bytes | bytearray | memoryview

_LENGTH = struct.Struct("<I")
_IS_LITTLE = sys.byteorder == "little"


def read_raw(path: str, datatype: str, shape: tuple[int, ...], raw: Buffer) -> NDArray[Any]:
    """Return the tensor at `path` whose elements are `raw`, without a copy where the memory allows it.

    Raises InvalidInputError when `raw` is not exactly as long as datatype and shape say.
    """
    if datatype == "BYTES":
        return _read_bytes(path, shape, memoryview(raw))
    dtype = DATATYPES[datatype]
    needed = math.prod(shape) * dtype.itemsize
    if needed != len(raw):
        raise InvalidInputError(
            f"{path}.shape",
            brief(list(shape)),
            f"as {datatype} it means {_count(needed)} bytes, and there are {len(raw)}",
        )
    array: NDArray[Any] = np.frombuffer(raw, dtype)
    if not _IS_LITTLE:
        array = array.byteswap()
    if not array.flags.aligned:
        array = array.copy()  # what computes on it may take whole words
    if datatype == "BOOL" and array.size and array.view(np.uint8).max() > 1:
        wrong = int(np.argmax(array.view(np.uint8) > 1))
        raise InvalidInputError(f"{path}[{wrong}]", int(array.view(np.uint8)[wrong]), "BOOL takes the bytes 0 and 1")
    return _shaped(path, array, shape)


def write_raw(tensor: Tensor) -> Buffer:
    """Return the elements; the tensor's own memory where that is as it must be sent.

    Raises TypeError for BYTES elements that are neither `str` nor `bytes`.
    """
    if tensor.datatype == "BYTES":
        return _write_bytes(tensor)
    array = np.ascontiguousarray(tensor.array)
    order = array.dtype.byteorder
    if order == ">" or (order == "=" and not _IS_LITTLE):
        array = array.byteswap()
    return array.reshape(-1).view(np.uint8).data if array.size else b""


def _read_bytes(path: str, shape: tuple[int, ...], raw: memoryview) -> NDArray[Any]:
    count = math.prod(shape)
    # Each element has its length at least; so a shape costs no memory that its sender has not paid for.
    if count * _LENGTH.size > len(raw):
        allowed = (
            f"it means {_count(count)} elements, and {len(raw)} bytes hold no more than {len(raw) // _LENGTH.size}"
        )
        raise InvalidInputError(f"{path}.shape", brief(list(shape)), allowed)
    elements: list[bytes] = []
    at = 0
    for index in range(count):
        begin = at + _LENGTH.size
        if begin > len(raw):
            raise InvalidInputError(f"{path}[{index}]", f"{len(raw) - at} bytes", "4 bytes of length come first")
        (length,) = _LENGTH.unpack_from(raw, at)
        at = begin + length
        if at > len(raw):
            allowed = f"{len(raw) - begin} bytes are left"
            raise InvalidInputError(f"{path}[{index}]", f"a length of {length}", allowed)
        elements.append(bytes(raw[begin:at]))
    if at != len(raw):
        allowed = f"it means {count} elements, after which {len(raw) - at} bytes are left"
        raise InvalidInputError(f"{path}.shape", brief(list(shape)), allowed)
    array = np.empty(count, np.object_)
    array[:] = elements
    return _shaped(path, array, shape)


def _write_bytes(tensor: Tensor) -> bytes:
    parts: list[bytes] = []
    for each in tensor.array.ravel().tolist():
        element = each.encode() if isinstance(each, str) else each
        if not isinstance(element, bytes):
            raise TypeError(f"output {tensor.name!r} holds {type(each).__name__} where BYTES are str or bytes")
        parts += (_LENGTH.pack(len(element)), element)
    return b"".join(parts)


def _shaped(path: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        return array.reshape(shape)
    except ValueError as error:  # no elements, and too big all the same
        raise InvalidInputError(f"{path}.shape", brief(list(shape)), str(error)) from error


def _count(number: int) -> str:
    return str(number) if number < 2**63 else "2**63 or more"

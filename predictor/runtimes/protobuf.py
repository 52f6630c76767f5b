"""Protocol Buffers on the wire, as far as to walk through a message: what is skipped is not read. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap

from torpor.errors import TorporError

Buffer = bytes | mmap

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}


class ProtobufError(TorporError):
    """The bytes are not what they should be."""


def fields(raw: Buffer, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Give each field of the message that lies from `begin` to `end`: its number, and where its contents lie.

    A number has its value for a beginning, and -1 for an end.
    """
    at = begin
    while at < end:
        key, at = varint(raw, at, end)
        number, wire = key >> 3, key & 7
        if not number or wire not in {_VARINT, _FIXED64, _BYTES, _FIXED32}:
            raise ProtobufError(f"byte {at} follows a field {number} of wire type {wire}, which there is not")
        if wire == _VARINT:
            value, at = varint(raw, at, end)
            yield number, value, -1
            continue
        length = _FIXED.get(wire, 0)
        if wire == _BYTES:
            length, at = varint(raw, at, end)
        if at + length > end:
            raise ProtobufError(f"byte {at} begins {length} bytes, and there are {end - at}")
        yield number, at, at + length
        at += length


def varint(raw: Buffer, at: int, end: int) -> tuple[int, int]:
    """Return the number at `at`, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise ProtobufError(f"byte {at} should go on, and there it ends")
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ProtobufError(f"byte {at} ends a number of more than 64 bits")


def text(raw: Buffer, begin: int, end: int) -> str:
    if end < 0:
        raise ProtobufError("a number is where a text should be")
    try:
        return raw[begin:end].decode()
    except UnicodeDecodeError as error:
        raise ProtobufError(f"bytes {begin} to {end} are no UTF-8") from error

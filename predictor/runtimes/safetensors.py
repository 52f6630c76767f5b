"""Check a safetensors file by its header, without reading the weights. The format needs nothing but struct and JSON."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import orjson

from torpor.errors import TorporError

MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""

_TYPES_BY_BITS = {
    4: ("F4",),
    6: ("F6_E2M3", "F6_E3M2"),
    8: ("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"),
    16: ("U16", "I16", "F16", "BF16"),
    32: ("U32", "I32", "F32"),
    64: ("U64", "I64", "F64", "C64"),
}
_BITS = {name: bits for bits, names in _TYPES_BY_BITS.items() for name in names}


class CorruptError(TorporError):
    """A weights file is not what it should be."""


def check(path: Path) -> int:
    """Return how many tensors there are; raises CorruptError naming the file and what is wrong with it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise CorruptError(f"{path.name} is truncated: {size} bytes are less than its header")
        (length,) = struct.unpack("<Q", start)
        if length > MAX_HEADER_BYTES:
            raise CorruptError(f"{path.name} is corrupt: its header would be {length} bytes long; is it safetensors?")
        if 8 + length > size:
            raise CorruptError(f"{path.name} is truncated: its header has {length} bytes, the file only {size}")
        header = _parse(path.name, file.read(length))
    header.pop("__metadata__", None)
    end = 0
    for name, (begin, finish) in sorted(_places(path.name, header), key=lambda place: place[1]):
        if begin != end:
            raise CorruptError(f"{path.name} is corrupt: tensor {name!r} begins at byte {begin} and not at {end}")
        end = finish
    if 8 + length + end > size:
        raise CorruptError(f"{path.name} is truncated: it should have {8 + length + end} bytes and has {size}")
    if 8 + length + end < size:
        raise CorruptError(f"{path.name} is corrupt: it should have {8 + length + end} bytes and has {size}")
    return len(header)


def _parse(name: str, raw: bytes) -> dict[str, Any]:
    try:
        header = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise CorruptError(f"{name} is corrupt: its header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise CorruptError(f"{name} is corrupt: its header is not a JSON object")
    return header


def _places(name: str, header: dict[str, Any]) -> list[tuple[str, tuple[int, int]]]:
    """Return where each tensor lies, having checked that its shape and type fill that."""
    places = []
    for tensor, entry in header.items():
        try:
            begin, end = entry["data_offsets"]
            bits = math.prod(entry["shape"]) * _BITS[entry["dtype"]]
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptError(
                f"{name} is corrupt: the entry of tensor {tensor!r} cannot be read: {error!r}"
            ) from error
        if not isinstance(begin, int) or not isinstance(end, int) or (end - begin) * 8 != bits or begin < 0:
            raise CorruptError(f"{name} is corrupt: tensor {tensor!r} does not fill bytes {begin} to {end}")
        places.append((tensor, (begin, end)))
    return places

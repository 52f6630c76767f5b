"""Universal Binary JSON as XGBoost writes it: big-endian, arrays of numbers in one piece. Pure."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from torpor.errors import TorporError

MAX_DEPTH = 64

_NUMBERS = {
    ord("i"): struct.Struct(">b"),
    ord("U"): struct.Struct(">B"),
    ord("I"): struct.Struct(">h"),
    ord("l"): struct.Struct(">i"),
    ord("L"): struct.Struct(">q"),
    ord("d"): struct.Struct(">f"),
    ord("D"): struct.Struct(">d"),
}
_DTYPES = {marker: np.dtype(number.format) for marker, number in _NUMBERS.items()}
_WHOLE = frozenset(b"iUIlL")
_CONSTANTS = {ord("Z"): None, ord("T"): True, ord("F"): False}


class UbjsonError(TorporError):
    """The bytes are not what they should be."""


def read(raw: bytes) -> Any:
    """Return the one value that the bytes are; arrays whose type is written once are numpy's, and views of them."""
    reader = _Reader(raw)
    value = reader.value(reader.byte(), 0)
    if reader.at != len(raw):
        raise UbjsonError(f"{len(raw) - reader.at} bytes follow its end")
    return value


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.at = 0

    def byte(self) -> int:
        return self._take(1)[0]

    def value(self, marker: int, depth: int) -> Any:
        if marker in _NUMBERS:
            (number,) = _NUMBERS[marker].unpack(self._take(_NUMBERS[marker].size))
            return number
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker == ord("S"):
            return self._text()
        if marker == ord("C"):
            return chr(self.byte())
        if marker not in b"[{":
            raise UbjsonError(f"byte {self.at - 1} is {marker}, which begins nothing")
        if depth == MAX_DEPTH:
            raise UbjsonError(f"it is more than {MAX_DEPTH} levels deep")
        return self._array(depth + 1) if marker == ord("[") else self._object(depth + 1)

    def _take(self, count: int) -> bytes:
        begin, self.at = self.at, self.at + count
        if count < 0 or self.at > len(self._raw):
            raise UbjsonError(f"byte {begin} begins something of {count} bytes, and the file has {len(self._raw)}")
        return self._raw[begin : self.at]

    def _length(self) -> int:
        marker = self.byte()
        if marker not in _WHOLE:
            raise UbjsonError(f"byte {self.at - 1} is {marker}, and a length should be there")
        length = self.value(marker, 0)
        assert isinstance(length, int)  # noqa: S101  # what the markers of whole numbers give
        return length

    def _text(self) -> str:
        raw = self._take(self._length())
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise UbjsonError(f"the text that ends at byte {self.at} is no UTF-8") from error

    def _header(self) -> tuple[int | None, int | None, int | None]:
        """Return the type that all elements have, their number, and the first marker where there is no number."""
        marker, kind = self.byte(), None
        if marker == ord("$"):
            kind, marker = self.byte(), self.byte()
            if marker != ord("#"):
                raise UbjsonError(f"byte {self.at - 1} is {marker}, and '#' should be there")
        if marker == ord("#"):
            return kind, self._length(), None
        return None, None, marker

    def _array(self, depth: int) -> Any:
        kind, count, marker = self._header()
        if kind in _DTYPES and count is not None:
            size = count * _DTYPES[kind].itemsize
            return np.frombuffer(self._take(size), _DTYPES[kind])
        if count is not None:
            self._check_count(count)
            return [self.value(self.byte() if kind is None else kind, depth) for _ in range(count)]
        found = []
        while marker != ord("]"):
            assert marker is not None  # noqa: S101  # _header gives it where there is no count
            found.append(self.value(marker, depth))
            marker = self.byte()
        return found

    def _object(self, depth: int) -> dict[str, Any]:
        kind, count, marker = self._header()
        found: dict[str, Any] = {}
        if count is not None:
            self._check_count(count)
            for _ in range(count):
                key = self._text()
                found[key] = self.value(self.byte() if kind is None else kind, depth)
            return found
        while marker != ord("}"):
            self.at -= 1  # the marker is that of the key's length
            key = self._text()
            found[key] = self.value(self.byte(), depth)
            marker = self.byte()
        return found

    def _check_count(self, count: int) -> None:
        # An element has a byte at least; constants of a type that is written once have none, and nobody writes those.
        if not 0 <= count <= len(self._raw) - self.at:
            raise UbjsonError(f"an array of {count} elements ends after the file, which has {len(self._raw)} bytes")

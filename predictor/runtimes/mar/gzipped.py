"""The bytes of a .tar.gz, none of them more than its headers have announced.

A header of tar may bring a name that is gigabytes long, and `tarfile` reads it as a whole.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from types import TracebackType
from typing import IO, Self

_HEADERS = 1024 * 1024
"""Bytes that may be read between two files: their headers, long names and padding."""


class Gzipped:
    """What `tarfile` reads as a stream, by small pieces."""

    def __init__(self, packed: IO[bytes], refused: Callable[[str], Exception]) -> None:
        self._file = gzip.GzipFile(fileobj=packed, mode="rb")
        self._refused = refused
        self._left = _HEADERS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def expect(self, size: int) -> None:
        """Let a file of this size come, and the headers of the next."""
        self._left = size + _HEADERS

    def read(self, size: int) -> bytes:
        piece = self._file.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise self._refused("more than its headers announce is in it: it is a trap")
        return piece

    def check_end(self) -> None:
        """Read to the end, where the checksum is; nothing but zeros may follow the archive."""
        while piece := self.read(64 * 1024):
            if piece.count(0) != len(piece):
                raise self._refused("it is corrupt: more follows where the archive should end")

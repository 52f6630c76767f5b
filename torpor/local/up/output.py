"""What services write: kept in a file each, and what matters of it shown."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

FILE_BYTES = 10 * 1024 * 1024
LINE_BYTES = 64 * 1024
LOUD = frozenset({"warning", "error", "critical"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `level` is None where it is no line of our log: a traceback, a library's own words."""

    level: str | None
    text: str


def read_line(raw: bytes) -> Line:
    """Return what a line says; of an exception its last line."""
    try:
        entry = orjson.loads(raw)
    except orjson.JSONDecodeError:
        entry = None
    if not isinstance(entry, dict) or not entry.keys() >= {"level", "message"}:
        return Line(None, raw.decode(errors="replace").rstrip())
    message = str(entry["message"])
    exception = str(entry.get("exception") or "").strip()
    return Line(str(entry["level"]), f"{message}: {exception.splitlines()[-1]}" if exception else message)


class LogFile:
    """A file that is put aside as NAME.1 when it has grown too large."""

    def __init__(self, path: Path, limit: int = FILE_BYTES) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._limit = limit
        self._file: BinaryIO = path.open("ab", buffering=0)

    def write(self, line: bytes) -> None:
        """Append. A disk that is full, or files that are gone, lose lines, and must not take the services with them."""
        with contextlib.suppress(OSError):
            if self._file.tell() + len(line) > self._limit:
                self._turn()
            self._file.write(line)

    def _turn(self) -> None:
        """Put the file aside and begin another. Where that fails the old one stays, and the next line tries again."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # somebody has removed it
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        file: BinaryIO = self.path.open("ab", buffering=0)
        self._file.close()
        self._file = file

    def close(self) -> None:
        self._file.close()


class Lines(asyncio.Protocol):
    """Cuts a pipe into lines. One without an end is cut where it gets too long."""

    def __init__(self, each: Callable[[bytes], None]) -> None:
        self._each = each
        self._rest = b""
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._each(line + b"\n")
        while len(rest) > LINE_BYTES:
            self._each(rest[:LINE_BYTES] + b"\n")
            rest = rest[LINE_BYTES:]
        self._rest = rest

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        if self._rest:
            self._each(self._rest + b"\n")
        self.ended.set()


async def read_lines(descriptor: int, each: Callable[[bytes], None]) -> Lines:
    """Call `each` with every line of a pipe until its end; the descriptor is ours from here on."""
    lines = Lines(each)
    await asyncio.get_running_loop().connect_read_pipe(lambda: lines, os.fdopen(descriptor, "rb", buffering=0))
    return lines

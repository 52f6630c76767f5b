"""Files on disk that arrive in pieces, in any order, and have their names only when they are whole."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self


class Target:
    """Pieces go straight to where they belong in `NAME.part`; the one that makes it whole renames it.

    Blocks are reserved before the first byte, so that a full disk is known at once and not minutes later.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._lock = threading.Lock()
        self._missing = size
        with _named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                _reserve(self._fd, size)
                if not size:
                    self._finish()
            except OSError:
                self.discard()
                raise

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` at `offset`; from any thread."""
        with _named(self._path):
            view = memoryview(data)
            while view:
                written = os.pwrite(self._fd, view, offset)
                offset += written
                view = view[written:]
            with self._lock:
                self._missing -= len(data)
                if not self._missing:
                    self._finish()

    def discard(self) -> None:
        """Remove what is there, unless it is whole. No thread may write any more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._part.unlink(missing_ok=True)

    def _finish(self) -> None:
        os.close(self._fd)
        self._fd = -1
        self._part.rename(self._path)


class Targets:
    """The files of one folder that are being written; leaving the block discards what is not whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._open: dict[str, Target] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for target in self._open.values():
            target.discard()

    def has(self, path: str, size: int) -> bool:
        """Say whether the file is there and whole."""
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / path).stat().st_size == size
        return False

    def get(self, path: str, size: int) -> Target:
        """Return the file to write to; the first who asks makes it."""
        with self._lock:
            if path not in self._open:
                self._open[path] = Target(self._folder / path, size)
            return self._open[path]


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """A system call on a descriptor does not know the file's name, and the message needs one."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _reserve(fd: int, size: int) -> None:
    if size and hasattr(os, "posix_fallocate"):  # not on macOS
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:  # some file systems cannot
                raise

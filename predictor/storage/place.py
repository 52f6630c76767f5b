"""What every scheme offers: say what is there, and fetch it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from torpor.errors import InvalidInputError, TorporError

MOST_FILES = 10_000
"""A model has a few hundred files at most; a URI that names more names a whole bucket by mistake."""


class StoppedError(TorporError):
    """A download was told to end before it was done."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model, by its path below the URI."""

    path: str
    size: int
    source: str = ""
    """What the place itself calls it, where that is another name."""
    version: str = ""
    """What the place says to tell it from a later one of the same name."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a URI names. With a `folder` the files are there already and are used in place."""

    files: tuple[File, ...]
    folder: Path | None = None

    @property
    def size(self) -> int:
        return sum(each.size for each in self.files)


class Stop:
    """Ends a download from outside: what waits for bytes is woken. One per try."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakers: set[Callable[[], None]] = set()
        self._set = False

    def set(self) -> None:
        """End the download; again does nothing."""
        with self._lock:
            self._set = True
            wakers, self._wakers = self._wakers, set()
        for wake in wakers:
            wake()

    def check(self) -> None:
        """Raise StoppedError once the download is to end."""
        if self._set:
            raise StoppedError("stopped")

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake` if the download is to end while the block runs."""
        with self._lock:
            self.check()
            self._wakers.add(wake)
        try:
            yield
        finally:
            with self._lock:
                self._wakers.discard(wake)


class Place(Protocol):
    """A URI, understood. Its methods block; they raise TorporError, retryable where trying again can help."""

    def look(self) -> Listing:
        """Return the files that are there, at least one."""

    def fetch(self, files: Sequence[File], folder: Path, received: Callable[[int], None], stop: Stop) -> None:
        """Put the files into `folder`; those that are whole there already are kept. `received` counts bytes."""


def safe_path(path: str) -> str:
    """Return `path` if it stays below the folder that it is put in; raises InvalidInputError."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise InvalidInputError(
            "storageUri", path, "a path must stay below the model's folder: no '..', no leading '/'"
        )
    return path

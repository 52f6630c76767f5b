"""Lends what there are few of to those who call, in order of arrival, and knows when there is none to wait for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_CRASHES = 5
"""In a row, without an answer between them: from then on, while none is there, nobody waits."""


class Line(Generic[T]):
    """Used by any thread. All of its state is changed under one lock."""

    def __init__(self, refused: Callable[[str], Exception]) -> None:
        """`refused` makes of a reason what is raised to those who would wait in vain."""
        self._refused = refused
        self._lock = threading.Lock()
        self._free: deque[T] = deque()
        self._waiting: deque[SimpleQueue[T | Exception]] = deque()
        self._there: set[T] = set()
        self._crashes = 0
        self._last = ""
        self._closed = ""

    @property
    def there(self) -> int:
        """How many can be lent, or are."""
        return len(self._there)

    @property
    def crashes(self) -> int:
        """In a row."""
        return self._crashes

    @property
    def trouble(self) -> str:
        """Why nobody is served at present; empty if somebody is, or soon will be."""
        if self._closed or self._there or self._crashes < MOST_CRASHES:
            return self._closed
        return f"{self._crashes} ends in a row without an answer, the last: {self._last}"

    def take(self) -> T:
        """Return one, which is the caller's until it is given back; blocks, raises what `refused` makes."""
        with self._lock:
            if self._free and not self._closed:
                return self._free.popleft()
            if self.trouble:
                raise self._refused(self.trouble)
            turn: SimpleQueue[T | Exception] = SimpleQueue()
            self._waiting.append(turn)
        given = turn.get()
        if isinstance(given, Exception):
            raise given
        return given

    def join(self, new: T) -> None:
        """One more can be lent."""
        with self._lock:
            self._there.add(new)
            self._lend(new)

    def give(self, taken: T) -> bool:
        """It has answered and is free again; returns whether it is: one that has ended meanwhile is not."""
        with self._lock:
            self._crashes = 0
            if taken not in self._there:
                return False
            self._lend(taken)
            return True

    def leave(self, ended: T | None, why: str) -> bool:
        """It has ended, or one that was to come (None) has; returns whether it was free.

        If that has happened too often, nobody waits any more.
        """
        with self._lock:
            self._crashes += 1
            self._last = why
            if ended is not None:
                self._there.discard(ended)
            was_free = ended in self._free
            if ended is not None and was_free:
                self._free.remove(ended)
            if self.trouble:
                self._dismiss()
            return was_free

    def close(self, why: str) -> None:
        """Lend no more; who waits is told."""
        with self._lock:
            self._closed = why
            self._dismiss()

    def _lend(self, one: T) -> None:
        if self._waiting:
            self._waiting.popleft().put(one)
        else:
            self._free.append(one)

    def _dismiss(self) -> None:
        while self._waiting:
            self._waiting.popleft().put(self._refused(self.trouble))

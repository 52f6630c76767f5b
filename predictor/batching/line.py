"""Those who wait for a model: by priority, by what fits each other, in order of arrival. Time is passed in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from predictor.batching.options import Batching
from predictor.batching.policy import form
from torpor.errors import QueueFullError

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Entry(Generic[T]):
    """One request that waits."""

    what: T
    rows: int
    key: Hashable
    """Requests of one key may be one batch; None: it is executed alone."""
    level: int
    since_s: float
    number: int = 0
    """Of its arrival."""
    is_waiting: bool = False
    is_delayed: bool = False
    """Its time was over, and it comes after all others."""


class Line(Generic[T]):
    """Not to be used by two threads at once."""

    def __init__(self, batching: Batching) -> None:
        self._batching = batching
        self._number = 0
        self._levels: dict[tuple[bool, int], _Level[T]] = {}
        """By (whether delayed, level): in this order they are executed."""
        self._waiting: dict[int, int] = {}
        """How many of each level."""

    def __len__(self) -> int:
        return sum(self._waiting.values())

    def add(self, entry: Entry[T]) -> None:
        """Let one wait; raises QueueFullError."""
        most = self._batching.policy_of(entry.level).max_size
        waiting = self._waiting.get(entry.level, 0)
        if most and waiting >= most:
            raise QueueFullError(f"{waiting} requests wait for the model already, which is its limit")
        self._number += 1
        entry.number, entry.is_waiting = self._number, True
        self._waiting[entry.level] = waiting + 1
        self._put(entry)

    def drop(self, entry: Entry[T]) -> bool:
        """Let one wait no more; tells whether it did."""
        if not entry.is_waiting:
            return False
        self._left(entry)
        self._level(entry).remove(entry)
        return True

    def delay(self, entry: Entry[T]) -> bool:
        """Let one come after all others from now on; tells whether it waits."""
        if not entry.is_waiting or entry.is_delayed:
            return entry.is_waiting
        self._level(entry).remove(entry)
        entry.is_delayed = True
        self._put(entry)
        return True

    def take(self, now_s: float) -> list[Entry[T]]:
        """Return the next batch, whose requests wait no more; empty where it is worth waiting, or nobody waits."""
        batch = self._next(now_s)
        for entry in batch:
            self._left(entry)
            self._level(entry).remove(entry)
        return batch

    def clear(self) -> list[Entry[T]]:
        """Let nobody wait any more; returns who did."""
        gone = [entry for level in self._levels.values() for entry in level.everybody()]
        for entry in gone:
            self.drop(entry)
        return gone

    def wait_s(self, now_s: float) -> float | None:
        """Return after how many seconds a batch is to be taken, 0.0 for at once; None: nobody waits."""
        if not self:
            return None
        if self._next(now_s):
            return 0.0
        return max(0.0, self._batching.delay_s - (now_s - self._oldest_s(self._first().key)))

    def _next(self, now_s: float) -> list[Entry[T]]:
        if not self:
            return []
        first = self._first()
        if first.key is None:
            return [first]
        fitting = list(self._fitting(first.key))
        oldest_s = self._oldest_s(first.key)
        # Those of other kinds wait behind these: to let these grow would hold up all of them.
        grows = len(fitting) == len(self)
        return fitting[: form([entry.rows for entry in fitting], now_s - oldest_s, self._batching, grows=grows)]

    def _oldest_s(self, key: Hashable) -> float:
        """Return since when the oldest of a batch has waited, of whatever priority."""
        return min(entry.since_s for entry in self._fitting(key))

    def _first(self) -> Entry[T]:
        return next(self._levels[place].first() for place in sorted(self._levels) if self._levels[place])

    def _fitting(self, key: Hashable) -> Iterator[Entry[T]]:
        """Give those of one key in the order in which they are executed, as many as a batch may be made of."""
        rows = 0
        for place in sorted(self._levels):
            for entry in self._levels[place].of(key):
                yield entry
                rows += entry.rows
                if rows > self._batching.max_size:
                    return

    def _level(self, entry: Entry[T]) -> _Level[T]:
        return self._levels[entry.is_delayed, entry.level]

    def _put(self, entry: Entry[T]) -> None:
        place = (entry.is_delayed, entry.level)
        level = self._levels.get(place)
        if level is None:
            level = self._levels[place] = _Level()
        level.add(entry)

    def _left(self, entry: Entry[T]) -> None:
        entry.is_waiting = False
        self._waiting[entry.level] -= 1


class _Level(Generic[T]):
    """Those of one priority: a line for each key, whose order is that of arrival at this level."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, OrderedDict[int, Entry[T]]] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, entry: Entry[T]) -> None:
        line = self._lines.get(entry.key)
        if line is None:
            line = self._lines[entry.key] = OrderedDict()
        line[entry.number] = entry

    def remove(self, entry: Entry[T]) -> None:
        line = self._lines[entry.key]
        del line[entry.number]
        if not line:
            del self._lines[entry.key]

    def first(self) -> Entry[T]:
        return min((next(iter(line.values())) for line in self._lines.values()), key=lambda entry: entry.number)

    def everybody(self) -> list[Entry[T]]:
        return [entry for line in self._lines.values() for entry in line.values()]

    def of(self, key: Hashable) -> Iterable[Entry[T]]:
        return self._lines.get(key, _NOBODY).values()


_NOBODY: OrderedDict[int, Entry[Any]] = OrderedDict()

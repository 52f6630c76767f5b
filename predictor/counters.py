"""Plain numbers about requests. `predictor.export` shows them as metrics, when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from dataclasses import dataclass, field

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
LATELY_S = 10.0
"""Over which waits are averaged."""


@dataclass(slots=True)
class Durations:
    """A histogram: `counts[i]` durations were at most `BOUNDS_S[i]` and over the bound before; the last, over all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds


@dataclass(slots=True)
class Waits:
    """How long requests wait for a thread. Threads call `begun`, the event loop all else."""

    waiting: dict[int, float] = field(default_factory=dict)
    """Since when, by number."""
    lately: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=1000))
    """(when it began to be computed, how long it had waited)"""
    _number: int = 0

    def enter(self, now_s: float) -> int:
        """One waits from now on; returns its number."""
        self._number += 1
        self.waiting[self._number] = now_s
        return self._number

    def begun(self, number: int, now_s: float) -> None:
        """Its turn has come."""
        since_s = self.waiting.pop(number, None)
        if since_s is not None:
            self.lately.append((now_s, now_s - since_s))

    def left(self, number: int) -> None:
        """It does not wait any more, whether its turn came or not."""
        self.waiting.pop(number, None)

    def seconds(self, now_s: float) -> float:
        """Return how long one waits at present: on average lately, or as long as the first in line already has."""
        waits = [wait_s for when_s, wait_s in list(self.lately) if now_s - when_s <= LATELY_S]
        average_s = sum(waits) / len(waits) if waits else 0.0
        return max(average_s, now_s - min(self.waiting.values(), default=now_s))


@dataclass(slots=True)
class Counters:
    """Belongs to the event loop."""

    in_flight: int = 0
    waits: Waits = field(default_factory=Waits)
    codes: defaultdict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    """By protocol and first digit of the status."""
    durations: defaultdict[str, Durations] = field(default_factory=lambda: defaultdict(Durations))
    """By protocol."""

    def answered(self, protocol: str, status: int, seconds: float) -> None:
        self.codes[protocol, status // 100] += 1
        self.durations[protocol].add(seconds)

"""Plain numbers that the hot path adds to; `activator.export` shows them as metrics when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

DURATION_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Buckets:
    """A histogram: how many values were up to each bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = DURATION_BOUNDS_S) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class Counters:
    """Of one revision, since this process started."""

    codes: list[int] = field(default_factory=lambda: [0] * 10)
    """Answers by the first digit of their status, ours and the pods'."""
    durations: Buckets = field(default_factory=Buckets)
    """From arrival to the last byte."""
    waits: Buckets = field(default_factory=Buckets)
    """In the queue; of those that had to wait."""
    upstream_errors: int = 0
    """Pods that broke off, answered nonsense, or were too slow."""
    retries: int = 0
    """Requests offered to a pod again, because the first refused the connection."""
    disconnects: int = 0
    """Clients that left before their answer was complete."""

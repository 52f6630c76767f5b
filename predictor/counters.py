"""Plain numbers about requests. `predictor.export` shows them as metrics, when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(slots=True)
class Durations:
    """A histogram: `counts[i]` durations were at most `BOUNDS_S[i]` and over the bound before; the last, over all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds


@dataclass(slots=True)
class Counters:
    """Belongs to the event loop."""

    in_flight: int = 0
    codes: defaultdict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    """By protocol and first digit of the status."""
    durations: defaultdict[str, Durations] = field(default_factory=lambda: defaultdict(Durations))
    """By protocol."""

    def answered(self, protocol: str, status: int, seconds: float) -> None:
        self.codes[protocol, status // 100] += 1
        self.durations[protocol].add(seconds)

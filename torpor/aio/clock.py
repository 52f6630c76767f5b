"""Where time comes from. Everything that waits or measures is handed one of these."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time; tests pass one that they move by hand."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations and deadlines."""

    def wall(self) -> float:
        """Return seconds since 1970, for timestamps that people and other machines read."""


class SystemClock:
    """The machine's own clock. Asked several times for every request, so no call of ours stands before it."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

"""Foretell from what was measured how long a start or a queue will still take."""

from __future__ import annotations

import math
from collections.abc import Collection

KEPT = 32
"""Starts of a revision that are remembered, the newest: nodes, caches and weights change."""
WORTH_WAITING = 0.25
"""Whoever would have been in time in fewer of the starts that were measured is told so at once."""
ENOUGH = 4
"""With fewer starts like the one that is under way nobody is refused: one that was slow for once decides nothing."""
USUAL = 0.5
"""The quantile that is told as the time a start still takes."""
MEMORY_S = 10.0
"""After so long a change of pace counts for two thirds."""


def chance(starts: Collection[float], elapsed_s: float, left_s: float) -> float | None:
    """Return in which share of the starts that took longer than `elapsed_s` who has `left_s` was in time.

    None where no measured start took that long: nothing is known of this one.
    """
    comparable = [start_s for start_s in starts if start_s > elapsed_s]
    if not comparable:
        return None
    return sum(start_s - elapsed_s <= left_s for start_s in comparable) / len(comparable)


def remaining(starts: Collection[float], elapsed_s: float, quantile: float = USUAL) -> float | None:
    """Return how long a start that has taken `elapsed_s` still takes; None where nothing is known of such starts."""
    comparable = sorted(start_s for start_s in starts if start_s > elapsed_s)
    if not comparable:
        return None
    return comparable[max(0, math.ceil(quantile * len(comparable)) - 1)] - elapsed_s


def is_vain(starts: Collection[float], elapsed_s: float, left_s: float) -> bool:
    """Tell whether to wait for a start is most likely in vain. Where too little is known it is not."""
    if sum(start_s > elapsed_s for start_s in starts) < ENOUGH:
        return False
    known = chance(starts, elapsed_s, left_s)
    return known is not None and known < WORTH_WAITING


def retry_after(start_s: float | None, queued: int, pace: float | None, longest_s: float) -> float | None:
    """Return after how long another try is worth it: when the start is over, and who waits now has been served.

    `pace`: how many are served each second. `longest_s`: how long anybody waits; then all who wait now are gone.
    None where neither start nor pace is known.
    """
    drain_s = queued / pace if pace else None
    if start_s is None and drain_s is None:
        return None
    return min(longest_s, (start_s or 0.0) + (drain_s or 0.0))


class History:
    """How long the starts of one revision took: from the first request that waited to the first pod that was ready."""

    __slots__ = ("_since_s", "_touched_s", "starts")

    FORGOTTEN_S = 5.0
    """When nobody has waited for so long and no pod is starting, the next demand begins another start."""

    def __init__(self) -> None:
        self.starts: tuple[float, ...] = ()
        self._since_s: float | None = None
        self._touched_s = 0.0

    def wanted(self, now_s: float, *, under_way: bool) -> None:
        """Somebody wants a pod and there is none. `under_way`: others wait already, or a pod is starting."""
        if self._since_s is None or not (under_way or now_s - self._touched_s <= self.FORGOTTEN_S):
            self._since_s = now_s
        self._touched_s = now_s

    def started(self, now_s: float, longest_s: float = math.inf) -> None:
        """The first pod is ready.

        What took longer than anybody waits (`longest_s`) is not counted: who began it saw no end of it, and for most of
        that time there may have been no start at all, because no pod could be made.
        """
        if self._since_s is not None:
            start_s = now_s - self._since_s
            self._since_s = None
            if start_s <= longest_s:
                self.starts = (*self.starts, start_s)[-KEPT:]

    def failed(self) -> None:
        """The start came to nothing: how long it took says nothing of others."""
        self._since_s = None

    def elapsed_s(self, now_s: float) -> float:
        """Return how long the start that is under way has taken."""
        return 0.0 if self._since_s is None else now_s - self._since_s


class Pace:
    """How many requests leave a queue each second, while there is one."""

    __slots__ = ("per_s",)

    def __init__(self) -> None:
        self.per_s: float | None = None
        """None: not known."""

    def note(self, served: int, seconds: float) -> None:
        """Take in how many left in so long a time; only of times in which somebody waited."""
        if seconds <= 0:
            return
        pace = served / seconds
        if self.per_s is None:
            self.per_s = pace
        else:
            self.per_s += (pace - self.per_s) * (1.0 - math.exp(-seconds / MEMORY_S))

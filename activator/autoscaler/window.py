"""Average a load over the last seconds, from what was seen in each of them."""

from __future__ import annotations

import math
from array import array

from torpor.spec.autoscaling import Aggregation

_NEVER = -1
# Knative's: the newest second weighs at least a fifth, and the weights of the window sum to 0.9999.
_MIN_DECAY = 0.2
_WEIGHT_LEFT_OUT = 0.0001


class Window:
    """A ring of one-second buckets.

    A second in which nothing was recorded is unknown, not zero: it is left out of the average. So a window that
    is younger than its length gives the average of what there is, and one that lost its source gives None in the end.
    """

    __slots__ = ("_area", "_decay", "_known", "_second")

    def __init__(self, seconds: float, aggregation: Aggregation = Aggregation.LINEAR) -> None:
        length = max(1, math.ceil(seconds))
        # Of each bucket: which second it holds now, how much of that second is known, and load times that time.
        self._second = array("q", [_NEVER]) * length
        self._known = array("d", [0.0]) * length
        self._area = array("d", [0.0]) * length
        self._decay = 0.0
        if aggregation is Aggregation.WEIGHTED_EXPONENTIAL:
            self._decay = max(_MIN_DECAY, 1.0 - _WEIGHT_LEFT_OUT ** (1.0 / length))

    def record(self, start_s: float, end_s: float, load: float) -> None:
        """Add that the load was `load` on average between two times; they may be older than what is known already."""
        length = len(self._second)
        last = math.ceil(end_s) - 1
        for second in range(max(math.floor(start_s), last - length + 1), last + 1):
            part = min(end_s, second + 1.0) - max(start_s, float(second))
            slot = second % length
            if part <= 0 or second < self._second[slot]:  # the ring has moved on: too old to matter
                continue
            if second > self._second[slot]:
                self._second[slot], self._known[slot], self._area[slot] = second, 0.0, 0.0
            self._known[slot] += part
            self._area[slot] += part * load

    def average(self, now_s: float) -> float | None:
        """Return the average over the window that ends at `now_s`; None where nothing in it is known."""
        now = math.ceil(now_s) - 1  # the last second that has begun to pass
        oldest = now - len(self._second)
        weights = total = 0.0
        if not self._decay:  # the usual case; taken for every awake revision at every tick
            for second, known, area in zip(self._second, self._known, self._area, strict=True):
                if oldest < second <= now:
                    weights += known
                    total += area
            return round(total / weights, 6) if weights > 0 else None
        for second, known, area in zip(self._second, self._known, self._area, strict=True):
            if not oldest < second <= now:
                continue
            weight = (1.0 - self._decay) ** (now - second)
            weights += weight * known
            total += weight * area
        # Six digits, as Knative: 50.000000000001 requests must not ask for a pod more than 50.
        return round(total / weights, 6) if weights > 0 else None

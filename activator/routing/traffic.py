"""Draw the revision that a request goes to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Traffic:
    """Revisions, and how the requests are divided among them."""

    revisions: tuple[tuple[str, str], ...] = ()
    """(namespace, name) of each."""
    bounds: tuple[int, ...] = ()
    """For each the sum of the weights up to and with its own."""

    @classmethod
    def of(cls, namespace: str, weights: Iterable[tuple[str, int]]) -> Traffic:
        """Take (revision, weight) in order; those without weight are never drawn and left out."""
        drawn: dict[str, int] = {}
        for name, weight in weights:
            if weight > 0:
                drawn[name] = drawn.get(name, 0) + weight
        return cls(tuple((namespace, name) for name in drawn), tuple(accumulate(drawn.values())))


def draw(traffic: Traffic, dice: float) -> tuple[str, str] | None:
    """Return a revision, each as often as its weight says; `dice` is in [0, 1). None where there is no revision."""
    if not traffic.revisions:
        return None
    if len(traffic.revisions) == 1:
        return traffic.revisions[0]
    return traffic.revisions[bisect_right(traffic.bounds, dice * traffic.bounds[-1])]

"""Choose the pod that a request goes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

FEW = 8
"""Up to here every pod is looked at; beyond, two at random are nearly as good, however many there are."""

RAMP_START = 64
"""Requests that a pod without a concurrency limit gets at first, however many wait."""
UNLIMITED = 2**20


class Candidate(Protocol):
    """A pod as the balancer sees it."""

    @property
    def in_flight(self) -> int:
        """Requests it is serving."""

    @property
    def limit(self) -> int:
        """Requests it may serve at once."""


P = TypeVar("P", bound=Candidate)


def choose(pods: Sequence[P], dice: float) -> P | None:
    """Return the pod for one request, None where none has room; `dice` in [0, 1) decides between equals.

    Of few the least loaded; of many the less loaded of two, unless both are full.
    """
    count = len(pods)
    if count == 1:
        pod = pods[0]
        return pod if pod.in_flight < pod.limit else None
    if count > FEW:
        first = int(dice * count)
        # The dice's remainder is as random as the dice. Of the others, so never the same twice.
        second = (first + 1 + int((dice * count - first) * (count - 1))) % count
        one, other = pods[first], pods[second]
        better = one if one.in_flight <= other.in_flight else other
        if better.in_flight < better.limit:
            return better
    return _least_loaded(pods, int(dice * count))


def _least_loaded(pods: Sequence[P], start: int) -> P | None:
    """Return the least loaded pod with room; among equals the first from `start` on, around."""
    best: P | None = None
    for pods_from in (pods[start:], pods[:start]):
        for pod in pods_from:
            if pod.in_flight < pod.limit and (best is None or pod.in_flight < best.in_flight):
                best = pod
    return best


def grown(limit: int, factor: int = 2) -> int:
    """Return the next limit of a pod that is still in its ramp."""
    return min(UNLIMITED, limit * factor)

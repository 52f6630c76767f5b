"""Which of a revision's slots are ours, where several activators send requests to the same pods.

The slots of all pods are dealt out like cards: one after the other to one activator after the other. So everybody's
parts differ by one at most, no slot is two activators', and nobody is without as long as there are enough.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of everything is ours."""

    members: int = 1
    """Activators that are there."""
    rank: int = 0
    """Ours among them, from 0."""


ALL = Share()


def slots(concurrency: int, position: int, pods: int, share: Share) -> int:
    """Return how many of one pod's slots are ours.

    `concurrency` is every pod's, `position` the pod's place among all `pods` of them in an order that is the same for
    everybody. Where there are fewer slots than activators, each has one all the same: the others' clients would wait
    for ever, and who sees to it that a pod never has two requests runs one activator, or lets more pods start.
    """
    members, rank = share.members, share.rank
    if concurrency * pods < members:
        return int(position == rank % pods)
    whole, rest = divmod(concurrency, members)
    first = position * concurrency  # the number of this pod's first card
    return whole + int((rank - first) % members < rest)

"""Where items go when two lists become one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def interleave(wanted: Sequence[K], others: Sequence[K], before: Sequence[K]) -> list[K]:
    """Return `wanted` in its order, with `others` put where they stood among them `before`, as far as that goes.

    Both sequences keep their own order; items that cannot be compared go behind `wanted`.
    """
    place = {key: index for index, key in enumerate(before)}
    merged: list[K] = []
    rest = list(others)
    for key in wanted:
        while rest and rest[0] in place and key in place and place[rest[0]] < place[key]:
            merged.append(rest.pop(0))
        merged.append(key)
    return merged + rest


def joined(live: Sequence[K], wanted: Sequence[K]) -> list[K]:
    """Return the keys of both as server-side apply orders them.

    What is `wanted` is in its order, everything else of `live` comes as early as its own order allows.
    """
    asked, there = set(wanted), set(live)
    order = [key for key in wanted if key in there]  # what both have, as it is wanted
    merged: list[K] = []
    left, right = list(live), list(wanted)
    while left or right:
        if left and left[0] not in asked:
            merged.append(left.pop(0))
        elif left and (not order or left[0] != order[0]):
            left.pop(0)  # its turn comes, or has been, where it is wanted
        else:
            key = right.pop(0)
            merged.append(key)
            if order and key == order[0]:
                order.pop(0)
    return merged

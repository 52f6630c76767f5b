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

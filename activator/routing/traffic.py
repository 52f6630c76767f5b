"""Divide the requests for a name among revisions, exactly as the weights say."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import gcd

LONGEST = 10_000
"""Turns of one cycle, whatever the weights: those of the API sum to 100."""

RevisionKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Revisions, how the requests are divided among them, and whose turn it is."""

    revisions: tuple[RevisionKey, ...] = ()
    """(namespace, name) of each."""
    weights: tuple[int, ...] = ()
    """Of each, more than 0."""
    phase: float = field(default=0.0, compare=False)
    """Where in the cycle to begin, in [0, 1). Many activators that began alike would agree on whom to flood."""
    next: Callable[[], RevisionKey | None] = field(init=False, compare=False, repr=False)
    """Return the revision for the next request, each as often as its weight says; None where there is no revision."""

    def __post_init__(self) -> None:
        if len(self.revisions) > 1:
            turns = [self.revisions[turn] for turn in cycle(self.weights)]
            begin = int(self.phase * len(turns))
            endless: itertools.cycle[RevisionKey] = itertools.cycle(turns[begin:] + turns[:begin])
            object.__setattr__(self, "next", endless.__next__)
        else:
            only = self.revisions[0] if self.revisions else None
            object.__setattr__(self, "next", itertools.repeat(only).__next__)

    @classmethod
    def of(cls, namespace: str, weights: Iterable[tuple[str, int]], phase: float = 0.0) -> Traffic:
        """Take (revision, weight) in order; those without weight are never chosen and left out."""
        shares: dict[str, int] = {}
        for name, weight in weights:
            if weight > 0:
                shares[name] = shares.get(name, 0) + weight
        return cls(tuple((namespace, name) for name in shares), tuple(shares.values()), phase)


@lru_cache(maxsize=256)
def cycle(weights: Sequence[int]) -> tuple[int, ...]:
    """Return whose turn it is, again and again: of any requests in a row each has its share, to within two.

    Tijdeman's chairman assignment (1980): after k turns nobody's count differs from k times its share by as much as 1,
    which is the least there can be. Of those who may take a turn without getting too far ahead, the one takes it
    who would be too far behind first.
    """
    common = gcd(*weights)
    shares = [weight // common for weight in weights]
    total = sum(shares)
    if total > LONGEST:
        shares = [max(1, share * LONGEST // total) for share in shares]
        total = sum(shares)
    if len(shares) == 1:
        return (0,)
    scale = 2 * len(shares) - 2
    had = [0] * len(shares)
    turns: list[int] = []
    for turn in range(1, total + 1):
        may = [at for at, share in enumerate(shares) if scale * (turn * share - total * had[at]) >= total]
        chosen = min(may, key=lambda at: (scale * (had[at] + 1) - 1) / shares[at])
        had[chosen] += 1
        turns.append(chosen)
    return tuple(turns)

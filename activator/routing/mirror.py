"""Which requests for a name are also sent, as copies, to another revision."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from activator.routing.traffic import RevisionKey, cycle
from torpor.spec.mirror import MirrorTarget


@dataclass(frozen=True, slots=True)
class Mirror:
    """A revision that gets copies."""

    revision: RevisionKey
    percent: int
    wake: bool
    """Copies wake it when it sleeps."""
    phase: float = field(default=0.0, compare=False)
    due: Callable[[], bool] = field(init=False, compare=False, repr=False)
    """Tell whether the next request is to be copied: exactly `percent` of any hundred are."""

    def __post_init__(self) -> None:
        if self.percent >= 100:
            object.__setattr__(self, "due", itertools.repeat(object=True).__next__)
            return
        turns = [turn == 0 for turn in cycle((self.percent, 100 - self.percent))]
        begin = int(self.phase * len(turns))
        endless: itertools.cycle[bool] = itertools.cycle(turns[begin:] + turns[:begin])
        object.__setattr__(self, "due", endless.__next__)

    @classmethod
    def of(cls, namespace: str, target: MirrorTarget, phase: float = 0.0) -> Mirror:
        """Take what an annotation says."""
        return cls((namespace, target.revision), target.percent, target.wake, phase)

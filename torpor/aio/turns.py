"""Long work on the event loop in slices, so that others have their turn in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from torpor.aio.clock import Clock


class Turn:
    """How long the event loop is kept at a time, and how long it was in all.

    Work that uses it is a generator: it yields when its turn `is_over`, and says `begin` when it goes on.
    """

    def __init__(self, clock: Clock, limit_s: float) -> None:
        self._now_s = clock.monotonic
        self._limit_s = limit_s
        self._before_s = 0.0
        self._began_s = self._now_s()

    def is_over(self) -> bool:
        """Tell whether it is for others to go on; `begin` when they have."""
        if self._now_s() - self._began_s < self._limit_s:
            return False
        self._before_s = self.taken_s()
        return True

    def begin(self) -> None:
        """Go on."""
        self._began_s = self._now_s()

    def taken_s(self) -> float:
        """Return the seconds of all turns, without what others did between them."""
        return self._before_s + self._now_s() - self._began_s


def at_once(steps: Iterator[None]) -> None:
    """Do all of the work, and leave nobody a turn."""
    for _ in steps:
        pass


async def by_turns(steps: Iterator[None]) -> None:
    """Do all of the work, with the event loop free for a moment after each step, the last one too."""
    for _ in steps:
        await asyncio.sleep(0)
    await asyncio.sleep(0)

"""Decide where a model computes: in a thread, or, where it is always done at once, on the event loop itself."""

from __future__ import annotations

from dataclasses import dataclass

BRIEF_S = 0.0003
"""To go to a thread and back costs 25 µs of work and, for a lone client, 100 µs of waiting for it to wake."""
LONG_S = 0.005
"""For so long the loop may be late for somebody else once, and not again."""
TRIAL = 32
"""Brief computations in a row before the next is made on the loop."""
MOST_TRIAL = 1_000_000
SMALL_BYTES = 16 * 1024
"""Larger requests go to a thread, however brief those before were: what they take follows their size."""


@dataclass(slots=True)
class Pace:
    """What is known of one model: how many computations in a row were brief, and how many it takes to trust it."""

    streak: int = 0
    trial: int = TRIAL

    def is_brief(self, length: int) -> bool:
        """Tell whether a request of so many bytes may be computed on the loop."""
        return self.streak >= self.trial and length <= SMALL_BYTES

    def took(self, seconds: float, *, on_loop: bool) -> None:
        """Learn from one computation. A long one on the loop makes the next trial eight times as long."""
        if seconds < BRIEF_S:
            self.streak += 1
            return
        self.streak = 0
        if on_loop and seconds >= LONG_S:
            self.trial = min(self.trial * 8, MOST_TRIAL)

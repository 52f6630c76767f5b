"""What one version of a model takes, and how often it came and went."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from predictor.memory.amount import Amount

_uses = itertools.count(1)


@dataclass(slots=True)
class Stay:
    """Belongs to the event loop."""

    takes: Amount | None = None
    """Measured when it was loaded last; None: it never was."""
    loads: int = 0
    load_s: float = 0.0
    """Of all loads together, the wait for room included."""
    evictions: int = 0
    last_use: int = 0
    """Grows with every use of any model."""

    def used(self) -> None:
        """It is the one that was used last."""
        self.last_use = next(_uses)

    def loaded(self, takes: Amount, seconds: float) -> None:
        self.takes = takes
        self.loads += 1
        self.load_s += seconds

"""A model together with what must be given back when it is closed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

from predictor.model import Model


@dataclass(frozen=True, slots=True)
class Held:
    """An open model."""

    model: Model
    resources: ExitStack = field(default_factory=ExitStack)
    """Closes the model, then gives back its files."""

    def close(self) -> None:
        """Give memory and files back; blocks."""
        self.resources.close()

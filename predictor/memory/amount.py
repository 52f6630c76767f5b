"""Bytes of the machine's memory and of the accelerator's, and limits on both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

KINDS = ("host", "gpu")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Amount:
    """Bytes."""

    host: int = 0
    gpu: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.host + other.host, self.gpu + other.gpu)

    def of(self, kind: str) -> int:
        return self.host if kind == "host" else self.gpu


@dataclass(frozen=True, slots=True)
class Budget:
    """How many bytes all models together may take; None: as many as there are."""

    host: int | None = None
    gpu: int | None = None

    @property
    def is_limited(self) -> bool:
        return self.host is not None or self.gpu is not None

    def of(self, kind: str) -> int | None:
        return self.host if kind == "host" else self.gpu

    def lacks(self, taken: Amount) -> Amount:
        """Return how many bytes must be given back until this much is within the budget."""
        return Amount(_over(taken.host, self.host), _over(taken.gpu, self.gpu))


def total(amounts: Iterable[Amount]) -> Amount:
    return sum(amounts, Amount())


def words(count: int) -> str:
    """Return the number as a person reads it: 3.2 GiB."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def _over(taken: int, limit: int | None) -> int:
    return 0 if limit is None else max(0, taken - limit)

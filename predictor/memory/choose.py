"""Decide which models go so that another one fits: the least recently used first, none that is in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from predictor.memory.amount import KINDS, Amount, Budget, total, words
from torpor.errors import LoadError

T = TypeVar("T")

SETTINGS = {"host": "TORPOR_PREDICTOR_MEMORY_BUDGET", "gpu": "TORPOR_PREDICTOR_GPU_MEMORY_BUDGET"}
_PLACES = {"host": "memory", "gpu": "the GPU's memory"}


@dataclass(frozen=True, slots=True)
class Holding(Generic[T]):
    """A model that is here, or on its way out."""

    of: T
    name: str
    takes: Amount
    last_use: int
    """Grows with every use of any model."""
    is_used: bool = False
    """Requests that have it are not answered yet."""
    is_pinned: bool = False
    """It stays, whatever comes."""
    is_leaving: bool = False
    """It goes anyway, as soon as those requests are answered."""


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """What makes the room; both empty: there is room."""

    go: tuple[Holding[T], ...] = ()
    """These may go at once; least recently used first."""
    awaited: tuple[Holding[T], ...] = ()
    """These are in use, and must go as well: no new request may have them until they have gone."""


def choose(name: str, need: Amount, budget: Budget, here: Sequence[Holding[T]]) -> Choice[T]:
    """Return what goes so that model `name`, which needs this much, fits beside the rest.

    What leaves anyway is counted on first, then what is idle, then what is in use. What would not help stays. Raises
    LoadError, naming budget, need and what stays, if even all of it did not suffice.
    """
    taken = total(each.takes for each in here) + need
    chosen: list[Holding[T]] = []
    for each in sorted((each for each in here if not each.is_pinned), key=_order):
        lacks = budget.lacks(taken)
        if any(lacks.of(kind) and each.takes.of(kind) for kind in KINDS):
            chosen.append(each)
            taken = Amount(taken.host - each.takes.host, taken.gpu - each.takes.gpu)
    lacks = budget.lacks(taken)
    for kind in KINDS:
        if lacks.of(kind):
            raise _too_large(name, need, budget, [each for each in here if each not in chosen], kind)
    return Choice(
        tuple(each for each in chosen if not _is_awaited(each)), tuple(each for each in chosen if _is_awaited(each))
    )


def _order(holding: Holding[T]) -> tuple[bool, bool, int]:
    return not holding.is_leaving, holding.is_used, holding.last_use


def _is_awaited(holding: Holding[T]) -> bool:
    return holding.is_used or holding.is_leaving


def _too_large(name: str, need: Amount, budget: Budget, staying: Sequence[Holding[T]], kind: str) -> LoadError:
    limit = budget.of(kind)
    assert limit is not None  # noqa: S101  # nothing lacks where there is no limit
    held = ", ".join(f"{each.name} {words(each.takes.of(kind))}" for each in staying if each.takes.of(kind))
    return LoadError(
        "open",
        f"model {name!r} needs {words(need.of(kind))} of {_PLACES[kind]}, and all models together may take"
        f" {words(limit)} ({SETTINGS[kind]}); what stays here takes {held or 'nothing'}",
    )

"""What a process holds once it has read everything is not looked at again."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Iterator

import pytest

from torpor.aio import garbage

MANY = 10_000


class Thing:
    """May be in a cycle, and be seen to go."""

    def __init__(self) -> None:
        self.other: Thing | None = None


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """What other tests have left, a connection perhaps, is not for these to find."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    yield
    gc.unfreeze()


def test_what_is_here_is_not_looked_at_again() -> None:
    """Of all that there is, a full collection has only what came later to look at."""
    held = [[number] for number in range(MANY)]
    garbage.settle()
    later: list[object] = []
    later.append(later)
    assert gc.get_freeze_count() >= MANY
    looked_at = gc.get_objects()
    assert len(looked_at) < MANY / 10
    assert any(each is later for each in looked_at)
    assert len(held) == MANY


def test_what_is_replaced_goes_as_ever() -> None:
    """By its count of references; a cycle that is there already is collected before."""
    thing, cycle = Thing(), Thing()
    cycle.other = cycle
    gone, collected = weakref.ref(thing), weakref.ref(cycle)
    del cycle
    garbage.settle()
    assert collected() is None
    del thing
    assert gone() is None

"""Requests whose clients come back: bounded in number, bytes and time."""

from __future__ import annotations

import pytest

from activator.settings import Deferring
from activator.waiting.shelf import Deferred, Shelf
from activator.waiting.stages import WAKE, Stage
from torpor.errors import DeadlineError, UnavailableError

LIMITS = Deferring(deferred_requests=2, deferred_bytes=100, deferred_kept_s=60)


class Run:
    """Fits `activator.waiting.shelf.Running`."""

    def __init__(self) -> None:
        self.watched: list[float] = []
        self.abandoned = 0

    def stage(self) -> Stage:
        return WAKE

    def watch(self, now_s: float) -> None:
        self.watched.append(now_s)

    def abandon(self) -> None:
        self.abandoned += 1


def opened(shelf: Shelf, now_s: float = 0.0) -> tuple[Deferred, Run]:
    deferred, run = shelf.open("default", now_s), Run()
    deferred.running = run
    return deferred, run


def test_only_who_has_the_id_finds_it_and_only_where_it_was_asked() -> None:
    """Ids are long, and no two are alike."""
    shelf = Shelf(LIMITS)
    first, second = opened(shelf)[0], opened(shelf)[0]
    assert shelf.find("default", first.id) is first
    assert shelf.find("other", first.id) is None
    assert shelf.find("default", first.id[:-1]) is None
    assert first.id != second.id
    assert len(first.id) == 32


def test_there_is_room_for_so_many() -> None:
    """It is told when the next one is forgotten, if that is known."""
    shelf = Shelf(LIMITS)
    first, _ = opened(shelf)
    opened(shelf)
    with pytest.raises(UnavailableError, match="2 requests wait for their clients") as refused:
        shelf.open("default", 10.0)
    assert refused.value.retry_after_s is None
    first.end(None, 20.0)
    with pytest.raises(UnavailableError) as refused:
        shelf.open("default", 30.0)
    assert refused.value.retry_after_s == 50.0
    shelf.drop(first)
    opened(shelf)


def test_there_is_room_for_so_many_bytes() -> None:
    """Of requests until they are done, of answers until they are forgotten."""
    shelf = Shelf(LIMITS)
    first, second = opened(shelf)[0], opened(shelf)[0]
    first.keep(60)
    second.keep(40)
    with pytest.raises(UnavailableError, match="100 bytes are kept"):
        second.keep(1)
    first.body += b"answer"
    first.end(None, 0.0)
    assert shelf.held == 46
    second.end(DeadlineError("late"), 0.0)
    assert shelf.held == 6
    shelf.drop(first)
    assert shelf.held == 0


def test_an_answer_is_kept_for_so_long() -> None:
    """Counted from when it was there."""
    shelf = Shelf(LIMITS)
    deferred, run = opened(shelf)
    shelf.watch(1000.0)
    assert run.watched == [1000.0]
    deferred.end(None, 1000.0)
    shelf.watch(1060.0)
    assert shelf.find("default", deferred.id) is deferred
    shelf.watch(1060.1)
    assert shelf.find("default", deferred.id) is None
    assert run.watched == [1000.0]


def test_what_is_dropped_is_given_up() -> None:
    """Once; what was done is only forgotten."""
    shelf = Shelf(LIMITS)
    running, run = opened(shelf)
    done, finished = opened(shelf)
    done.end(None, 0.0)
    shelf.drop(running)
    shelf.drop(running)
    shelf.close()
    assert (run.abandoned, finished.abandoned, len(shelf)) == (1, 0, 0)

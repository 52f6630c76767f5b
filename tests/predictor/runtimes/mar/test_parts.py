"""Code that sends, as a generator that gives."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from predictor.runtimes.mar.parts import AHEAD, NobodyTakesError, given_by

Send = Callable[[int], None]


def test_what_is_sent_is_given_in_order() -> None:
    """All of it, and then it ends."""

    def run(send: Send) -> None:
        for each in range(3 * AHEAD):
            send(each)

    assert list(given_by(run)) == list(range(3 * AHEAD))


def test_what_it_raises_is_raised_after_what_it_sent() -> None:
    """Where it is taken."""

    def run(send: Send) -> None:
        send(1)
        raise KeyError("x")

    found = given_by(run)
    assert next(found) == 1
    with pytest.raises(KeyError, match="x"):
        next(found)


def test_who_leaves_is_told_to_the_code_when_it_sends_on() -> None:
    """Even while it waits for room."""
    sent: list[int] = []
    ended = threading.Event()

    def run(send: Send) -> None:
        try:
            for each in range(1000):
                send(each)
                sent.append(each)
        except NobodyTakesError:
            ended.set()
            raise

    found = given_by(run)
    assert next(found) == 0
    found.close()
    assert ended.wait(10)
    assert len(sent) <= AHEAD + 1

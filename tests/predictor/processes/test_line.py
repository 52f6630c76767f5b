"""Who gets which, in what order, and when nobody waits any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from predictor.processes.line import MOST_CRASHES, Line
from tests.support.until import until
from torpor.errors import UnavailableError


@pytest.fixture
def line() -> Line[str]:
    return Line(UnavailableError)


class Caller:
    """Takes one in a thread of its own, in which it may have to wait."""

    def __init__(self, line: Line[str]) -> None:
        self.got: Any = None
        self._line = line
        self.thread = threading.Thread(target=self._take, daemon=True)
        before = waiting(line)
        self.thread.start()
        while self.thread.is_alive() and waiting(line) == before:
            threading.Event().wait(0.001)

    def _take(self) -> None:
        try:
            self.got = self._line.take()
        except UnavailableError as error:
            self.got = str(error)

    def result(self) -> Any:
        self.thread.join(5)
        return self.got


def waiting(line: Line[str]) -> int:
    return len(line._waiting)


def test_who_came_first_is_served_first(line: Line[str]) -> None:
    callers = [Caller(line) for _ in range(3)]
    for each in "abc":
        line.join(each)
    assert [each.result() for each in callers] == ["a", "b", "c"]


def test_what_is_given_back_goes_to_who_waits(line: Line[str]) -> None:
    line.join("a")
    assert line.take() == "a"
    caller = Caller(line)
    assert line.give("a")
    assert caller.result() == "a"


def test_one_that_has_ended_is_lent_to_nobody(line: Line[str]) -> None:
    line.join("a")
    line.join("b")
    assert line.leave("a", "it crashed")
    assert line.take() == "b"
    assert not line.leave("b", "it crashed"), "somebody has it"
    assert not line.give("b")
    assert line.there == 0


def crash(line: Line[str], times: int) -> None:
    for _ in range(times):
        line.join("a")
        line.take()
        line.leave("a", "it crashed")


def test_after_too_many_crashes_nobody_waits(line: Line[str]) -> None:
    crash(line, MOST_CRASHES - 1)
    caller = Caller(line)
    assert not line.trouble
    line.leave(None, "it did not start")
    assert caller.result() == line.trouble == "5 ends in a row without an answer, the last: it did not start"
    with pytest.raises(UnavailableError, match="5 ends in a row"):
        line.take()


def test_trouble_is_over_when_one_is_there_again(line: Line[str]) -> None:
    crash(line, MOST_CRASHES)
    assert line.trouble
    line.join("a")
    assert not line.trouble
    assert line.take() == "a"


def test_an_answer_ends_the_row(line: Line[str]) -> None:
    crash(line, MOST_CRASHES - 1)
    line.join("a")
    line.give(line.take())
    assert line.crashes == 0
    line.take()
    line.leave("a", "it crashed")
    assert not line.trouble


def test_while_others_are_there_crashes_refuse_nobody(line: Line[str]) -> None:
    line.join("well")
    crash_one: Callable[[], None] = lambda: (line.join("ill"), line.leave("ill", "it crashed"))  # noqa: E731
    for _ in range(2 * MOST_CRASHES):
        crash_one()
    assert not line.trouble
    assert line.take() == "well"


async def test_closed_it_tells_all_who_wait(line: Line[str]) -> None:
    caller = Caller(line)
    line.close("it is closed")
    await until(lambda: caller.got == "it is closed")
    line.join("a")
    with pytest.raises(UnavailableError, match="it is closed"):
        line.take()

"""What is foretold of a start from those that were measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.throttle.foresight import KEPT, History, Pace, chance, is_vain, remaining, retry_after

STARTS = [10.0, 11.0, 12.0, 20.0]


@pytest.mark.parametrize(
    ("starts", "elapsed_s", "left_s", "in_time", "vain"),
    [
        pytest.param([], 0, 1, None, False, id="nothing known: wait"),
        pytest.param([10.0] * 3, 0, 1, 0.0, False, id="three took longer: too few to refuse anybody"),
        pytest.param([10.0] * 4, 0, 1, 0.0, True, id="four did"),
        pytest.param([5.0] * 31 + [400.0], 5.4, 60, 0.0, False, id="a single slow one decides nothing"),
        pytest.param([10.0], 0, 10, 1.0, False, id="just in time"),
        pytest.param(STARTS, 0, 9, 0.0, True, id="all took longer"),
        pytest.param(STARTS, 0, 10, 0.25, False, id="one in four was in time: worth waiting"),
        pytest.param(STARTS, 0, 300, 1.0, False, id="all were in time"),
        pytest.param(STARTS, 9, 1, 0.25, False, id="a start that is under way has less to go"),
        pytest.param(STARTS, 9, 0.5, 0.0, True, id="but not that little"),
        pytest.param(STARTS, 15, 4, 0.0, False, id="of slow ones only the slow are like it, and this is one alone"),
        pytest.param(STARTS * 4, 15, 4, 0.0, True, id="of slow ones there are four"),
        pytest.param(STARTS, 15, 5, 1.0, False, id="and may be in time"),
        pytest.param(STARTS, 25, 1, None, False, id="slower than any: nothing is known"),
    ],
)
def test_whether_it_is_worth_waiting(
    starts: list[float], elapsed_s: float, left_s: float, in_time: float | None, *, vain: bool
) -> None:
    """By the share of comparable starts that were over in time."""
    assert chance(starts, elapsed_s, left_s) == in_time
    assert is_vain(starts, elapsed_s, left_s) is vain


@pytest.mark.parametrize(
    ("elapsed_s", "seconds"),
    [
        pytest.param(0, 11.0, id="the median"),
        pytest.param(10.5, 1.5, id="of those that took longer than it has taken"),
        pytest.param(19, 1.0, id="the last of them"),
        pytest.param(20, None, id="longer than any"),
    ],
)
def test_how_long_a_start_still_takes(elapsed_s: float, seconds: float | None) -> None:
    """What Retry-After says."""
    assert remaining(STARTS, elapsed_s) == seconds


times = st.floats(0.01, 1000)


@given(st.lists(times, max_size=40), times, times, times)
def test_more_time_never_makes_it_worse(starts: list[float], elapsed_s: float, left_s: float, more_s: float) -> None:
    """Who has more time is not refused where one with less is let wait."""
    if not is_vain(starts, elapsed_s, left_s):
        assert not is_vain(starts, elapsed_s, left_s + more_s)


@given(st.lists(times, min_size=1, max_size=40), times, st.floats(0, 1))
def test_what_remains_is_one_of_those_that_were_measured(
    starts: list[float], elapsed_s: float, quantile: float
) -> None:
    """Positive, and never longer than the longest start."""
    seconds = remaining(starts, elapsed_s, quantile)
    if seconds is None:
        assert max(starts) <= elapsed_s
    else:
        assert 0 < seconds <= max(starts)
        assert chance(starts, elapsed_s, seconds + 1e-9) is not None


@given(st.lists(times, min_size=1, max_size=40))
def test_who_has_the_time_that_is_told_is_let_wait(starts: list[float]) -> None:
    """Half of the starts are over by then: the two answers agree."""
    seconds = remaining(starts, 0.0)
    assert seconds is not None
    assert not is_vain(starts, 0.0, seconds)


@pytest.mark.parametrize(
    ("start_s", "queued", "pace", "seconds"),
    [
        pytest.param(None, 100, None, None, id="nothing known"),
        pytest.param(None, 100, 0.0, None, id="nobody is served at all"),
        pytest.param(7.0, 100, None, 7.0, id="the start is known"),
        pytest.param(None, 100, 20.0, 5.0, id="the pace is known"),
        pytest.param(7.0, 100, 20.0, 12.0, id="both"),
        pytest.param(None, 10_000, 1.0, 300.0, id="not longer than anybody waits"),
    ],
)
def test_when_another_try_is_worth_it(
    start_s: float | None, queued: int, pace: float | None, seconds: float | None
) -> None:
    """When the start is over and the queue as it is now has been served."""
    assert retry_after(start_s, queued, pace, 300.0) == seconds


def test_a_start_is_measured_from_the_first_demand() -> None:
    """Later ones do not begin it anew; nor does one that comes while a pod is starting though all others left."""
    history = History()
    history.wanted(100.0, under_way=False)
    history.wanted(103.0, under_way=True)
    history.wanted(120.0, under_way=True)
    assert history.elapsed_s(121.0) == 21.0
    history.started(125.0)
    assert list(history.starts) == [25.0]
    assert history.elapsed_s(130.0) == 0.0


def test_a_start_that_nobody_waited_out_is_not_confused_with_the_next() -> None:
    """A client that comes an hour later begins another, if nothing shows that the first goes on."""
    history = History()
    history.wanted(100.0, under_way=False)
    history.wanted(102.0, under_way=False)
    assert history.elapsed_s(102.0) == 2.0, "a moment later it is the same one"
    history.wanted(3700.0, under_way=False)
    history.started(3710.0)
    assert list(history.starts) == [10.0]


def test_a_start_that_failed_is_not_measured() -> None:
    """Nor is a pod that came without having been waited for."""
    history = History()
    history.wanted(100.0, under_way=False)
    history.failed()
    history.started(110.0)
    assert list(history.starts) == []


def test_what_nobody_waited_out_is_not_measured() -> None:
    """Nobody knows whether there was a start in all that time."""
    history = History()
    history.wanted(100.0, under_way=False)
    history.started(401.0, 300.0)
    assert list(history.starts) == []
    assert history.elapsed_s(500.0) == 0.0
    history.wanted(1000.0, under_way=False)
    history.started(1300.0, 300.0)
    assert list(history.starts) == [300.0]


def test_old_starts_are_forgotten() -> None:
    """The newest count, and no more than so many are kept."""
    history = History()
    for number in range(KEPT + 5):
        history.wanted(number * 1000.0, under_way=False)
        history.started(number * 1000.0 + number)
    assert list(history.starts) == [float(number) for number in range(5, KEPT + 5)]


def test_pace_is_what_was_measured_and_follows_a_change() -> None:
    """At first at once, then within some tens of seconds."""
    pace = Pace()
    assert pace.per_s is None
    pace.note(10, 1.0)
    assert pace.per_s == 10.0
    for _ in range(60):
        pace.note(50, 1.0)
    assert pace.per_s == pytest.approx(50, rel=0.01)
    pace.note(5, 0.0)
    assert pace.per_s == pytest.approx(50, rel=0.01)

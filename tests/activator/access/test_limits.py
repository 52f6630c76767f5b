"""The rate's law: N per second lets through N per second, whoever asks how fast, and never forgets or invents."""

from __future__ import annotations

import itertools
import random
import tracemalloc
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activator.access import limits
from activator.access.limits import Callers, Limited, Usage
from torpor.errors import OverLimitError
from torpor.spec.access import Quota, Rate, parse_access

SECONDS = 10.0


def passes(limited: tuple[Limited, ...], now_s: float) -> bool:
    try:
        limits.admit(limited, now_s)
    except OverLimitError:
        return False
    return True


def spelled(text: str) -> Rate:
    """The rate as a user gets it, default burst included."""
    rate = parse_access("x", f"anonymous=all; rate={text}").quota.rate
    assert rate is not None
    return rate


def admitted(rate: Rate, pause_s: Fraction, begin_s: float = 1000.0) -> int:
    """How many of those who come so often pass within ten seconds."""
    limited = (Limited("key", Quota(rate), Usage()),)
    times = itertools.takewhile(lambda at_s: at_s < SECONDS, (number * pause_s for number in itertools.count()))
    return sum(passes(limited, begin_s + float(at_s)) for at_s in times)


@pytest.mark.parametrize("per_second", [1, 2, 3, 7, 10, 33, 100, 333, 1000])
@pytest.mark.parametrize("times", ["1", "1.1", "1.5", "1.9", "3"])
def test_n_per_second_over_ten_seconds(per_second: int, times: str) -> None:
    """Clients that ask as often as they may, or much more often, get N ± 2 % through in ten seconds."""
    got = admitted(spelled(f"{per_second}/s"), 1 / (per_second * Fraction(times)))
    assert abs(got - per_second * SECONDS) <= 0.02 * per_second * SECONDS


@pytest.mark.parametrize(("text", "most"), [("600/m", 100), ("60/m", 10), ("36000/h", 100), ("6/m", 1)])
def test_per_minute_and_hour_are_even_too(text: str, most: int) -> None:
    """A minute's worth is not spent in its first second."""
    assert admitted(spelled(text), Fraction(1, 1000)) == pytest.approx(most, rel=0.02)


@given(st.integers(1, 100), st.floats(1.0, 5.0), st.integers(0, 2**32))
def test_n_per_second_for_clients_without_a_rhythm(per_second: int, times: float, seed: int) -> None:
    """Likewise where they come at random, often enough that one is always there soon after the next may pass."""
    dice = random.Random(seed)
    limited = (Limited("key", Quota(spelled(f"{per_second}/s")), Usage()),)
    now_s, end_s, got = 0.0, SECONDS, 0
    while now_s < end_s:
        got += passes(limited, now_s)
        now_s += dice.uniform(0, 1 / (per_second * times))
    assert abs(got - per_second * SECONDS) <= max(1, 0.02 * per_second * SECONDS)


def test_after_a_pause_a_burst_passes_and_no_more() -> None:
    """However long the pause was."""
    rate = Rate(10, burst=5)
    limited = (Limited("key", Quota(rate), Usage()),)
    for begin_s in (0.0, 100.0, 1e6):
        assert [passes(limited, begin_s) for _ in range(7)] == [True] * 5 + [False] * 2


RATES = st.builds(Rate, st.integers(1, 10_000), st.sampled_from([1, 60, 3600]), st.integers(1, 50))
PAUSES = st.lists(st.floats(0, 2, allow_nan=False), min_size=1, max_size=200)


@given(RATES, PAUSES)
@example(Rate(3), [1 / 3] * 100)
def test_no_window_lets_more_through(rate: Rate, pauses: list[float]) -> None:
    """In any stretch of time pass at most its share and a burst; what is refused changes nothing."""
    usage = Usage()
    limited = (Limited("key", Quota(rate), usage),)
    times = [1000.0 + at for at in itertools.accumulate(pauses)]
    passed = []
    for now_s in times:
        before = usage.due_s
        if passes(limited, now_s):
            passed.append(now_s)
        else:
            assert usage.due_s == before
    for first, begin_s in enumerate(passed):
        for last in range(first, len(passed)):
            share = (passed[last] - begin_s) / rate.pause_s
            # One more may be late by up to a pause, which it is not charged for.
            assert last - first + 1 <= share + rate.burst + 1 + 1e-6 * (1 + share)


@given(RATES, PAUSES)
def test_whoever_waits_as_long_as_told_passes(rate: Rate, pauses: list[float]) -> None:
    """`Retry-After` is true, and no longer than need be; so is what is said to be left."""
    usage = Usage()
    limited = (Limited("key", Quota(rate), usage),)
    now_s = 1000.0
    for pause_s in pauses:
        now_s += pause_s
        left = limited[0].left(now_s)
        assert 0 <= left <= rate.burst
        assert (left > 0) == (limited[0].wait_s(now_s) == 0)
        if not left:
            with pytest.raises(OverLimitError) as error:
                limits.admit(limited, now_s)
            wait_s = error.value.retry_after_s
            assert wait_s is not None
            assert limited[0].wait_s(now_s + wait_s * 0.9) > 0 or wait_s < 1e-6
            now_s += wait_s + 1e-6
        limits.admit(limited, now_s)


@given(RATES, RATES, PAUSES)
def test_of_two_limits_both_hold(one: Rate, other: Rate, pauses: list[float]) -> None:
    """A request counts for both or for neither, and what passes fits into both."""
    both = (Limited("key", Quota(one), Usage()), Limited("service", Quota(other), Usage()))
    times = list(itertools.accumulate(pauses))
    passed = 0
    for now_s in times:
        before = [each.usage.due_s for each in both]
        if passes(both, now_s):
            passed += 1
            assert all(each.usage.due_s > due_s for each, due_s in zip(both, before, strict=True))
        else:
            assert [each.usage.due_s for each in both] == before
    for rate in (one, other):
        assert passed <= (times[-1] - times[0]) / rate.pause_s * (1 + 1e-6) + rate.burst + 1


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_requests_at_once_are_bounded(steps: list[bool], mine: int, all_: int) -> None:
    """Never more than the smaller of both; a refused one takes no place in either."""
    both = (Limited("key", Quota(None, mine), Usage()), Limited("service", Quota(None, all_), Usage()))
    inside = 0
    for comes in steps:
        if comes:
            inside += limits.enter(both) is None
        elif inside:
            limits.leave(both)
            inside -= 1
        assert inside <= min(mine, all_)
        assert [each.usage.in_flight for each in both] == [inside, inside]


def test_a_clock_that_stands_still_lets_a_burst_through() -> None:
    """And one that goes back, which a monotonic one does not, lets through no more."""
    limited = (Limited("key", Quota(Rate(1, burst=2)), Usage()),)
    assert [passes(limited, now_s) for now_s in (5, 5, 5, 4, 3)] == [True, True, False, False, False]


def test_what_is_known_of_callers_is_bounded() -> None:
    """A million subjects cost what the last ten thousand cost; who asks again and again is not forgotten."""
    callers: Callers[str] = Callers("subject", Quota(Rate(1)), 10_000)
    kept = callers.of("regular")
    tracemalloc.start()
    for number in range(20_000):
        callers.of(f"subject-{number}")
        if number % 5000 == 0:
            callers.of("regular")
    before, _ = tracemalloc.get_traced_memory()
    for number in range(20_000, 60_000):
        callers.of(f"subject-{number}")
        if number % 5000 == 0:
            assert callers.of("regular") is kept
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(callers) == 10_000
    assert after < before * 1.2
    free: Callers[str] = Callers("subject", Quota(), 10)
    assert free.of("anybody") == ()
    assert len(free) == 0

"""Averages over the last seconds: partial windows, gaps, late news, and both ways to weigh."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.autoscaler.window import Window
from torpor.spec.autoscaling import Aggregation


def filled(seconds: float, *loads: float | None, start: float = 1000.0, **more: Aggregation) -> Window:
    """Return a window with one load per second; None leaves a second out."""
    window = Window(seconds, **more)
    for index, load in enumerate(loads):
        if load is not None:
            window.record(start + index, start + index + 1, load)
    return window


@pytest.mark.parametrize(
    ("seconds", "loads", "now_s", "average"),
    [
        pytest.param(6, [], 1000.0, None, id="nothing known"),
        pytest.param(6, [3], 1000.9, 3.0, id="one second is averaged over itself"),
        pytest.param(6, [0, 0, 6], 1002.9, 2.0, id="younger than the window"),
        pytest.param(3, [9, 9, 1, 2, 3], 1004.9, 2.0, id="only the last seconds"),
        pytest.param(6, [4, None, None, 8], 1003.9, 6.0, id="a gap is unknown, not zero"),
        pytest.param(6, [4, 8], 1004.9, 6.0, id="silence since is unknown too"),
        pytest.param(6, [4, 8], 1006.9, 8.0, id="silence pushes old seconds out"),
        pytest.param(6, [4, 8], 1007.9, None, id="silence for a whole window"),
        pytest.param(2.5, [1, 2, 3], 1002.9, 2.0, id="a fraction is a whole bucket"),
        pytest.param(0.4, [1, 5], 1001.9, 5.0, id="never less than one bucket"),
    ],
)
def test_linear_average(seconds: float, loads: list[float | None], now_s: float, average: float | None) -> None:
    """The average is over the seconds that are known and within the window."""
    assert filled(seconds, *loads).average(now_s) == average


def test_a_span_is_spread_over_its_seconds() -> None:
    """A sample that covers three seconds, for the loop was late, counts for each of them."""
    window = Window(6)
    window.record(1000.5, 1003.5, 4.0)
    window.record(1003.5, 1004.0, 8.0)
    assert window.average(1003.9) == pytest.approx((3 * 4 + 0.5 * 8) / 3.5)
    assert window.average(1006.1) == pytest.approx((4 * 2.5 + 8 * 0.5) / 3.0)


def test_samples_within_one_second_weigh_by_their_time() -> None:
    """Two looks in one second are not twice the load."""
    window = Window(6)
    window.record(1000.0, 1000.1, 100.0)
    window.record(1000.1, 1001.0, 0.0)
    assert window.average(1000.99) == pytest.approx(10.0)


def test_late_news_counts_for_its_own_second() -> None:
    """Out of order, but still within the window."""
    window = filled(6, 2, None, 2)
    window.record(1001, 1002, 8.0)
    assert window.average(1002.9) == 4.0


def test_news_older_than_the_window_is_ignored() -> None:
    """The ring has moved on: an old second must not overwrite the one that has its bucket now."""
    window = filled(3, 1, 1, 1, 1, 1)
    window.record(1000, 1001, 100.0)
    assert window.average(1004.9) == 1.0


def test_an_empty_span_changes_nothing() -> None:
    """Two looks at the same instant know no more than one."""
    window = Window(6)
    window.record(1000.0, 1000.0, 50.0)
    assert window.average(1000.0) is None


def test_newer_seconds_than_asked_for_do_not_count() -> None:
    """The average at a time is about what came before it."""
    assert filled(6, 2, 4, 90).average(1001.5) == 3.0


def test_exponential_weighs_the_newest_most() -> None:
    """Knative's weighted-exponential, over the seconds that are known: the same loads reversed give another number."""
    rising = filled(4, 5, 5, 10, 10, aggregation=Aggregation.WEIGHTED_EXPONENTIAL).average(1003.9)
    falling = filled(4, 10, 10, 5, 5, aggregation=Aggregation.WEIGHTED_EXPONENTIAL).average(1003.9)
    assert rising is not None
    assert falling is not None
    assert rising > 9 > 6 > falling
    assert filled(60, *[7] * 60, aggregation=Aggregation.WEIGHTED_EXPONENTIAL).average(1059.9) == 7.0


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=40), st.integers(1, 20), st.sampled_from(Aggregation))
def test_an_average_is_within_what_was_seen(loads: list[float], seconds: int, aggregation: Aggregation) -> None:
    """Never below the least nor above the most of the window."""
    average = filled(seconds, *loads, aggregation=aggregation).average(1000 + len(loads) - 0.5)
    assert average is not None
    last = loads[-seconds:]
    assert min(last) - 1e-6 <= average <= max(last) + 1e-6


@given(
    st.permutations([(second, float(second % 7)) for second in range(1000, 1006)]),
    st.integers(6, 12),
)
def test_order_does_not_matter_within_the_window(records: list[tuple[int, float]], seconds: int) -> None:
    """The same news in any order gives the same average."""
    window = Window(seconds)
    for second, load in records:
        window.record(second, second + 1, load)
    assert window.average(1005.5) == pytest.approx(sum(load for _, load in records) / 6, abs=1e-6)

"""What all activators tell, added up; silence is not zero."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.peers.counts import Counts, Message
from activator.peers.ledger import FRESH_S, Ledger
from activator.throttle.report import LoadReport, RevisionKey

APP, OTHER = ("ns", "app"), ("ns", "other")


def report(
    average: float, requests: int = 0, queued: int = 0, in_flight: int = 0, key: RevisionKey = APP
) -> LoadReport:
    return LoadReport(key, average, requests, queued, in_flight, 1)


def told(number: int, *reports: LoadReport, sender: str = "b", run: str = "1", elapsed_s: float = 1.0) -> Message:
    return Message(sender, run, (Counts(number, elapsed_s, reports),), ())


def test_the_sum_of_two() -> None:
    """Requests and queues add up; the pods are the same, seen by both."""
    ledger = Ledger()
    ledger.take(told(1, report(2.0, 3, 1, 2)), 0.0)
    assert ledger.add_up([LoadReport(APP, 1.0, 1, 0, 1, 2)]) == [LoadReport(APP, 3.0, 4, 1, 3, 2)]


def test_an_average_is_over_the_time_that_it_was_told_for() -> None:
    ledger = Ledger()
    ledger.take(told(1, report(4.0, 1), elapsed_s=0.5), 0.5)
    ledger.take(told(2, report(1.0, 2), elapsed_s=1.5), 2.0)
    ((found),) = ledger.add_up([])
    assert (found.average_concurrency, found.requests) == ((4.0 * 0.5 + 1.0 * 1.5) / 2, 3)


def test_what_comes_twice_counts_once() -> None:
    """A message whose answer was lost is sent again, with what came since."""
    ledger = Ledger()
    first = Counts(1, 1.0, (report(1.0, 5),))
    ledger.take(Message("b", "1", (first,), ()), 1.0)
    ledger.take(Message("b", "1", (first, Counts(2, 1.0, (report(1.0, 7),))), ()), 2.0)
    assert ledger.add_up([])[0].requests == 12


def test_a_process_that_began_anew_counts_anew() -> None:
    ledger = Ledger()
    ledger.take(told(9, report(1.0, 5)), 1.0)
    ledger.take(told(1, report(2.0, 6), run="2"), 2.0)
    assert ledger.add_up([]) == [report(2.0, 6)]


def test_a_second_without_news_is_like_the_one_before() -> None:
    """Messages come every second, and so does the question: one may be late."""
    ledger = Ledger()
    ledger.take(told(1, report(3.0, 9, 2, 1)), 1.0)
    ledger.add_up([])
    assert ledger.add_up([]) == [report(3.0, 0, 2, 1)]


def test_what_is_over_is_told_by_being_left_out() -> None:
    ledger = Ledger()
    ledger.take(told(1, report(3.0, 9, 2, 1), report(1.0, key=OTHER)), 1.0)
    ledger.add_up([])
    ledger.take(told(2, report(1.0, key=OTHER)), 2.0)
    assert [each.revision for each in ledger.add_up([])] == [OTHER]


def test_a_wake_is_a_request_that_waits() -> None:
    """Until the counts say more."""
    ledger = Ledger()
    ledger.take(Message("b", "1", (), (APP,)), 1.0)
    assert ledger.add_up([]) == [LoadReport(APP, 0.0, 0, 1, 0, 0)]
    ledger.take(told(1, report(0.5, 1, 3, 0)), 2.0)
    assert ledger.add_up([])[0].queued == 3


@pytest.mark.parametrize(
    ("now_s", "silent"),
    [
        pytest.param(10.0, ["c"], id="one has never told"),
        pytest.param(10.0 + FRESH_S, ["c"], id="one is a little late"),
        pytest.param(10.1 + FRESH_S, ["b", "c"], id="one is silent"),
    ],
)
def test_who_is_there_and_silent_is_named(now_s: float, silent: list[str]) -> None:
    ledger = Ledger()
    ledger.take(told(1), 10.0)
    assert ledger.silent({"b", "c"}, now_s) == silent


def test_the_load_of_who_is_silent_goes_on_to_count() -> None:
    """And that of one who is gone does not."""
    ledger = Ledger()
    ledger.take(told(1, report(3.0, 1, 0, 3)), 0.0)
    ledger.forget({"b"})
    assert ledger.add_up([report(1.0, 1, 0, 1)])[0].in_flight == 4
    ledger.forget(set())
    assert ledger.add_up([report(1.0, 1, 0, 1)]) == [report(1.0, 1, 0, 1)]


loads = st.tuples(st.floats(0, 1000), st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))


@given(st.lists(loads, min_size=1, max_size=5), st.data())
def test_no_request_is_lost_or_made_up(seen: list[tuple[float, int, int, int]], data: st.DataObject) -> None:
    """However messages are bundled, repeated, or put off, in the end each request was counted once."""
    ledger, counted = Ledger(), 0
    counts = [Counts(number, 1.0, (report(*each),)) for number, each in enumerate(seen)]
    sent = 0
    while sent < len(counts):
        upto = data.draw(st.integers(sent + 1, len(counts)))
        again = data.draw(st.integers(0, sent))
        ledger.take(Message("b", "1", tuple(counts[again:upto]), ()), float(upto))
        sent = upto
        if data.draw(st.booleans()):
            counted += sum(each.requests for each in ledger.add_up([]))
    counted += sum(each.requests for each in ledger.add_up([]))
    assert counted == sum(requests for _, requests, _, _ in seen)

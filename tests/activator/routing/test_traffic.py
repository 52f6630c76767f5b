"""Requests are divided among revisions as the weights say: not on average, but of any few in a row."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.routing.mirror import Mirror
from activator.routing.traffic import LONGEST, Traffic, cycle
from torpor.spec.mirror import MirrorTarget

weights = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 100)), max_size=8)
phases = st.floats(0, 1, exclude_max=True)


@given(weights, phases)
def test_in_one_cycle_each_revision_has_exactly_its_share(wanted: list[tuple[str, int]], phase: float) -> None:
    """A revision that is named twice has both shares; one without weight is never chosen."""
    traffic = Traffic.of("ns", wanted, phase)
    total = sum(weight for _, weight in wanted)
    chosen = Counter(traffic.next() for _ in range(total))
    expected = Counter[object]()
    for name, weight in wanted:
        expected["ns", name] += weight
    assert chosen == +expected


@given(st.lists(st.integers(1, 100), min_size=1, max_size=8))
def test_after_any_number_of_turns_no_count_is_off_by_one(shares: list[int]) -> None:
    """The bound is Tijdeman's: 1 - 1/(2n - 2), which no division of turns can beat for every n shares."""
    total = sum(shares)
    bound = 1 - 1 / max(1, 2 * len(shares) - 2)
    had = [0] * len(shares)
    for turn, chosen in enumerate(itertools.islice(itertools.cycle(cycle(tuple(shares))), 2 * total), start=1):
        had[chosen] += 1
        for count, share in zip(had, shares, strict=True):
            assert abs(count - turn * share / total) <= bound + 1e-9


@given(weights.filter(lambda wanted: any(weight for _, weight in wanted)), phases, st.data())
def test_of_any_requests_in_a_row_each_revision_has_its_share_to_within_two(
    wanted: list[tuple[str, int]], phase: float, data: st.DataObject
) -> None:
    """Wherever the row begins, and wherever in the cycle this activator did."""
    traffic = Traffic.of("ns", wanted, phase)
    total = sum(traffic.weights)
    for _ in range(data.draw(st.integers(0, 2 * total))):
        traffic.next()
    count = data.draw(st.integers(1, 2 * total))
    chosen = Counter(traffic.next() for _ in range(count))
    for revision, weight in zip(traffic.revisions, traffic.weights, strict=True):
        assert abs(chosen[revision] - count * weight / total) < 2


@given(weights)
def test_there_is_a_revision_if_one_has_weight(wanted: list[tuple[str, int]]) -> None:
    """And none where none has, however often one asks."""
    traffic = Traffic.of("ns", wanted)
    for _ in range(3):
        assert (traffic.next() is None) == (not any(weight for _, weight in wanted))


def test_a_tenth_is_every_tenth() -> None:
    """A canary's requests are spread out, not one in a hundred and then five in a row."""
    traffic = Traffic.of("ns", [("stable", 90), ("canary", 10)])
    chosen = [traffic.next() for _ in range(1000)]
    at = [index for index, revision in enumerate(chosen) if revision == ("ns", "canary")]
    assert len(at) == 100
    assert {later - sooner for sooner, later in itertools.pairwise(at)} == {10}


def test_activators_that_begin_in_different_places_do_not_agree_on_whom_to_send_the_first_request() -> None:
    """A hundred activators with one request each send the canary its share too."""
    shares = [("stable", 90), ("canary", 10)]
    firsts = Counter(Traffic.of("ns", shares, number / 100).next() for number in range(100))
    assert firsts["ns", "canary"] == 10


@pytest.mark.parametrize(
    ("shares", "length"),
    [
        pytest.param((50, 50), 2, id="common factors are taken out"),
        pytest.param((33, 33, 34), 100, id="none in common"),
        pytest.param((10**12, 1), LONGEST, id="what no API lets through costs no memory"),
    ],
)
def test_a_cycle_is_as_short_as_it_can_be(shares: tuple[int, ...], length: int) -> None:
    """At most a hundred turns for percents."""
    assert len(cycle(shares)) == pytest.approx(length, abs=1)


@given(st.integers(1, 100), phases)
def test_exactly_so_many_of_a_hundred_requests_are_copied(percent: int, phase: float) -> None:
    """Evenly spread, from whichever phase."""
    mirror = Mirror.of("ns", MirrorTarget("shadow", percent), phase)
    due = [mirror.due() for _ in range(300)]
    for begin in (0, 100, 200):
        assert sum(due[begin : begin + 100]) == percent
    for begin, end in itertools.combinations(range(0, 300, 7), 2):
        assert abs(sum(due[begin:end]) - (end - begin) * percent / 100) < 2

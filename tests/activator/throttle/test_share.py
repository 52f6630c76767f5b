"""Slots are dealt out so that no two activators use one, and nobody is without."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.throttle.share import ALL, Share, slots


def dealt(concurrency: int, pods: int, members: int) -> list[list[int]]:
    """By activator, how many slots of each pod are its own."""
    return [
        [slots(concurrency, position, pods, Share(members, rank)) for position in range(pods)]
        for rank in range(members)
    ]


@pytest.mark.parametrize(
    ("concurrency", "pods", "members", "expected"),
    [
        pytest.param(10, 2, 1, [[10, 10]], id="one has all"),
        pytest.param(10, 1, 2, [[5], [5]], id="halves"),
        pytest.param(5, 2, 2, [[3, 2], [2, 3]], id="what is left over goes round"),
        pytest.param(1, 3, 3, [[1, 0, 0], [0, 1, 0], [0, 0, 1]], id="a pod for each"),
        pytest.param(1, 4, 3, [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]], id="and one more"),
        pytest.param(2, 2, 3, [[1, 1], [1, 0], [0, 1]], id="fewer slots in a pod than activators"),
        pytest.param(1, 1, 3, [[1], [1], [1]], id="too few for all: each has one all the same"),
        pytest.param(1, 2, 3, [[1, 0], [0, 1], [1, 0]], id="too few, in two pods"),
    ],
)
def test_who_has_what(concurrency: int, pods: int, members: int, expected: list[list[int]]) -> None:
    assert dealt(concurrency, pods, members) == expected


def test_alone_all_is_ours() -> None:
    assert slots(7, 3, 5, ALL) == 7


@given(st.integers(1, 50), st.integers(1, 20), st.integers(1, 12))
def test_no_slot_is_anothers_and_nobody_is_without(concurrency: int, pods: int, members: int) -> None:
    """Where there are enough, each pod's slots are used once, and everybody's parts differ by one at most."""
    found = dealt(concurrency, pods, members)
    totals = [sum(each) for each in found]
    assert min(totals) >= 1
    if concurrency * pods >= members:
        assert [sum(column) for column in zip(*found, strict=True)] == [concurrency] * pods
        assert max(totals) - min(totals) <= 1
    else:
        assert totals == [1] * members

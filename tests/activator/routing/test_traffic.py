"""Requests are divided among revisions as the weights say."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.routing.traffic import Traffic, draw

weights = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 100)), max_size=8)


@given(weights)
def test_over_all_throws_of_the_dice_each_revision_is_drawn_exactly_as_often_as_its_weight(
    wanted: list[tuple[str, int]],
) -> None:
    """A revision that is named twice has both shares; one without weight is never drawn."""
    traffic = Traffic.of("ns", wanted)
    total = sum(weight for _, weight in wanted)
    drawn = Counter(draw(traffic, (throw + 0.5) / total) for throw in range(total))
    expected = Counter[object]()
    for name, weight in wanted:
        expected["ns", name] += weight
    assert drawn == +expected


@given(weights, st.floats(0, 1, exclude_max=True))
def test_every_throw_draws_a_revision_if_there_is_one(wanted: list[tuple[str, int]], dice: float) -> None:
    """Also the throw nearest to 1."""
    drawn = draw(Traffic.of("ns", wanted), dice)
    assert (drawn is None) == (not any(weight for _, weight in wanted))


@pytest.mark.parametrize(
    ("dice", "revision"),
    [
        pytest.param(0.0, "stable", id="the lowest throw"),
        pytest.param(0.8999, "stable", id="just below the bound"),
        pytest.param(0.9, "canary", id="the bound belongs to the next"),
        pytest.param(0.9999999, "canary", id="the highest throw"),
    ],
)
def test_a_tenth_goes_to_the_canary(dice: float, revision: str) -> None:
    """Bounds are half open, so that shares are exact."""
    assert draw(Traffic.of("ns", [("stable", 90), ("canary", 10)]), dice) == ("ns", revision)

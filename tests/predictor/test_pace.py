"""Where a model computes: on the loop only what has always been brief, and never again soon what was not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.pace import BRIEF_S, LONG_S, MOST_TRIAL, SMALL_BYTES, TRIAL, Pace

BRIEF, MIDDLING, LONG = BRIEF_S / 2, BRIEF_S * 2, LONG_S * 2


def after(*runs: tuple[int, float]) -> Pace:
    """A model of which so many computations took so long, each where its pace let it be."""
    pace = Pace()
    for count, seconds in runs:
        for _ in range(count):
            pace.took(seconds, on_loop=pace.is_brief(100))
    return pace


@pytest.mark.parametrize(
    ("pace", "length", "expected"),
    [
        pytest.param(after(), 100, False, id="a new model"),
        pytest.param(after((TRIAL - 1, BRIEF)), 100, False, id="one too few"),
        pytest.param(after((TRIAL, BRIEF)), 100, True, id="enough"),
        pytest.param(after((TRIAL, BRIEF)), SMALL_BYTES + 1, False, id="a large request"),
        pytest.param(after((TRIAL, BRIEF), (1, MIDDLING)), 100, False, id="one that was not brief"),
        pytest.param(after((TRIAL, BRIEF), (1, MIDDLING), (TRIAL, BRIEF)), 100, True, id="trusted again"),
        pytest.param(after((TRIAL, BRIEF), (1, LONG), (TRIAL, BRIEF)), 100, False, id="a long one is remembered"),
        pytest.param(after((TRIAL, BRIEF), (1, LONG), (8 * TRIAL, BRIEF)), 100, True, id="and forgiven later"),
        pytest.param(after((TRIAL - 1, BRIEF), (1, LONG), (TRIAL, BRIEF)), 100, True, id="a long one in a thread"),
    ],
)
def test_trust(pace: Pace, length: int, expected: bool) -> None:  # noqa: FBT001  # a table's column
    """It takes a row of brief ones, and a longer row after the loop was held."""
    assert pace.is_brief(length) is expected


@given(st.lists(st.sampled_from([BRIEF, MIDDLING, LONG]), max_size=400))
def test_the_loop_is_seldom_held(durations: list[float]) -> None:
    """Whatever the model does: n long computations on the loop need 32 · 8^(n-1) brief ones before the last of them."""
    pace, held = Pace(), 0
    for seconds in durations:
        on_loop = pace.is_brief(100)
        held += on_loop and seconds >= LONG_S
        pace.took(seconds, on_loop=on_loop)
        assert pace.trial <= MOST_TRIAL
    assert held <= 2  # 32 + 256 before two

"""How long to wait before the next try."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.aio.backoff import Backoff


@pytest.mark.parametrize(
    ("failures", "delay_s"),
    [(-1, 0.0), (0, 0.0), (1, 0.1), (2, 0.2), (3, 0.4), (9, 25.6), (10, 30.0), (10**9, 30.0)],
)
def test_doubles_up_to_its_limit(failures: int, delay_s: float) -> None:
    """The first failure waits `first_s`; a billion of them overflow nothing."""
    assert Backoff().delay_s(failures) == pytest.approx(delay_s)


@given(
    st.floats(0.001, 10),
    st.floats(1, 10),
    st.floats(0.001, 1000),
    st.integers(1, 10_000),
    st.floats(0, 1),
)
def test_dice_spread_over_the_upper_half(first: float, factor: float, limit: float, failures: int, dice: float) -> None:
    """Never over the limit, never under half of the full wait, and never shorter after one more failure."""
    backoff = Backoff(first, factor, limit)
    full = backoff.delay_s(failures)
    assert full / 2 <= backoff.delay_s(failures, dice) <= full <= limit
    assert backoff.delay_s(failures + 1) >= full

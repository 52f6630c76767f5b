"""Which requests become one batch, and when: Triton's arithmetic as a table, and what holds for any line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.batching.options import Batching
from predictor.batching.policy import form

PLAIN = Batching(max_size=8)
DELAYED = Batching(max_size=8, delay_s=0.1)
PREFERRED = Batching(max_size=8, delay_s=0.1, preferred=(4, 6))


@pytest.mark.parametrize(
    ("batching", "rows", "waited_s", "grows", "count"),
    [
        pytest.param(PLAIN, [1], 0.0, True, 1, id="an idle model waits for nobody"),
        pytest.param(PLAIN, [1] * 20, 0.0, True, 8, id="no more than the maximum"),
        pytest.param(PLAIN, [3, 3, 3], 0.0, True, 2, id="the third does not fit any more"),
        pytest.param(PLAIN, [9, 1], 0.0, True, 1, id="one that is too large goes alone"),
        pytest.param(PLAIN, [1, 9], 0.0, True, 1, id="and lets those before it go"),
        pytest.param(DELAYED, [1, 1], 0.05, True, 0, id="others may come yet"),
        pytest.param(DELAYED, [1, 1], 0.05, False, 2, id="nobody comes to these any more"),
        pytest.param(DELAYED, [1, 1], 0.1, True, 2, id="long enough"),
        pytest.param(DELAYED, [4, 4], 0.0, True, 2, id="full"),
        pytest.param(DELAYED, [5, 4], 0.0, True, 1, id="as full as it gets"),
        pytest.param(PREFERRED, [1] * 3, 0.05, True, 0, id="fewer than preferred: wait"),
        pytest.param(PREFERRED, [1] * 4, 0.0, True, 4, id="preferred: at once"),
        pytest.param(PREFERRED, [1] * 5, 0.0, True, 4, id="more than the one, fewer than the next"),
        pytest.param(PREFERRED, [1] * 7, 0.0, True, 6, id="the largest that is reached"),
        pytest.param(PREFERRED, [1] * 9, 0.0, True, 6, id="also where more would fit"),
        pytest.param(PREFERRED, [3, 2], 0.05, True, 0, id="no sum is preferred"),
        pytest.param(PREFERRED, [1] * 5, 0.1, True, 5, id="too late to be choosy"),
        pytest.param(PREFERRED, [3, 7], 0.0, True, 1, id="it cannot grow"),
        pytest.param(replace(PREFERRED, delay_s=0.0), [1] * 3, 0.0, True, 3, id="no delay: whoever is there"),
        pytest.param(replace(PREFERRED, delay_s=0.0), [1] * 5, 0.0, True, 4, id="no delay: preferred all the same"),
    ],
)
def test_form(batching: Batching, rows: list[int], waited_s: float, grows: bool, count: int) -> None:  # noqa: FBT001
    assert form(rows, waited_s, batching, grows=grows) == count


OPTIONS = st.builds(
    Batching,
    max_size=st.integers(1, 16),
    preferred=st.lists(st.integers(1, 16), max_size=3).map(tuple),
    delay_s=st.sampled_from([0.0, 0.1]),
)


@given(OPTIONS, st.lists(st.integers(1, 20), min_size=1, max_size=30), st.floats(0, 1), st.booleans())
def test_whoever_waits_is_executed_in_the_end(
    batching: Batching,
    rows: list[int],
    waited_s: float,
    grows: bool,  # noqa: FBT001
) -> None:
    """No batch of several is over the maximum, and none is put off beyond the delay."""
    count = form(rows, waited_s, batching, grows=grows)
    assert count <= 1 or sum(rows[:count]) <= batching.max_size
    assert count > 0 or (waited_s < batching.delay_s and grows and sum(rows) < batching.max_size)

"""Is what there is what is wanted?"""

from __future__ import annotations

from typing import Any

import pytest

from controller.compare import covers, digest


@pytest.mark.parametrize(
    ("there", "wanted", "fits"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1}, True, id="others may have added to it"),
        pytest.param({"a": 1}, {"a": 2}, False, id="another value"),
        pytest.param({}, {"a": None}, False, id="a field that is not there"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True, id="added further in"),
        pytest.param({"a": 1}, {"a": {"b": 1}}, False, id="no object where one is wanted"),
        pytest.param([{"a": 1, "b": 2}], [{"a": 1}], True, id="added to an item"),
        pytest.param([1, 2], [1], False, id="an item too many"),
        pytest.param([1, 2], [2, 1], False, id="another order"),
        pytest.param("ab", ["a", "b"], False, id="no list where one is wanted"),
    ],
)
def test_covers(there: Any, wanted: Any, fits: bool) -> None:  # noqa: FBT001
    """Every field that is wanted is there; what else is there is somebody else's."""
    assert covers(there, wanted) is fits


def test_digest() -> None:
    """It depends on what is said and not on the order of the fields."""
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})

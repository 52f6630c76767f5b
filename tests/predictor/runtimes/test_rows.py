"""Rows of numbers by V1 and V2: what is taken, and what is refused by its place."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from predictor.runtimes import rows
from torpor.errors import InvalidInputError
from torpor.protocol.tensors import Tensor


def test_null_is_a_missing_value() -> None:
    """NaN, as the libraries have it; whole numbers are numbers too."""
    found = rows.from_instances([[1, None], [2.5, "NaN"]], 2, "FP32")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[1, np.nan], [2.5, np.nan]])


def test_no_rows_are_rows() -> None:
    """With as many columns as any."""
    assert rows.from_instances([], 3, "FP64").shape == (0, 3)
    assert rows.from_tensors([Tensor("input-0", np.zeros((0, 3)))], 3, "FP32").shape == (0, 3)


@pytest.mark.parametrize(
    ("instances", "says"),
    [
        pytest.param([[1]], r"instances\[0\]: \[1\] .* 2 features", id="too-few"),
        pytest.param([[1, 2], [1, 2, 3]], r"instances\[1\]: \[1, 2, 3\]", id="too-many-in-the-second"),
        pytest.param([7], r"instances\[0\]: 7 .* list of 2", id="no-row"),
        pytest.param(["ab"], r"instances\[0\]: 'ab'", id="a-text-of-two-letters"),
        pytest.param([[1, 2], [1, "b"]], r"instances\[1\]\[1\]: 'b' .* numbers", id="a-text"),
        pytest.param([[1, True]], r"instances\[0\]\[1\]: True", id="a-truth-value"),
        pytest.param([[1, [2]]], r"instances\[0\]\[1\]: \[2\]", id="a-row-in-a-row"),
        pytest.param([[1, 1e39]], r"instances\[0\]\[1\]: 1e\+39 .* up to 3.4", id="more-than-fp32-holds"),
    ],
)
def test_instances_that_are_no_rows(instances: list[Any], says: str) -> None:
    """By position."""
    with pytest.raises(InvalidInputError, match=says):
        rows.from_instances(instances, 2, "FP32")


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.uint8, np.bool_, ml_dtypes.bfloat16])
def test_all_numbers_become_the_models(dtype: Any) -> None:
    """Values that every type has stay what they are."""
    found = rows.from_tensors([Tensor("input-0", np.array([[0, 1]]).astype(dtype))], 2, "FP32")
    assert (found.dtype, found.tolist()) == (np.dtype(np.float32), [[0.0, 1.0]])


def test_what_is_right_already_is_not_copied() -> None:
    """Neither the first type nor the second."""
    for dtype in (np.float64, np.float32):
        given = np.zeros((2, 2), dtype)
        assert rows.from_tensors([Tensor("input-0", given)], 2, "FP64", "FP32") is given


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        pytest.param([], "inputs: .* named input-0", id="none"),
        pytest.param([Tensor("x", np.zeros((1, 2)))], "inputs: 'x' .* named input-0", id="another-name"),
        pytest.param([Tensor("input-0", np.zeros((1, 3)))], r"input-0.shape: \[1, 3\] .* \[n, 2\]", id="three-columns"),
        pytest.param([Tensor("input-0", np.zeros(2))], r"input-0.shape: \[2\] .* \[n, 2\]", id="no-table"),
        pytest.param([Tensor("input-0", np.array([["a", "b"]]))], "input-0.datatype: 'BYTES'", id="texts"),
    ],
)
def test_tensors_that_are_no_rows(inputs: list[Tensor], says: str) -> None:
    """Field, value, and what the model takes."""
    with pytest.raises(InvalidInputError, match=says):
        rows.from_tensors(inputs, 2, "FP32")


def test_a_number_too_large_becomes_infinite_and_is_found() -> None:
    """NaN is none."""
    found = rows.from_tensors([Tensor("input-0", np.array([[1, np.nan], [1e300, 1]]))], 2, "FP32")
    with pytest.raises(InvalidInputError, match=r"input-0.data\[1\]\[0\]: inf .* finite"):
        rows.refuse_infinite("input-0.data", found)
    rows.refuse_infinite("input-0.data", found[:1])

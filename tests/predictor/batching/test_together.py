"""Calls that are joined are answered as each would be alone, whatever their shapes and types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from predictor.batching.together import joined, key_of
from predictor.calls import Call, Infer, Predict
from predictor.loading.held import Held
from predictor.model import Signature, TensorSpec
from torpor.protocol.inference import InferRequest
from torpor.protocol.tensors import DATATYPES, Tensor


class Rowwise:
    """A model that does to each row what it is told, and takes parameters."""

    def __init__(self, infer: Callable[[NDArray[Any]], NDArray[Any]], shape: tuple[int, ...] = (-1, -1)) -> None:
        self.signature = Signature("test", (TensorSpec("x", "FP64", shape),), (TensorSpec("y", "FP64", shape),))
        self._infer = infer
        self.asked: list[Mapping[str, Any]] = []

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        return [str(each) for each in instances]

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        return (Tensor("y", self._infer(inputs[0].array)), Tensor("n", np.arange(len(inputs[0].array)) * 0 + 7))

    def predict_with(self, instances: Sequence[Any], parameters: Mapping[str, Any]) -> Sequence[Any]:
        self.asked.append(parameters)
        return self.predict(instances)

    def infer_with(self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]) -> Sequence[Tensor]:
        self.asked.append(parameters)
        return self.infer(inputs)

    def warm(self) -> None:
        pass

    def close(self) -> None:
        pass


def infer(array: NDArray[Any], **parameters: Any) -> Infer:
    return Infer(InferRequest((Tensor("x", array),), parameters=parameters))


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
@given(sizes=st.lists(st.integers(1, 3), min_size=2, max_size=4), width=st.integers(0, 3))
def test_every_datatype_comes_back(datatype: str, sizes: list[int], width: int) -> None:
    held = Held(Rowwise(lambda array: array))
    count = iter(range(1, 100))
    arrays = [
        np.array([[next(count) % 2 if datatype == "BOOL" else next(count) for _ in range(width)] for _ in range(rows)])
        .reshape(rows, width)
        .astype(DATATYPES[datatype])
        for rows in sizes
    ]
    answers = joined([infer(each) for each in arrays], held, {})
    for array, answer in zip(arrays, answers, strict=True):
        assert (answer[0].datatype, answer[0].array.tolist()) == (datatype, array.tolist())
        assert answer[1].array.tolist() == [7] * len(array)


@given(
    shapes=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5)), min_size=2, max_size=5), fill=st.integers(-3, 3)
)
def test_padding_is_not_seen(shapes: list[tuple[int, int]], fill: int) -> None:
    """An output that is as long as its input loses what padding has added; what reduces it sees the fill value."""
    padding = {"x": float(fill)}
    arrays = [np.full(shape, index + 10.0) for index, shape in enumerate(shapes)]
    calls = [infer(each) for each in arrays]
    held = Held(Rowwise(lambda array: array * 2))
    assert len({key_of(call, held, padding) for call in calls}) == 1
    for array, answer in zip(arrays, joined(calls, held, padding), strict=True):
        assert answer[0].array.tolist() == (array * 2).tolist()
    longest = max(length for _, length in shapes)
    sums = Held(Rowwise(lambda array: array.sum(axis=1)))
    for array, answer in zip(arrays, joined(calls, sums, padding), strict=True):
        assert answer[0].array.tolist() == (array.sum(axis=1) + fill * (longest - array.shape[1])).tolist()


def test_an_output_of_fixed_length_is_never_cut() -> None:
    """Five scores stay five, also for a request of three whose neighbour has five."""
    scores = Rowwise(lambda array: np.ones((len(array), 5)))
    scores.signature = Signature("test", scores.signature.inputs, (TensorSpec("y", "FP64", (-1, 5)),))
    calls = [infer(np.ones((1, 3))), infer(np.ones((1, 5)))]
    for answer in joined(calls, Held(scores), {"x": 0.0}):
        assert answer[0].shape == (1, 5)


@pytest.mark.parametrize(
    ("one", "other", "fit"),
    [
        pytest.param(infer(np.ones((1, 2))), infer(np.ones((3, 2))), True, id="rows are what is joined"),
        pytest.param(infer(np.ones((1, 2))), infer(np.ones((1, 3))), False, id="another width"),
        pytest.param(infer(np.ones((1, 2))), infer(np.ones((1, 2), np.float32)), False, id="another type"),
        pytest.param(infer(np.ones((1, 2)), a=1, b=2), infer(np.ones((1, 2)), b=2, a=1), True, id="same parameters"),
        pytest.param(infer(np.ones((1, 2)), a=1), infer(np.ones((1, 2)), a=2), False, id="other parameters"),
        pytest.param(infer(np.ones((1, 2)), timeout=1), infer(np.ones((1, 2)), priority=2), True, id="only of waiting"),
        pytest.param(infer(np.ones(())), infer(np.ones(())), False, id="no rows"),
        pytest.param(infer(np.ones((0, 2))), infer(np.ones((0, 2))), False, id="no row"),
        pytest.param(Predict([1]), Predict([2, 3]), True, id="V1"),
        pytest.param(Predict([1], {"a": 1}), Predict([1], {}), False, id="V1 with parameters"),
        pytest.param(Predict([1]), infer(np.ones((1, 2))), False, id="V1 and V2"),
    ],
)
def test_what_fits(one: Call, other: Call, fit: bool) -> None:  # noqa: FBT001
    held = Held(Rowwise(lambda array: array))
    keys = [key_of(each, held, {}) for each in (one, other)]
    assert (keys[0] is not None and keys[0] == keys[1]) is fit


def test_a_model_whose_first_axis_is_no_row_is_never_joined() -> None:
    held = Held(Rowwise(lambda array: array, (2, -1)))
    assert key_of(infer(np.ones((2, 2))), held, {}) is None


def test_parameters_go_with_the_batch_but_for_those_of_waiting() -> None:
    model = Rowwise(lambda array: array)
    held = Held(model)
    joined([infer(np.ones((1, 1)), top=3, timeout=5), infer(np.ones((1, 1)), top=3)], held, {})
    joined([Predict([1], {"top": 3, "priority": 1}), Predict([2], {"top": 3})], held, {})
    assert model.asked == [{"top": 3}] * 2

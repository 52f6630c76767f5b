"""V1: instances in, predictions out."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torpor.errors import InvalidInputError
from torpor.protocol import v1

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # A lone surrogate is no Unicode, and no JSON.
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner),
    max_leaves=20,
)


@settings(max_examples=40)
@given(st.lists(JSON, min_size=1))
def test_any_json_may_be_an_instance(instances: list[Any]) -> None:
    """It arrives as it was sent."""
    assert v1.decode(orjson.dumps({"instances": instances})) == v1.PredictRequest(instances)


@settings(max_examples=40)
@given(st.lists(JSON))
def test_any_json_may_be_a_prediction(predictions: list[Any]) -> None:
    """It leaves as the model gave it."""
    assert orjson.loads(v1.encode(predictions)) == {"predictions": predictions}


def test_inputs_is_another_name_for_instances() -> None:
    """KServe takes both."""
    assert v1.decode(b'{"inputs": [1, 2]}') == v1.PredictRequest([1, 2])


def test_parameters_come_with_the_request() -> None:
    """A model that knows some may read them."""
    assert v1.decode(b'{"instances": [1], "parameters": {"top": 3}}').parameters == {"top": 3}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        pytest.param({}, "instances: None is not allowed", id="no instances"),
        pytest.param({"instances": "x"}, "instances: 'x' is not allowed; use a list", id="a text"),
        pytest.param({"instances": {"a": 1}}, "instances: {'a': 1} is not allowed", id="an object"),
        pytest.param({"instances": []}, r"instances: \[\] is not allowed.*at least one", id="none at all"),
        pytest.param({"inputs": []}, r"inputs: \[\] is not allowed.*at least one", id="none at all by the other name"),
        pytest.param({"inputs": {"x": [1]}}, "inputs: {'x'.* use a list", id="TensorFlow's columns"),
        pytest.param({"inputs": [1], "instances": [1]}, "inputs: .* instances or inputs, not both", id="both names"),
        pytest.param({"inputs": None, "instances": [1]}, "not both", id="both names, one of them for nothing"),
        pytest.param({"instances": [1], "parameters": 7}, "parameters: 7 is not allowed", id="parameters of no names"),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, Any], says: str) -> None:
    """Field, value and what is allowed."""
    with pytest.raises(InvalidInputError, match=says):
        v1.decode(orjson.dumps(document))


@pytest.mark.parametrize(
    ("predictions", "written"),
    [
        pytest.param(np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]], id="an array"),
        pytest.param([np.float32(0.5), np.int64(3), np.bool_(1)], [0.5, 3, True], id="scalars of numpy"),
        pytest.param([np.arange(6).reshape(2, 3).T], [[[0, 3], [1, 4], [2, 5]]], id="an array that is strided"),
        pytest.param([np.array("a")], ["a"], id="an array of no dimensions"),
        pytest.param(np.array(["cat", "dog"], object), ["cat", "dog"], id="an array of objects"),
        pytest.param([np.array([1], ">i4")], [[1]], id="the other byte order"),
        pytest.param([{0: 0.25, 1: 0.75}], [{"0": 0.25, "1": 0.75}], id="class numbers as keys"),
        pytest.param(({"label": "a"},), [{"label": "a"}], id="a tuple"),
        pytest.param([float("nan"), np.float64("inf")], [None, None], id="what is no number is null"),
    ],
)
def test_what_models_give_is_written(predictions: Any, written: Any) -> None:
    """Arrays and scalars of numpy are what most models give."""
    assert orjson.loads(v1.encode(predictions)) == {"predictions": written}


def test_what_is_no_json_says_what_it_is() -> None:
    """The author of the model reads it in the log."""
    with pytest.raises(TypeError, match="predictions: cannot be written"):
        v1.encode([b"bytes"])

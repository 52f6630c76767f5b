"""Elements of a tensor in JSON: read strictly, written so that they are read back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.drawn import NESTED, SHAPES, arrays
from torpor.errors import InvalidInputError, UnsupportedError
from torpor.protocol.elements import read_elements, read_shape, write_elements
from torpor.protocol.tensors import DATATYPES, Tensor, is_float


def compared(array: Any) -> Any:
    """numpy's testing does not know BF16."""
    return array.astype(np.float32) if array.dtype == DATATYPES["BF16"] else array


def through_json(data: Any) -> Any:
    return orjson.loads(orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY))


@pytest.mark.parametrize("datatype", DATATYPES)
@settings(max_examples=25)
@given(data=st.data())
def test_what_is_written_is_read_back(datatype: str, data: st.DataObject) -> None:
    """Every datatype and shape, NaN, the infinities and empty tensors too, to the last bit."""
    array = data.draw(arrays(datatype))
    written = through_json(write_elements(Tensor("x", array)))
    read = read_elements("inputs[0]", datatype, array.shape, written)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(compared(read), compared(array))
    if is_float(array.dtype):  # -0.0 equals 0.0, and is another number all the same; the sign of a NaN is none
        numbers = ~np.isnan(array)
        np.testing.assert_array_equal(np.signbit(read[numbers]), np.signbit(array[numbers]))


@pytest.mark.parametrize("datatype", DATATYPES)
@settings(max_examples=25)
@given(data=st.data())
def test_nested_means_the_same_as_flat(datatype: str, data: st.DataObject) -> None:
    """Lists in lists, in row-major order."""
    array = data.draw(arrays(datatype, NESTED))
    flat = through_json(write_elements(Tensor("x", array)))
    nested = np.array(flat, object).reshape(array.shape).tolist() if array.size else array.tolist()
    read = read_elements("x", datatype, array.shape, nested)
    np.testing.assert_array_equal(compared(read), compared(array))


@given(SHAPES)
def test_shapes_are_read(shape: tuple[int, ...]) -> None:
    """A list becomes a tuple."""
    assert read_shape("x.shape", list(shape)) == shape


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(None, id="none"),
        pytest.param(3, id="a number"),
        pytest.param([-1, 4], id="negative"),
        pytest.param([2.0], id="a fraction"),
        pytest.param([True], id="true"),
        pytest.param(["2"], id="a text"),
        pytest.param([[2]], id="a list"),
        pytest.param([2**31], id="longer than anything in JSON"),
        pytest.param([1] * 33, id="more dimensions than numpy has"),
    ],
)
def test_a_shape_that_is_none_is_refused(shape: Any) -> None:
    """The message has its path and what is allowed."""
    with pytest.raises(InvalidInputError, match=r"^inputs\[2\]\.shape: .*; use a list of at most 32 whole numbers"):
        read_shape("inputs[2].shape", shape)


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "says"),
    [
        pytest.param("FP64", (2, 4), [1, 2, 3, 4], r"x.shape: \[2, 4\] .* 8 elements, and data has 4", id="too few"),
        pytest.param("FP64", (1,), [1, 2], r"x.shape: \[1\] .* 1 elements, and data has 2", id="too many"),
        pytest.param("FP64", (), [], r"x.shape: \[\] .* 1 elements, and data has 0", id="a scalar that is missing"),
        pytest.param("FP64", (0,), [1], r"x.shape: \[0\] .* 0 elements, and data has 1", id="nothing expected"),
        pytest.param("FP64", (2**31 - 1,) * 32, [1], "means 2\\*\\*63 or more elements", id="huge"),
        pytest.param("FP64", (0, *(2**31 - 1,) * 3), [], "x.shape", id="huge and empty"),
        pytest.param("FP64", (2,), None, "x.data: None is not allowed; use a list", id="no data"),
        pytest.param("FP64", (1,), 7, "x.data: 7 is not allowed; use a list", id="a bare number"),
        pytest.param("FP64", (2, 2), [[1, 2], [3]], r"x.data: .*nested as shape \[2, 2\] says", id="ragged"),
        pytest.param("FP64", (2, 2), [[1, 2], 3], r"x.data: .*nested as shape", id="half nested"),
        pytest.param("FP64", (4, 1), [[1, 2], [3, 4]], r"x.data: .*nested as shape", id="nested otherwise"),
        pytest.param("FP64", (1, 2), [[[1], [2]]], r"x.data\[0\]\[0\]: \[1\]", id="nested deeper"),
        pytest.param("FP64", (2,), [[1], [2]], r"x.data\[0\]: \[1\]", id="nested where the shape is flat"),
        pytest.param("INT64", (2,), [1, 2.0], r"x.data\[1\]: 2.0 .*INT64 takes whole numbers from -9223", id="a float"),
        pytest.param("INT64", (2,), [1, True], r"x.data\[1\]: True", id="true among numbers"),
        pytest.param("INT64", (4,), ["x"] * 4, r"x.data\[0\]: 'x'", id="a text"),
        pytest.param("INT64", (1,), [None], r"x.data\[0\]: None", id="null"),
        pytest.param("INT64", (1,), [2**63], r"x.data\[0\]: 9223372036854775808", id="one more than the most"),
        pytest.param("UINT8", (2,), [255, 256], r"x.data\[1\]: 256 .*from 0 to 255", id="over"),
        pytest.param("UINT64", (1,), [-1], r"x.data\[0\]: -1 .*from 0 to 18446744073709551615", id="under"),
        pytest.param("INT8", (2, 1), [[1], [-129]], r"x.data\[1\]\[0\]: -129", id="nested, where it is"),
        pytest.param("FP16", (2,), [1, 70000], r"x.data\[1\]: 70000 .*up to 65504", id="a half cannot hold it"),
        pytest.param("FP32", (1,), [-1e39], r"x.data\[0\]: -1e\+39", id="a float cannot hold it"),
        pytest.param("FP32", (1,), ["nan"], r"x.data\[0\]: 'nan' .*\"NaN\"", id="another spelling of NaN"),
        pytest.param("FP64", (1,), [False], r"x.data\[0\]: False", id="false for a number"),
        pytest.param("BOOL", (2,), [True, 1], r"x.data\[1\]: 1 .*true and false", id="one for true"),
        pytest.param("BYTES", (1,), [1], r"x.data\[0\]: 1 .*texts", id="a number for a text"),
    ],
)
def test_what_does_not_fit_is_named(datatype: str, shape: tuple[int, ...], data: Any, says: str) -> None:
    """Where it is, what it is, what is allowed."""
    with pytest.raises(InvalidInputError, match=says):
        read_elements("x", datatype, shape, data)


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        pytest.param("UINT64", [0, 2**64 - 1], id="the most of the largest, beside the least"),
        pytest.param("INT64", [-(2**63), 2**63 - 1], id="both ends"),
        pytest.param("INT8", [-128, 127], id="both ends of the smallest"),
    ],
)
def test_whole_numbers_keep_every_digit(datatype: str, data: list[int]) -> None:
    """None of them goes through a float on its way."""
    assert read_elements("x", datatype, (2,), data).tolist() == data


def test_what_is_no_number_has_a_name() -> None:
    """As in the JSON of Protocol Buffers; numpy reads the list back as it is."""
    data = through_json(write_elements(Tensor("x", np.array([1, np.nan, np.inf, -np.inf], np.float32))))
    assert data == [1.0, "NaN", "Infinity", "-Infinity"]
    assert np.isnan(np.array(data, np.float32)[1])
    assert read_elements("x", "FP16", (2,), ["-Infinity", 3]).tolist() == [-math.inf, 3]


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.array(["ä", "b"]), id="text of numpy"),
        pytest.param(np.array(["ä".encode(), b"b"]), id="bytes of numpy"),
        pytest.param(np.array(["ä", b"b"], object), id="objects, mixed"),
    ],
)
def test_texts_are_written_whatever_holds_them(array: Any) -> None:
    """BYTES are str or bytes."""
    assert write_elements(Tensor("x", array)) == ["ä", "b"]


def test_bytes_that_are_no_text_are_refused() -> None:
    """JSON cannot carry them; the message says so and names the output."""
    with pytest.raises(UnsupportedError, match="output 'image' holds bytes that are no UTF-8"):
        write_elements(Tensor("image", np.array([b"\xff\xd8"], object)))


def test_objects_that_are_no_text_are_the_models_fault() -> None:
    """What they are is said."""
    with pytest.raises(TypeError, match="output 'x' holds dict"):
        write_elements(Tensor("x", np.array([{}], object)))

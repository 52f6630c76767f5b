"""Whatever is said comes over as it was; whatever else comes is garbled, and nothing worse."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from predictor.processes.messages import PREFIX, GarbledError, Message, lengths, read, write
from torpor.protocol.tensors import Tensor

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
).filter(lambda value: "inf" not in repr(value))
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
NUMBERS = arrays.arrays(arrays.scalar_dtypes() | arrays.complex_number_dtypes(), SHAPES)
TEXTS = SHAPES.flatmap(lambda shape: arrays.arrays(object, shape, elements=st.text() | st.binary(), fill=st.nothing()))
TENSORS = st.builds(Tensor, st.text(), NUMBERS | TEXTS)


def sent(message: Message) -> bytes:
    return b"".join(bytes(memoryview(each).cast("B")) for each in write(message) if memoryview(each).nbytes)


def received(raw: bytes) -> Message:
    header, body = lengths(raw[: PREFIX.size])
    if len(raw) != PREFIX.size + header + body:
        raise GarbledError("cut")
    view = memoryview(bytearray(raw))[PREFIX.size :]
    return read(view[:header], view[header:])


@given(st.text(), JSON, st.lists(TENSORS, max_size=3), st.lists(st.binary(), max_size=3))
def test_a_message_comes_over_as_it_was(kind: str, value: Any, tensors: list[Tensor], octets: list[bytes]) -> None:
    found = received(sent(Message(kind, value, tensors, octets)))
    assert (found.kind, found.value, list(found.octets)) == (kind, value, octets)
    for ours, its in zip(tensors, found.tensors, strict=True):
        assert (its.name, its.array.dtype, its.shape) == (ours.name, ours.array.dtype, ours.shape)
        if ours.array.dtype == object:
            assert its.array.tolist() == ours.array.tolist()
        else:
            assert its.array.tobytes() == ours.array.tobytes()


def test_bf16_comes_over_and_strided_arrays_do() -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    found = received(
        sent(Message("", None, [Tensor("a", array.astype(ml_dtypes.bfloat16)), Tensor("b", array[::2].T)]))
    )
    assert [each.datatype for each in found.tensors] == ["BF16", "FP32"]
    assert (found.tensors[1].array == array[::2].T).all()


def test_tensors_are_sent_from_where_they_are_and_received_where_they_stay() -> None:
    array = np.zeros(1000)
    assert any(
        np.shares_memory(np.frombuffer(each, np.uint8), array)
        for each in write(Message("", None, [Tensor("a", array)]))[1:]
    )
    body = bytearray(sent(Message("", None, [Tensor("a", array)])))
    header, _ = lengths(body[: PREFIX.size])
    whole = memoryview(body)[PREFIX.size :]
    found = read(whole[:header], whole[header:])
    assert np.shares_memory(found.tensors[0].array, np.frombuffer(body, np.uint8))


@pytest.mark.parametrize(
    "array", [np.array([object()]), np.array([None]), np.zeros(2, [("a", "i4")]), np.array([3], object)]
)
def test_what_is_no_tensor_is_refused(array: Any) -> None:
    with pytest.raises(TypeError, match="tensor 'x'"):
        write(Message("", None, [Tensor("x", array)]))


@settings(max_examples=300)
@given(st.data(), st.lists(TENSORS, max_size=2), st.lists(st.binary(), max_size=2))
def test_what_is_damaged_is_garbled_or_a_message(
    data: st.DataObject, tensors: list[Tensor], octets: list[bytes]
) -> None:
    raw = bytearray(sent(Message("k", [1, "a"], tensors, octets)))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=6)):
        raw[at] = value
    try:
        found = received(bytes(raw))
    except GarbledError:
        return
    for each in found.tensors:  # what it says may be wrong, but it is there
        assert each.array.size == np.prod(each.shape, dtype=int)
        each.array.tobytes()


@pytest.mark.parametrize(
    "header",
    [
        b'["k",null,[["x","|O",[1],0,8]],[]]',
        b'["k",null,[["x","O",[1],0,16]],[]]',
        b'["k",null,[["x","O",[4611686018427387904],0,16]],[]]',
        b'["k",null,[["x","<f4",[-1],0,4]],[]]',
        b'["k",null,[["x","<f4",[1],16,4]],[]]',
        b'["k",null,[["x","<f4",[1],-4,4]],[]]',
        b'["k",null,[["x","<f4",[true],0,4]],[]]',
        b'["k",null,[["x","<f4",[2],0,4]],[]]',
        b'["k",null,[["x","<U0",[99999999999],0,0]],[]]',
        b'["k",null,[["x","<f4",[0,9223372036854775807,9223372036854775807],0,0]],[]]',
        b'["k",null,[["x","(2,)f4,O",[1],0,8]],[]]',
        b'["k",null,[],[[0,17]]]',
        b'["k",null,[]]',
        b"{}",
        b"cposix\nsystem\n",
    ],
)
def test_what_would_reach_beyond_its_memory_is_garbled(header: bytes) -> None:
    with pytest.raises(GarbledError):
        read(memoryview(header), memoryview(bytes(16)))


def test_a_length_that_is_none_is_garbled() -> None:
    with pytest.raises(GarbledError):
        lengths(PREFIX.pack(16, 2**60))

"""V2 over gRPC: messages to requests and answers to messages, whatever their bytes."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.drawn import arrays
from torpor.errors import InvalidInputError, UnsupportedError
from torpor.protocol.grpc import codec
from torpor.protocol.grpc.messages import METHODS, message
from torpor.protocol.tensors import DATATYPES, Tensor

REQUEST = message("ModelInferRequest")
RESPONSE = message("ModelInferResponse")
FIELDS = (b"\x0a", b"\x12", b"\x3a", b"\x3a", b"\x42", b"\xba\x01")
"""Tags of fields of bytes: names, raw tensors, and some that nobody knows."""


def message_of(fields: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(tag + bytes([len(content)]) + content for tag, content in fields)


def returned(answer: Any) -> Any:
    """The outputs of an answer as the inputs of a request, over the wire."""
    request = REQUEST(model_name="m", raw_input_contents=answer.raw_output_contents)
    for each in answer.outputs:
        request.inputs.add(name=each.name, datatype=each.datatype, shape=each.shape, contents=each.contents)
        if answer.raw_output_contents:
            request.inputs[-1].ClearField("contents")
    return codec.decode(codec.Request.read(request.SerializeToString())).inputs


@pytest.mark.parametrize("is_raw", [True, False])
@pytest.mark.parametrize("datatype", DATATYPES)
@settings(max_examples=20)
@given(data=st.data())
def test_what_is_written_is_read_back(datatype: str, data: st.DataObject, *, is_raw: bool) -> None:
    """Every datatype and shape; what has no contents is raw, whoever asked."""
    array = data.draw(arrays(datatype))
    answer = RESPONSE.FromString(codec.encode("m", "1", "7", [(Tensor("y", array), is_raw)]).written())
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "1", "7")
    assert bool(answer.raw_output_contents) == (is_raw or datatype not in codec.CONTENTS)
    (read,) = returned(answer)
    assert (read.name, read.datatype, read.shape) == ("y", datatype, array.shape)
    if datatype == "BYTES":
        assert [each.decode() for each in read.array.ravel().tolist()] == array.ravel().tolist()
    elif is_raw or datatype not in codec.CONTENTS:
        assert read.array.tobytes() == array.tobytes()
    else:
        np.testing.assert_array_equal(read.array, array)


@given(
    st.binary(max_size=60), st.sampled_from(sorted(DATATYPES)), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4)
)
def test_no_bytes_raise_anything_else(raw: bytes, datatype: str, shape: list[int]) -> None:
    """Whatever the message says of them."""
    request = REQUEST(raw_input_contents=[raw])
    request.inputs.add(name="x", datatype=datatype, shape=shape)
    with contextlib.suppress(InvalidInputError):
        codec.decode(codec.Request.read(request.SerializeToString()))


@given(st.binary(max_size=200))
def test_no_message_raises_anything_else(data: bytes) -> None:
    """Whether protobuf can read it or not."""
    with contextlib.suppress(InvalidInputError, UnsupportedError):
        codec.decode(codec.Request.read(data))


@given(st.binary(max_size=200) | st.lists(st.tuples(st.sampled_from(FIELDS), st.binary(max_size=9))).map(message_of))
def test_what_is_cut_apart_is_the_same_message(data: bytes) -> None:
    """What protobuf reads, we read, in the same order; what it refuses, we refuse."""
    try:
        whole = REQUEST.FromString(data)
    except DecodeError:
        with pytest.raises(InvalidInputError, match=r"message: '.* bytes' is not allowed"):
            codec.Request.read(data)
        return
    request = codec.Request.read(data)
    assert [bytes(each) for each in request.raw] == list(whole.raw_input_contents)
    whole.ClearField("raw_input_contents")
    assert request.message == whole


def test_methods_are_the_protocols() -> None:
    """With the one that streams."""
    assert {name for name, method in METHODS.items() if method.streams} == {"ModelStreamInfer"}
    assert len(METHODS) == 12


def test_official_clients_have_the_same_names_and_numbers() -> None:
    """Each field that we have is Triton's; the answers to load and unload are KServe's, Triton's have none."""
    from tests.support.triton import service_pb2

    compared = 0
    for name, theirs in service_pb2.DESCRIPTOR.message_types_by_name.items():
        with contextlib.suppress(KeyError):
            ours = message(name).DESCRIPTOR
            numbers = {field.name: (field.number, field.type) for field in theirs.fields}
            if name not in {"RepositoryModelLoadResponse", "RepositoryModelUnloadResponse"}:
                assert {field.name: (field.number, field.type) for field in ours.fields}.items() <= numbers.items(), (
                    name
                )
                compared += 1
    assert compared > 20

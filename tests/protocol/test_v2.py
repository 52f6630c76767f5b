"""V2: a request is read strictly, an answer is what was asked for."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.drawn import arrays
from torpor.errors import InvalidInputError, UnsupportedError
from torpor.protocol import v2
from torpor.protocol.inference import InferRequest, Wanted, select
from torpor.protocol.tensors import DATATYPES, Tensor


def one(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]} | changes


def decoded(**document: Any) -> InferRequest:
    return v2.decode(orjson.dumps(document))


def test_a_whole_request() -> None:
    """Inputs become tensors in their order; id and the wanted outputs come along."""
    request = decoded(
        id="seven",
        parameters={"anything": 1, "binary_data_output": False},
        inputs=[one(parameters={"content_type": "np"}), one(name="y", datatype="BYTES", data=["a", "b"])],
        outputs=[{"name": "b", "parameters": {"binary_data": False}}, {"name": "a"}],
    )
    assert [each.name for each in request.inputs] == ["x", "y"]
    assert request.inputs[0].array.tolist() == [1.0, 2.0]
    assert (request.outputs, request.id) == ((Wanted("b"), Wanted("a")), "seven")
    assert request.parameters == {"anything": 1, "binary_data_output": False}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="absent"),
        pytest.param({"id": None, "outputs": None, "parameters": None}, id="null"),
        pytest.param({"outputs": []}, id="empty"),
    ],
)
def test_what_is_optional_may_be_left_out(document: dict[str, Any]) -> None:
    """Then all outputs are wanted, and no id comes back."""
    request = decoded(inputs=[one()], **document)
    assert (request.outputs, request.id) == (None, None)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        pytest.param({}, "inputs: None is not allowed; use a list of at least one", id="no inputs field"),
        pytest.param({"inputs": []}, r"inputs: \[\] is not allowed; use a list of at least one", id="no inputs"),
        pytest.param({"inputs": {"x": 1}}, "inputs: .* use a list", id="inputs by name"),
        pytest.param({"inputs": ["x"]}, r"inputs\[0\]: 'x' .* object", id="an input that is a text"),
        pytest.param({"inputs": [one(name=None)]}, r"inputs\[0\]\.name: None", id="no name"),
        pytest.param({"inputs": [one(name="")]}, r"inputs\[0\]\.name: ''", id="an empty name"),
        pytest.param({"inputs": [one(), one()]}, r"inputs\[1\]\.name: 'x' .* once", id="a name twice"),
        pytest.param({"inputs": [one(datatype="FLOAT")]}, r"inputs\[0\]\.datatype: 'FLOAT' .*FP32", id="a datatype"),
        pytest.param({"inputs": [one(datatype=["FP32"])]}, r"inputs\[0\]\.datatype", id="a list of datatypes"),
        pytest.param({"inputs": [one(shape=[-1])]}, r"inputs\[0\]\.shape: \[-1\]", id="a negative shape"),
        pytest.param({"inputs": [one(), one(name="y", data=[1])]}, r"inputs\[1\]\.shape", id="the second, too short"),
        pytest.param({"inputs": [one(parameters=[])]}, r"inputs\[0\]\.parameters: \[\]", id="parameters of an input"),
        pytest.param({"inputs": [one()], "parameters": 1}, r"^parameters: 1", id="parameters of the request"),
        pytest.param({"inputs": [one()], "id": 7}, "id: 7 .* text", id="an id that is a number"),
        pytest.param({"inputs": [one()], "outputs": "y"}, "outputs: 'y' .* list", id="outputs that are a text"),
        pytest.param({"inputs": [one()], "outputs": [{}]}, r"outputs\[0\]\.name: None", id="an output of no name"),
        pytest.param({"inputs": [one()], "outputs": [{"name": "y"}] * 2}, r"outputs\[1\]\.name: 'y'", id="twice"),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, Any], says: str) -> None:
    """Path, value and what is allowed."""
    with pytest.raises(InvalidInputError, match=says):
        decoded(**document)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"inputs": [one(parameters={"shared_memory_region": "r"})]}, id="of an input"),
        pytest.param(
            {"inputs": [one()], "outputs": [{"name": "y", "parameters": {"shared_memory_region": "r"}}]},
            id="of an output",
        ),
    ],
)
def test_shared_memory_is_refused(document: dict[str, Any]) -> None:
    """Memory that a client names is a way in (CVE-2025-23319)."""
    with pytest.raises(UnsupportedError, match="shared_memory_region: shared memory is not offered"):
        decoded(**document)


BINARY = {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}


def in_binary(tail: bytes, **document: Any) -> InferRequest:
    head = orjson.dumps(document)
    return v2.decode(head + tail, len(head))


def test_binary_inputs_follow_in_their_order() -> None:
    """JSON and bytes may be mixed, and a tensor without elements has no bytes."""
    nothing = {"name": "z", "shape": [0, 3], "datatype": "INT64", "parameters": {"binary_data_size": 0}}
    texts = {"name": "t", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 10}}
    tail = np.array([1.5, -2], "<f4").tobytes() + b"\x02\0\0\0\xff\xfe" + b"\0\0\0\0"
    request = in_binary(tail, inputs=[BINARY, one(name="y"), nothing, texts])
    found = {each.name: (each.datatype, each.shape, each.array.tolist()) for each in request.inputs}
    assert found == {
        "x": ("FP32", (2,), [1.5, -2.0]),
        "y": ("FP32", (2,), [1.0, 2.0]),
        "z": ("INT64", (0, 3), []),
        "t": ("BYTES", (2,), [b"\xff\xfe", b""]),
    }


@pytest.mark.parametrize(
    ("document", "tail", "says"),
    [
        pytest.param({"inputs": [BINARY]}, bytes(7), r"binary_data_size: 8 .* up to 7", id="too few bytes"),
        pytest.param({"inputs": [BINARY]}, bytes(9), r"body: '1 bytes' .* no input's", id="bytes that are nobody's"),
        pytest.param({"inputs": [one()]}, bytes(1), r"body: '1 bytes'", id="bytes after JSON alone"),
        pytest.param({"inputs": [BINARY | {"data": [1, 2]}]}, bytes(8), r"inputs\[0\]\.data", id="data twice"),
        pytest.param(
            {"inputs": [BINARY | {"parameters": {"binary_data_size": 4}}]},
            bytes(4),
            r"8 bytes, .* 4",
            id="size and shape",
        ),
        pytest.param(
            {"inputs": [BINARY | {"parameters": {"binary_data_size": True}}]}, b"\0", "size: True", id="a truth value"
        ),
        pytest.param({"inputs": [BINARY | {"shape": [2**31 - 1] * 3}]}, bytes(8), r"2\*\*63 or more", id="an overflow"),
        pytest.param(
            {"inputs": [BINARY | {"datatype": "BYTES"}]}, b"\xff\xff\xff\xff" + bytes(4), "4294967295", id="a long text"
        ),
        pytest.param(
            {"inputs": [BINARY | {"datatype": "BYTES", "shape": [3]}]}, bytes(8), "no more than 2", id="texts that lack"
        ),
        pytest.param(
            {"inputs": [BINARY | {"datatype": "BYTES", "shape": [1]}]},
            bytes(8),
            "4 bytes are left",
            id="texts too many",
        ),
        pytest.param(
            {"inputs": [BINARY | {"datatype": "BOOL", "shape": [8]}]},
            bytes(7) + b"\2",
            r"\[7\]: 2 .* the bytes 0 and 1",
            id="no truth value",
        ),
    ],
)
def test_wrong_bytes_are_named(document: dict[str, Any], tail: bytes, says: str) -> None:
    """What there is, and what there should be."""
    with pytest.raises(InvalidInputError, match=says):
        in_binary(tail, **document)


@given(st.binary(max_size=64), st.sampled_from(sorted(DATATYPES)), st.lists(st.integers(0, 2**31 - 1), max_size=4))
def test_no_bytes_raise_anything_else(tail: bytes, datatype: str, shape: list[int]) -> None:
    """Whatever follows the JSON, and whatever the JSON says of it."""
    entry = {"name": "x", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": len(tail)}}
    with contextlib.suppress(InvalidInputError):
        in_binary(tail, inputs=[entry])


WHOLE = [
    BINARY,
    {"name": "t", "shape": [1, 2], "datatype": "BYTES", "parameters": {"binary_data_size": 11}},
    one(name="j"),
    {"name": "e", "shape": [0, 7], "datatype": "BF16", "parameters": {"binary_data_size": 0}},
]
TAIL = bytes(8) + b"\x02\0\0\0ab\x01\0\0\0c"


@given(
    damage=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=4),
    cut=st.none() | st.integers(0, 999),
    length=st.none() | st.integers(0, 999).map(str) | st.text(max_size=4),
)
def test_no_damage_raises_anything_else(damage: list[tuple[int, int]], cut: int | None, length: str | None) -> None:
    """Octets changed, cut short, or divided elsewhere between the JSON and what follows: read whole, or refused."""
    head = orjson.dumps({"inputs": WHOLE, "parameters": {"binary_data_output": True}})
    body = bytearray(head + TAIL)
    for at, value in damage:
        body[at % len(body)] = value
    whole = bytes(body[:cut])
    with contextlib.suppress(InvalidInputError, UnsupportedError):
        request = v2.decode(whole, v2.read_header_length(length or str(len(head)), len(whole)))
        assert sum(each.array.nbytes for each in request.inputs if each.datatype != "BYTES") <= 8 * len(whole)


def test_what_is_damaged_there_is_right_before() -> None:
    """All four inputs."""
    request = in_binary(TAIL, inputs=WHOLE)
    assert [each.array.tolist() for each in request.inputs] == [[0, 0], [[b"ab", b"c"]], [1, 2], []]


@given(
    st.binary(max_size=64), st.sampled_from(sorted(DATATYPES)), st.lists(st.integers(-1, 2**63), max_size=5).map(tuple)
)
def test_no_body_that_is_a_tensor_raises_anything_else(body: bytes, datatype: str, shape: tuple[int, ...]) -> None:
    """Whatever the model's one input is."""
    with contextlib.suppress(InvalidInputError):
        assert v2.decode_raw(body, "x", datatype, shape).inputs[0].datatype == datatype


@pytest.mark.parametrize("datatype", DATATYPES)
@settings(max_examples=25)
@given(data=st.data())
def test_what_is_written_in_binary_is_read_back(datatype: str, data: st.DataObject) -> None:
    """Every datatype and shape, to the last bit."""
    array = data.draw(arrays(datatype))
    encoded = v2.encode("m", "1", None, [(Tensor("y", array), True)])
    assert encoded.header_length == len(encoded.head)
    (output,) = orjson.loads(encoded.head)["outputs"]
    request = in_binary(b"".join(encoded.tail), inputs=[output])
    read = request.inputs[0].array
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    if datatype == "BYTES":
        assert [each.decode() for each in read.ravel().tolist()] == array.ravel().tolist()
    else:
        assert read.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("request_", "output", "expected"),
    [
        pytest.param({}, {}, False, id="nobody asks"),
        pytest.param({"binary_data_output": True}, {}, True, id="the request asks"),
        pytest.param({"binary_data_output": True}, {"binary_data": False}, False, id="the output says no"),
        pytest.param({"binary_data_output": False}, {"binary_data": True}, True, id="the output says yes"),
    ],
)
def test_which_outputs_are_binary(request_: dict[str, Any], output: dict[str, Any], *, expected: bool) -> None:
    """What an output says of itself goes before what the request says of all."""
    request = decoded(inputs=[one()], parameters=request_, outputs=[{"name": "y", "parameters": output}])
    assert request.outputs == (Wanted("y", binary=expected),)
    everything = decoded(inputs=[one()], parameters=request_)
    assert everything.binary == request_.get("binary_data_output", False)


@pytest.mark.parametrize(
    ("datatype", "shape", "body", "expected"),
    [
        pytest.param("FP32", (-1, 2), bytes(8), (1, 2), id="any number of rows: one"),
        pytest.param("FP32", (-1, -1), bytes(12), (1, 3), id="and of columns: what the bytes give"),
        pytest.param("INT8", (4,), bytes(4), (4,), id="all of it fixed"),
        pytest.param("BYTES", (-1,), b"any\xff", (1,), id="one text"),
    ],
)
def test_a_body_that_is_a_tensor(datatype: str, shape: tuple[int, ...], body: bytes, expected: tuple[int, ...]) -> None:
    """Triton's raw binary request."""
    request = v2.decode_raw(body, "x", datatype, shape)
    assert request.binary
    assert (request.inputs[0].datatype, request.inputs[0].shape) == (datatype, expected)


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        pytest.param((-1, -1, -1), "send JSON that says it", id="two lengths are open"),
        pytest.param((3,), "12 bytes, and there are 8", id="another length"),
    ],
)
def test_a_body_that_is_no_such_tensor(shape: tuple[int, ...], says: str) -> None:
    """The shape must follow from the bytes."""
    with pytest.raises(InvalidInputError, match=says):
        v2.decode_raw(bytes(8), "x", "FP32", shape)


A, B = Tensor("a", np.array([1])), Tensor("b", np.array([2]))


def asked(*wanted: Wanted) -> InferRequest:
    return InferRequest((), wanted)


def test_outputs_come_in_the_order_asked_for() -> None:
    """All of them where nobody asks."""
    assert select(InferRequest(()), [A, B]) == [(A, False), (B, False)]
    assert select(asked(Wanted("b")), [A, B]) == [(B, False)]
    assert select(asked(Wanted("b", binary=True), Wanted("a")), [A, B]) == [(B, True), (A, False)]


def test_an_unknown_output_is_named() -> None:
    """With those that there are."""
    with pytest.raises(InvalidInputError, match=r"outputs\[1\]\.name: 'c' is not allowed; use one of a, b"):
        select(asked(Wanted("a"), Wanted("c")), [A, B])


@pytest.mark.parametrize(
    ("values", "classes", "expected"),
    [
        pytest.param([[0.1, 0.7, 0.2]], 2, [[b"0.700000:1:dog", b"0.200000:2"]], id="the best two of one row"),
        pytest.param([0.1, 0.7], 5, [b"0.700000:1:dog", b"0.100000:0:cat"], id="no rows, and no more than there are"),
        pytest.param([[[3], [3]], [[1], [2]]], 1, [[b"3:0:cat"], [b"2:1:dog"]], id="integers, of equal ones the first"),
        pytest.param([[float("nan"), 1.0]], 2, [[b"1.000000:1:dog", b"nan:0:cat"]], id="NaN is the least"),
    ],
)
def test_classes(values: list[Any], classes: int, expected: list[Any]) -> None:
    """Value, index, and label where there is one."""
    ((output, _),) = select(asked(Wanted("y", classes=classes)), [Tensor("y", np.array(values))], {"y": ("cat", "dog")})
    assert (output.datatype, output.array.tolist()) == ("BYTES", expected)


def test_texts_have_no_classes() -> None:
    """The parameter is named."""
    with pytest.raises(InvalidInputError, match=r"outputs\[0\]\.parameters\.classification: 1 .* 'y' is BYTES"):
        select(asked(Wanted("y", classes=1)), [Tensor("y", np.array(["a"], object))])


def test_a_whole_answer() -> None:
    """The id is the request's; elements are flat, in row-major order."""
    outputs = [
        (Tensor("y", np.arange(6, dtype=np.int16).reshape(2, 3).T), False),
        (Tensor("label", np.array("cat")), False),
    ]
    assert orjson.loads(v2.encode("m", "1", "seven", outputs).head) == {
        "model_name": "m",
        "model_version": "1",
        "id": "seven",
        "outputs": [
            {"name": "y", "datatype": "INT16", "shape": [3, 2], "data": [0, 3, 1, 4, 2, 5]},
            {"name": "label", "datatype": "BYTES", "shape": [], "data": ["cat"]},
        ],
    }


def test_without_an_id_there_is_none() -> None:
    """A null would be one more case for every client."""
    assert "id" not in orjson.loads(v2.encode("m", "1", None, [(A, False)]).head)


@pytest.mark.parametrize("datatype", sorted(DATATYPES.keys() - {"BYTES", "BOOL", "BF16"}))
def test_the_other_byte_order_is_the_same_number(datatype: str) -> None:
    """Files written on other machines hold such arrays; of BF16 there is no other order."""
    array = np.array([1, 2], DATATYPES[datatype].newbyteorder(">"))
    (output,) = orjson.loads(v2.encode("m", "1", None, [(Tensor("y", array), False)]).head)["outputs"]
    assert (output["datatype"], output["data"]) == (datatype, [1, 2])


def test_numbers_that_have_no_datatype_are_the_models_fault() -> None:
    """The author of the model reads which output it is."""
    with pytest.raises(TypeError, match="output 'y' is complex128"):
        v2.encode("m", "1", None, [(Tensor("y", np.array([1j])), False)])

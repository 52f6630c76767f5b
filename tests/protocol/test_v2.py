"""V2: a request is read strictly, an answer is what was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from torpor.errors import InvalidInputError, UnsupportedError
from torpor.protocol import v2
from torpor.protocol.tensors import DATATYPES, Tensor


def one(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]} | changes


def decoded(**document: Any) -> v2.InferRequest:
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
    assert (request.outputs, request.id) == (("b", "a"), "seven")


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
    ("document", "says"),
    [
        pytest.param(
            {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}]},
            r"inputs\[0\]\.parameters\.binary_data_size: binary tensors",
            id="a binary input",
        ),
        pytest.param(
            {"inputs": [one()], "outputs": [{"name": "y", "parameters": {"binary_data": True}}]},
            r"outputs\[0\]\.parameters\.binary_data: binary tensors",
            id="a binary output",
        ),
        pytest.param(
            {"inputs": [one()], "parameters": {"binary_data_output": True}}, "binary_data_output", id="binary outputs"
        ),
        pytest.param({"inputs": [one(parameters={"shared_memory_region": "r"})]}, "shared memory", id="shared memory"),
        pytest.param(
            {"inputs": [one()], "outputs": [{"name": "y", "parameters": {"classification": 3}}]},
            "classification",
            id="classification",
        ),
    ],
)
def test_extensions_that_are_not_offered_are_refused(document: dict[str, Any], says: str) -> None:
    """An answer in another form than was asked for would be read wrongly."""
    with pytest.raises(UnsupportedError, match=says):
        decoded(**document)


A, B = Tensor("a", np.array([1])), Tensor("b", np.array([2]))


def test_outputs_come_in_the_order_asked_for() -> None:
    """All of them where nobody asks."""
    assert v2.select(None, [A, B]) == [A, B]
    assert v2.select(("b",), [A, B]) == [B]
    assert v2.select(("b", "a"), [A, B]) == [B, A]


def test_an_unknown_output_is_named() -> None:
    """With those that there are."""
    with pytest.raises(InvalidInputError, match=r"outputs\[1\]\.name: 'c' is not allowed; use one of a, b"):
        v2.select(("a", "c"), [A, B])


def test_a_whole_answer() -> None:
    """The id is the request's; elements are flat, in row-major order."""
    outputs = [Tensor("y", np.arange(6, dtype=np.int16).reshape(2, 3).T), Tensor("label", np.array("cat"))]
    assert orjson.loads(v2.encode("m", "1", "seven", outputs)) == {
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
    assert "id" not in orjson.loads(v2.encode("m", "1", None, [A]))


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name not in {"BYTES", "BOOL"}])
def test_the_other_byte_order_is_the_same_number(datatype: str) -> None:
    """Files written on other machines hold such arrays."""
    array = np.array([1, 2], DATATYPES[datatype].newbyteorder(">"))
    (output,) = orjson.loads(v2.encode("m", "1", None, [Tensor("y", array)]))["outputs"]
    assert (output["datatype"], output["data"]) == (datatype, [1, 2])


def test_numbers_that_have_no_datatype_are_the_models_fault() -> None:
    """The author of the model reads which output it is."""
    with pytest.raises(TypeError, match="output 'y' is complex128"):
        v2.encode("m", "1", None, [Tensor("y", np.array([1j]))])

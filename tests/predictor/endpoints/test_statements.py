"""The Open Inference Protocol's document on REST and that on binary tensors, statement by statement.

What Triton adds has tests of its own beside this one: configuration, statistics and the repository (test_repository),
classes and bodies that are a tensor (test_inference), generate (test_generate), compression (test_compressed). gRPC's
statements are in tests/predictor/grpc/test_service.py. Where the documents contradict themselves, a test says which
word is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from predictor.loading.held import Held
from predictor.model import Signature, TensorSpec
from tests.predictor.endpoints.pod import Pod
from tests.predictor.endpoints.test_triton_client import Echo
from torpor.protocol.headers import HEADER_LENGTH
from torpor.protocol.tensors import DATATYPES

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = ["/v2/models/m", "/v2/models/m/versions/1"]
"""The version may be left out."""
X = {"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]}
BINARY_X = {"name": "x", "shape": [2, 2], "datatype": "FP64", "parameters": {"binary_data_size": 32}}
RAW_X = np.array([1, 2, 3, 4], "<f8").tobytes()


async def inferred(pod: Pod, **document: Any) -> Any:
    answer = await pod.http.post(f"{MODELS[0]}/infer", json={"inputs": [X]} | document)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    return answer.json()


async def in_binary(pod: Pod, tail: bytes, **document: Any) -> tuple[Any, bytes]:
    """Return the JSON of the answer, and what follows it."""
    head = orjson.dumps(document)
    headers = {HEADER_LENGTH: str(len(head))}
    answer = await pod.http.post(f"{MODELS[0]}/infer", content=head + tail, headers=headers)
    assert answer.status_code == 200, answer.text
    if HEADER_LENGTH not in answer.headers:
        return answer.json(), b""
    at = int(answer.headers[HEADER_LENGTH])
    return orjson.loads(answer.content[:at]), answer.content[at:]


def echoing(pod: Pod, datatype: str) -> None:
    pod.served.hold(Held(Echo(signature=Signature("test_echo", (TensorSpec("x", datatype, (-1,)),), ()))))


# --- health and metadata ------------------------------------------------------------------------------------------


async def test_live_says_whether_requests_are_answered(pod: Pod) -> None:
    """`live` is a boolean."""
    answer = await pod.http.get("/v2/health/live")
    assert (answer.status_code, answer.json()) == (200, {"live": True})


async def test_ready_says_whether_inference_is(pod: Pod) -> None:
    """The document's object has `live`, which its own text calls `ready`: so do KServe and we."""
    answer = await pod.http.get("/v2/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"ready": True})


@pytest.mark.parametrize("path", MODELS)
async def test_a_model_says_whether_it_is_ready(pod: Pod, path: str) -> None:
    """With its name."""
    answer = await pod.http.get(f"{path}/ready")
    assert (answer.status_code, answer.json()) == (200, {"name": "m", "ready": True})


async def test_not_ready_is_no_success(loading: Pod) -> None:
    """It may be used as a probe: these look at the status."""
    for path in ("/v2/health/ready", f"{MODELS[0]}/ready"):
        assert (await loading.http.get(path)).status_code == 503
    assert (await loading.http.get("/v2/health/live")).status_code == 200


async def test_the_server_has_name_version_and_extensions(pod: Pod) -> None:
    """Texts, and a list of texts."""
    answer = await pod.http.get("/v2")
    assert answer.status_code == 200
    assert {name: type(each) for name, each in answer.json().items()} == {
        "name": str,
        "version": str,
        "extensions": list,
    }
    assert all(isinstance(each, str) for each in answer.json()["extensions"])


@pytest.mark.parametrize("path", MODELS)
async def test_a_model_has_platform_versions_and_tensors(pod: Pod, path: str) -> None:
    """Each version that is named may be asked for; -1 is a length of any size."""
    answer = await pod.http.get(path)
    assert answer.status_code == 200
    told = answer.json()
    assert told.keys() == {"name", "versions", "platform", "inputs", "outputs"}
    for version in told["versions"]:
        assert (await pod.http.get(f"{MODELS[0]}/versions/{version}")).status_code == 200
    for each in told["inputs"] + told["outputs"]:
        assert each.keys() == {"name", "datatype", "shape"}
        assert each["datatype"] in DATATYPES
        assert each["shape"] == [-1, 2]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/v2/models/n", 404, id="metadata"),
        pytest.param("GET", "/v2/models/n/ready", 404, id="readiness"),
        pytest.param("GET", "/v2/models/m/versions/2", 404, id="a-version"),
        pytest.param("POST", "/v2/models/m/infer", 400, id="inference"),
        pytest.param("POST", "/v2/models/n/infer", 404, id="inference-by-another-model"),
    ],
)
async def test_a_failure_has_a_status_and_an_error(pod: Pod, method: str, path: str, status: int) -> None:
    """`error` is a text; 400 is what the document calls typical, and Triton's codes are more exact."""
    answer = await pod.http.request(method, path)
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)


# --- inference ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id_", ["42", "", 'ü \\ "'])
async def test_an_id_is_returned(pod: Pod, id_: str) -> None:
    assert (await inferred(pod, id=id_))["id"] == id_


async def test_no_id_is_no_id(pod: Pod) -> None:
    """ "The identifier given in the request, if any"."""
    assert "id" not in await inferred(pod)


async def test_an_answer_names_model_version_and_outputs(pod: Pod) -> None:
    """Each output has name, shape, datatype and data."""
    told = await inferred(pod)
    assert (told["model_name"], told["model_version"]) == ("m", "1")
    assert told["outputs"][0] == {"name": "double", "shape": [2, 2], "datatype": "FP64", "data": [2, 4, 6, 8]}


async def test_without_outputs_all_of_them_are_returned(pod: Pod) -> None:
    assert [each["name"] for each in (await inferred(pod))["outputs"]] == ["double", "negative"]


async def test_outputs_that_are_asked_for_are_returned(pod: Pod) -> None:
    """And no others."""
    assert [each["name"] for each in (await inferred(pod, outputs=[{"name": "negative"}]))["outputs"]] == ["negative"]


async def test_parameters_are_optional_everywhere(pod: Pod) -> None:
    """Of the request, of an input, of an output; those that mean nothing here change nothing."""
    known = {"text": "a", "number": 1, "truth": True}
    outputs = [{"name": "double", "parameters": known}]
    told = await inferred(pod, parameters=known, inputs=[X | {"parameters": known}], outputs=outputs)
    assert told["outputs"][0]["data"] == [2, 4, 6, 8]


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]], ids=["flat", "nested"])
async def test_data_is_flat_or_nested(pod: Pod, data: Any) -> None:
    """In row-major order, the whole batch."""
    told = await inferred(pod, inputs=[X | {"data": data}])
    assert told["outputs"][0]["data"] == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("BOOL", [True, False]),
        ("UINT8", [0, 255]),
        ("UINT16", [0, 65535]),
        ("UINT32", [0, 2**32 - 1]),
        ("UINT64", [0, 2**64 - 1]),
        ("INT8", [-128, 127]),
        ("INT16", [-(2**15), 2**15 - 1]),
        ("INT32", [-(2**31), 2**31 - 1]),
        ("INT64", [-(2**63), 2**63 - 1]),
        ("FP16", [0.5, -65504.0]),
        ("FP32", [0.5, -1.5]),
        ("FP64", [0.1, -1e300]),
        ("BYTES", ["a", "ü"]),
    ],
)
async def test_each_datatype_has_its_json(pod: Pod, datatype: str, data: list[Any]) -> None:
    """Booleans, numbers, texts. Triton and KServe take FP16 in binary alone."""
    echoing(pod, datatype)
    told = await inferred(pod, inputs=[{"name": "x", "shape": [2], "datatype": datatype, "data": data}])
    assert told["outputs"] == [{"name": "x-back", "shape": [2], "datatype": datatype, "data": data}]


# --- binary tensors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("datatype", "raw"),
    [
        ("BOOL", b"\1\0"),
        ("UINT16", b"\1\0\0\1"),
        ("INT32", b"\xff\xff\xff\xff\1\0\0\0"),
        ("FP16", b"\0\x3c\0\xc0"),  # two bytes each: the document's example, 16 bytes for [2, 2], is wrong
        ("BF16", b"\x80\x3f\0\xc0"),
        ("FP32", b"\0\0\x80\x3f\0\0\0\xc0"),
        ("BYTES", b"\1\0\0\0a\0\0\0\0"),  # the length of each, in four bytes, goes before it
    ],
)
async def test_each_datatype_has_its_bytes(pod: Pod, datatype: str, raw: bytes) -> None:
    """Little-endian, row-major, nothing between the elements."""
    echoing(pod, datatype)
    size = {"parameters": {"binary_data_size": len(raw)}}
    entry = {"name": "x", "shape": [2], "datatype": datatype} | size
    told, tail = await in_binary(pod, raw, inputs=[entry], parameters={"binary_data_output": True})
    assert told["outputs"] == [{"name": "x-back", "shape": [2], "datatype": datatype} | size]
    assert tail == raw


async def test_an_input_in_binary_leaves_the_outputs_in_json(pod: Pod) -> None:
    """As long as nobody asks for bytes; then there is no header either."""
    told, tail = await in_binary(pod, RAW_X, inputs=[BINARY_X])
    assert (told["outputs"][0]["data"], tail) == ([2, 4, 6, 8], b"")


@pytest.mark.parametrize(
    ("parameters", "of_output", "size"),
    [
        pytest.param({}, {}, 0, id="neither"),
        pytest.param({"binary_data_output": True}, {}, 32, id="the-request"),
        pytest.param({}, {"binary_data": True}, 32, id="the-output"),
        pytest.param({"binary_data_output": True}, {"binary_data": False}, 0, id="not-the-output"),
        pytest.param({"binary_data_output": False}, {"binary_data": True}, 32, id="not-the-request"),
    ],
)
async def test_what_an_output_says_goes_before_what_the_request_says(
    pod: Pod, parameters: dict[str, bool], of_output: dict[str, bool], size: int
) -> None:
    """`binary_data` overrides `binary_data_output`."""
    outputs = [{"name": "double", "parameters": of_output}]
    told, tail = await in_binary(pod, RAW_X, inputs=[BINARY_X], parameters=parameters, outputs=outputs)
    assert ("data" in told["outputs"][0], len(tail)) == (size == 0, size)


async def test_bytes_come_in_the_order_of_the_outputs(pod: Pod) -> None:
    """Those in JSON have none of them; a tensor without elements has no bytes."""
    binary = {"binary_data": True}
    outputs = [{"name": "negative", "parameters": binary}, {"name": "double", "parameters": binary}]
    told, tail = await in_binary(pod, RAW_X, inputs=[BINARY_X], outputs=outputs)
    assert [each["name"] for each in told["outputs"]] == ["negative", "double"]
    assert np.frombuffer(tail, "<f8").tolist() == [-1, -2, -3, -4, 2, 4, 6, 8]
    empty = BINARY_X | {"shape": [0, 2], "parameters": {"binary_data_size": 0}}
    told, tail = await in_binary(pod, b"", inputs=[empty], outputs=outputs)
    assert ([each["shape"] for each in told["outputs"]], tail) == ([[0, 2]] * 2, b"")

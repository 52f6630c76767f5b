"""TorchServe's inference API, for an archive and for a model that is none."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from predictor.loading.held import Held
from tests.predictor.endpoints.pod import LIMIT, Doubler, Pod
from tests.predictor.runtimes.mar.packing import manifest, opened, packed
from tests.support.until import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

HANDLER = """
from ts.utils.util import PredictionException

def handle(data, context):
    if data is None:
        return None
    (row,) = data
    verb = row.get("do")
    if verb == b"raise":
        raise KeyError("secret")
    if verb == b"refuse":
        raise PredictionException("too dark", 422)
    if verb == b"many":
        return [1, 2]
    if verb == b"picture":
        context.set_response_content_type(0, "image/png")
        context.set_response_header(0, "X-Made-By", "handler")
        context.set_response_status(201, "Created", 0)
        return [b"\\x89PNG"]
    told = {name: repr(value) for name, value in row.items()}
    return [{**told, "explain": context.get_request_header(0, "explain"), "id": context.get_request_id(0)}]
"""


@pytest.fixture
def mar(pod: Pod, tmp_path: Path) -> Iterator[Pod]:
    """A pod whose model is an archive."""
    model = opened(packed(tmp_path / "m.mar", {"handler.py": HANDLER}), tmp_path)
    pod.served.hold(Held(model))
    yield pod
    model.close()


def error(status: int, kind: str, message: str) -> dict[str, Any]:
    return {"code": status, "type": kind, "message": message}


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        pytest.param({"content": b"\x00\xff"}, {"body": r"bytearray(b'\x00\xff')"}, id="octets"),
        pytest.param({"json": {"a": [1, None]}}, {"body": "{'a': [1, None]}"}, id="json"),
        pytest.param(
            {"content": "é".encode(), "headers": {"Content-Type": "text/plain; charset=utf-8"}},
            {"body": "'é'"},
            id="text",
        ),
        pytest.param(
            {"files": {"data": ("a.jpg", b"\r\n--\xff"), "why": (None, b'{"b": 1}', "application/json")}},
            {"data": r"bytearray(b'\r\n--\xff')", "why": "{'b': 1}"},
            id="a form with a file",
        ),
        pytest.param({"data": {"a": "1 & 2"}}, {"a": "bytearray(b'1 & 2')"}, id="fields of a form"),
        pytest.param(
            {"params": {"a": "1"}, "content": b"x"}, {"a": "bytearray(b'1')", "body": "bytearray(b'x')"}, id="a query"
        ),
        pytest.param({}, {"body": "bytearray(b'')"}, id="nothing"),
    ],
)
async def test_a_handler_gets_what_was_sent(mar: Pod, sent: dict[str, Any], told: dict[str, str]) -> None:
    """By name; what has no name is the body."""
    headers = {**sent.pop("headers", {}), "X-Request-Id": "id-7"}
    answer = await mar.http.post("/predictions/m", **sent, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {**told, "explain": None, "id": "id-7"})
    assert answer.headers["content-type"] == "application/json"


async def test_a_query_alone_may_be_asked(mar: Pod) -> None:
    """By GET, as TorchServe allows it."""
    answer = await mar.http.get("/predictions/m", params={"a": "1"})
    assert answer.json()["a"] == "bytearray(b'1')"
    assert len(answer.json()["id"]) == 36


async def test_an_answer_has_the_handlers_status_type_and_headers(mar: Pod) -> None:
    """And its octets."""
    answer = await mar.http.post("/predictions/m?do=picture", content=b"")
    assert (answer.status_code, answer.content) == (201, b"\x89PNG")
    assert (answer.headers["content-type"], answer.headers["x-made-by"]) == ("image/png", "handler")


@pytest.mark.parametrize("path", ["/predictions/m/2.0", "/predictions/m/1"])
async def test_a_version_may_be_the_archives_own(mar: Pod, path: str) -> None:
    """Or that by which the pod lists it."""
    assert (await mar.http.post(path, content=b"x")).status_code == 200


async def test_explanations_are_told_to_the_handler(mar: Pod) -> None:
    """By TorchServe's header."""
    assert (await mar.http.post("/explanations/m", content=b"x")).json()["explain"] == "True"
    assert (await mar.http.post("/explanations/m/2.0", content=b"x")).json()["explain"] == "True"


async def test_v1_asks_the_handler_too(mar: Pod) -> None:
    """Each instance is a row, so this handler, which takes one, takes one."""
    answer = await mar.http.post("/v1/models/m:predict", json={"instances": [{"data": 3}]})
    assert answer.json()["predictions"][0]["data"] == "3"
    answer = await mar.http.post("/v1/models/m:explain", json={"instances": [{"data": 3}]})
    assert answer.json()["explanations"][0]["explain"] == "True"


@pytest.mark.parametrize(
    ("path", "content", "status", "kind", "says"),
    [
        pytest.param("/predictions/x", b"", 404, "ModelNotFoundException", "model 'x' is not here", id="no model"),
        pytest.param(
            "/predictions/m/9", b"", 404, "ModelVersionNotFoundException", "has no version '9'", id="no version"
        ),
        pytest.param("/predictions/m?do=raise", b"", 503, "InternalServerException", "Prediction failed", id="raises"),
        pytest.param("/predictions/m?do=refuse", b"", 422, "InternalServerException", "too dark", id="refuses"),
        pytest.param("/predictions/m?do=many", b"", 503, "InternalServerException", "mismatched: 2 for 1", id="many"),
        pytest.param(
            "/predictions/m", b"x" * (LIMIT + 1), 413, "InternalServerException", "over the limit", id="large"
        ),
    ],
)
async def test_errors_have_torchserves_shape(
    mar: Pod, path: str, content: bytes, status: int, kind: str, says: str
) -> None:
    """A code, the name of an exception, a message; and nothing of what only the log may know."""
    answer = await mar.http.post(path, content=content)
    document = answer.json()
    assert (answer.status_code, document) == (status, error(status, kind, document["message"]))
    assert says in document["message"]
    assert "secret" not in document["message"]


@pytest.mark.parametrize(
    ("kind", "content", "says"),
    [
        pytest.param("application/json", b"{", "body: .*JSON is needed", id="no JSON"),
        pytest.param("multipart/form-data", b"", "Content-Type: .*boundary", id="no boundary"),
        pytest.param("multipart/form-data; boundary=x", b"--x", "line break", id="no form"),
        pytest.param("application/x-www-form-urlencoded", b"a&" * 1001, "at most 1000 fields", id="many fields"),
    ],
)
async def test_a_body_that_is_not_what_it_says_is_refused(mar: Pod, kind: str, content: bytes, says: str) -> None:
    """Before the handler sees it."""
    answer = await mar.http.post("/predictions/m", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["type"]) == (400, "BadRequestException")
    assert re.search(says, answer.json()["message"])


async def test_requests_are_counted_under_their_protocol(mar: Pod) -> None:
    """With what became of them."""
    await mar.http.post("/predictions/m", content=b"x")
    await mar.http.post("/predictions/m?do=refuse")
    assert (mar.counters.codes["torchserve", 2], mar.counters.codes["torchserve", 4]) == (1, 1)


async def test_ping_says_whether_the_model_is_here(pod: Pod) -> None:
    """In TorchServe's words and statuses."""
    answer = await pod.http.get("/ping")
    assert (answer.status_code, answer.json()) == (200, {"status": "Healthy"})


async def test_ping_of_a_pod_that_loads(loading: Pod) -> None:
    """It is not healthy yet; who asks the model is told that it may be soon."""
    answer = await loading.http.get("/ping")
    assert (answer.status_code, answer.json()) == (500, {"status": "Unhealthy"})
    answer = await loading.http.post("/predictions/m", content=b"x")
    assert answer.json() == error(503, "ServiceUnavailableException", answer.json()["message"])
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        pytest.param([1, 2], [2, 4], id="a list"),
        pytest.param({"instances": [1, 2]}, {"predictions": [2, 4]}, id="V1's object"),
        pytest.param(3, 6, id="one instance"),
    ],
)
async def test_any_model_answers_torchserves_clients(pod: Pod, sent: Any, answered: Any) -> None:
    """Whatever JSON they send."""
    answer = await pod.http.post("/predictions/m", content=orjson.dumps(sent))
    assert (answer.status_code, answer.json()) == (200, answered)


@pytest.mark.parametrize("content", [b"\xff\xd8", b"[]", b'{"instances": []}', b'{"instances": [], "inputs": []}'])
async def test_what_is_no_json_is_refused_by_a_model_that_is_no_archive(pod: Pod, content: bytes) -> None:
    """It has no handler that could make something of it."""
    answer = await pod.http.post("/predictions/m", content=content)
    assert (answer.status_code, answer.json()["type"]) == (400, "BadRequestException")


async def test_a_model_without_explanations_says_so(pod: Pod) -> None:
    """In TorchServe's shape."""
    answer = await pod.http.post("/explanations/m", json=[1])
    assert answer.json() == error(501, "InternalServerException", "model 'm' offers no explanations; use /predictions")


class Explainer(Doubler):
    explains = True

    def explain(self, instances: Any) -> Any:
        return [{"why": each} for each in instances]


async def test_a_model_with_explanations_gives_them(pod: Pod) -> None:
    """As a list, or in V1's object."""
    pod.served.hold(Held(Explainer()))
    assert (await pod.http.post("/explanations/m", json=[1])).json() == [{"why": 1}]
    answer = await pod.http.post("/explanations/m", json={"instances": [1]})
    assert answer.json() == {"explanations": [{"why": 1}]}


PARTS = """
import queue
from ts.handler_utils.utils import send_intermediate_predict_response

go, ended = queue.SimpleQueue(), []

def handle(data, context):
    if data is None:
        return None
    if data[0]["body"] == b"fail":
        raise KeyError("before")
    context.set_response_content_type(0, "text/x-parts")
    for word in ("one ", "two "):
        send_intermediate_predict_response([word], context.request_ids, "Intermediate", 200, context)
        go.get(timeout=10)
    try:
        while data[0]["body"] == b"on and on":
            send_intermediate_predict_response(["again "], context.request_ids, "Intermediate", 200, context)
            go.get(timeout=10)
    except BaseException as error:
        ended.append(type(error).__name__)
        raise
    if data[0]["body"] == b"fail later":
        raise KeyError("after")
    return ["three"]
"""


@pytest.fixture
def parts(pod: Pod, tmp_path: Path) -> Iterator[tuple[Pod, Any]]:
    """A pod whose archive sends its answer in parts, and the handler's module."""
    model = opened(packed(tmp_path / "m.mar", {"parts.py": PARTS}, manifest("parts")), tmp_path)
    pod.served.hold(Held(model))
    yield pod, sys.modules["parts"]
    model.close()


async def test_parts_are_sent_as_they_come(parts: tuple[Pod, Any]) -> None:
    """The handler goes on when the client has the first of them."""
    pod, module = parts
    async with pod.http.stream("POST", "/predictions/m", content=b"x") as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/x-parts")
        found = []
        async for chunk in answer.aiter_raw():
            found.append(chunk)
            module.go.put(None)
    assert found == [b"one ", b"two ", b"three"]


async def test_what_fails_before_the_first_part_is_an_error_as_any_other(parts: tuple[Pod, Any]) -> None:
    """In TorchServe's shape."""
    answer = await parts[0].http.post("/predictions/m", content=b"fail")
    assert (answer.status_code, answer.json()["type"]) == (503, "InternalServerException")


async def test_what_fails_after_the_first_part_leaves_the_answer_without_an_end(parts: tuple[Pod, Any]) -> None:
    """So that no client takes it for whole."""
    pod, module = parts
    for _ in range(2):
        module.go.put(None)
    with pytest.raises(httpx.RemoteProtocolError):
        await pod.http.post("/predictions/m", content=b"fail later")
    assert pod.counters.codes["torchserve", 5] == 1


async def test_a_client_that_leaves_ends_the_handler(parts: tuple[Pod, Any]) -> None:
    """While it sends on; then the next request has its turn."""
    pod, module = parts
    async with pod.http.stream("POST", "/predictions/m", content=b"on and on"):
        pass

    def has_ended() -> bool:
        module.go.put(None)
        return module.ended == ["NobodyTakesError"]

    await until(has_ended)
    assert pod.counters.in_flight == 0
    assert (await pod.http.post("/predictions/m", content=b"fail")).status_code == 503

"""Inference by V1 and V2, on a real socket: what is right, what is wrong, and whose fault it is."""

from __future__ import annotations

import asyncio
import gzip
import logging
import re
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from predictor.pace import LONG_S, TRIAL
from tests.predictor.endpoints.pod import LIMIT, Gate, Pod, running
from tests.support.until import until
from torpor.errors import InvalidInputError

pytestmark = pytest.mark.asyncio(loop_scope="module")

V1 = "/v1/models/m:predict"
V2 = "/v2/models/m/infer"


def tensor(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]} | changes]}


async def test_v1_predicts(pod: Pod) -> None:
    """Instances in, predictions out."""
    answer = await pod.http.post(V1, json={"instances": [1, 2.5, "a"]})
    assert (answer.status_code, answer.json()) == (200, {"predictions": [2, 5.0, "aa"]})
    assert answer.headers["content-type"] == "application/json"
    answer = await pod.http.post(V1, json={"inputs": [1]})
    assert (answer.status_code, answer.json()) == (200, {"predictions": [2]})


@pytest.mark.parametrize("path", [V2, "/v2/models/m/versions/1/infer"])
async def test_v2_infers(pod: Pod, path: str) -> None:
    """All outputs, or those asked for, with the id of the request."""
    double = {"name": "double", "shape": [1, 2], "datatype": "FP64", "data": [2.0, 4.0]}
    negative = {"name": "negative", "shape": [1, 2], "datatype": "FP64", "data": [-1.0, -2.0]}
    answer = await pod.http.post(path, json=tensor() | {"id": "7"})
    assert answer.json() == {"model_name": "m", "model_version": "1", "id": "7", "outputs": [double, negative]}
    answer = await pod.http.post(path, json=tensor() | {"outputs": [{"name": "negative"}]})
    assert answer.json()["outputs"] == [negative]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason", "says"),
    [
        pytest.param("POST", V1, b"{", 400, "InvalidInput", "JSON", id="no JSON"),
        pytest.param("POST", V1, b"{}", 400, "InvalidInput", "instances", id="no instances"),
        pytest.param("POST", V2, b"{}", 400, "InvalidInput", "inputs", id="no inputs"),
        pytest.param(
            "POST", V2, tensor(shape=[-1, 2]), 400, "InvalidInput", "inputs[0].shape: [-1, 2]", id="a negative shape"
        ),
        pytest.param(
            "POST",
            V2,
            tensor() | {"outputs": [{"name": "triple"}]},
            400,
            "InvalidInput",
            "outputs[0].name: 'triple' is not allowed; use one of double, negative",
            id="an output that is none",
        ),
        pytest.param(
            "POST",
            V2,
            tensor(data=None, parameters={"binary_data_size": 16}),
            400,
            "InvalidInput",
            "inputs[0].parameters.binary_data_size: 16 is not allowed; use a whole number up to 0",
            id="a binary tensor that does not follow",
        ),
        pytest.param(
            "POST", "/v1/models/n:predict", b"", 404, "NotFound", "'n' is not here; this server has 'm'", id="v1"
        ),
        pytest.param(
            "POST", "/v2/models/n/infer", b"", 404, "NotFound", "'n' is not here; this server has 'm'", id="v2"
        ),
        pytest.param("GET", "/v1/models/n", None, 404, "NotFound", "'n' is not here", id="another model's state by v1"),
        pytest.param("GET", "/v2/models/n", None, 404, "NotFound", "'n' is not here", id="another model's metadata"),
        pytest.param(
            "POST", "/v2/models/m/versions/2/infer", b"", 404, "NotFound", "no version '2'; it has '1'", id="a version"
        ),
        pytest.param("GET", "/v2/models/m/versions/2/ready", None, 404, "NotFound", "version '2'", id="its state"),
        pytest.param("GET", "/v3", None, 404, "NotFound", "nothing is served at /v3", id="a path that is none"),
        pytest.param("POST", "/v1/models/m:explain", b"{}", 501, "Unsupported", "explanations", id="an explanation"),
        pytest.param("POST", "/v1/models/n:explain", b"{}", 404, "NotFound", "'n' is not here", id="of another model"),
        pytest.param("POST", "/v1/models/m:praise", b"", 404, "NotFound", "/v1/models/m:praise", id="another verb"),
        pytest.param("GET", "/healthz/", None, 404, "NotFound", "/healthz/", id="a slash too many"),
    ],
)
async def test_what_is_wrong_is_told(
    pod: Pod, method: str, path: str, body: Any, status: int, reason: str, says: str
) -> None:
    """One form for all of it; the pod answers the next request as if nothing had been."""
    given: dict[str, Any] = {"json": body} if isinstance(body, dict) else {"content": body}
    answer = await pod.http.request(method, path, **given)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text
    assert says in answer.json()["error"]
    assert (await pod.http.post(V1, json={"instances": [1]})).json() == {"predictions": [2]}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        pytest.param("GET", V1, {"POST"}, id="predict is POST"),
        pytest.param("GET", V2, {"POST"}, id="infer is POST"),
        pytest.param("DELETE", "/v2/models/m", {"GET", "HEAD"}, id="metadata is GET"),
        pytest.param("POST", "/healthz", {"GET", "HEAD"}, id="health is GET"),
    ],
)
async def test_a_wrong_method_is_told_the_right_one(pod: Pod, method: str, path: str, allow: set[str]) -> None:
    """405 with Allow, in JSON."""
    answer = await pod.http.request(method, path)
    assert (answer.status_code, answer.json()["reason"]) == (405, "MethodNotAllowed")
    assert set(answer.headers["allow"].split(", ")) == allow
    assert path in answer.json()["error"]


@pytest.mark.parametrize("path", [V1, V2, "/v2/models/m/versions/1/infer"])
async def test_a_model_that_loads_is_503_with_retry_after(loading: Pod, path: str) -> None:
    """Whoever comes early knows when to come again."""
    answer = await loading.http.post(path, json={})
    assert (answer.status_code, answer.json()["reason"]) == (503, "Unavailable")
    assert answer.headers["retry-after"] == "1"
    assert "'m' is loading" in answer.json()["error"]
    loading.loaded()
    assert (await loading.http.post(V1, json={"instances": [1]})).status_code == 200


async def test_input_that_the_model_refuses_is_the_clients_fault(pod: Pod) -> None:
    """With the model's own words."""

    def refuse() -> None:
        raise InvalidInputError("inputs[0].shape", [1, 3], "this model takes [-1, 2]")

    pod.model.before = refuse
    answer = await pod.http.post(V2, json=tensor())
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        "inputs[0].shape: [1, 3] is not allowed; this model takes [-1, 2]",
    )


@pytest.mark.parametrize("path", [V1, V2])
async def test_a_model_that_fails_is_a_500_and_a_traceback_in_the_log(
    pod: Pod, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """What failed may hold secrets; the client is sent to the log."""

    def fail() -> None:
        raise RuntimeError("password=hunter2")

    pod.model.before = fail
    answer = await pod.http.post(path, json={"instances": [1]} if path == V1 else tensor())
    assert (answer.status_code, answer.json()["reason"]) == (500, "Internal")
    assert "hunter2" not in answer.text
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert path in record.getMessage()
    assert "hunter2" in caplog.text


async def test_health_answers_while_the_model_computes(pod: Pod) -> None:
    """Every thread is busy, the loop is not; what waits for a thread is computed afterwards."""
    gate = Gate()
    pod.model.before = gate
    asked = [asyncio.create_task(pod.http.post(V1, json={"instances": [n]})) for n in range(5)]
    await gate.someone_waits()
    await gate.someone_waits()
    assert (await pod.http.get("/healthz")).status_code == 200
    assert (await pod.http.get("/readyz")).status_code == 200
    await until(lambda: pod.counters.in_flight == 5)
    assert pod.model.computed == []
    gate.opened.set()
    assert [(await each).json() for each in asked] == [{"predictions": [n * 2]} for n in range(5)]


async def test_a_client_that_hangs_up_frees_its_place() -> None:
    """What it asked for is not computed, if that has not begun; others are answered."""
    async with running(threads=1) as pod:
        gate = Gate()
        pod.model.before = gate
        first = asyncio.create_task(pod.http.post(V1, json={"instances": ["first"]}))
        await gate.someone_waits()
        _, writer = await pod.connect()
        body = b'{"instances": ["never"]}'
        writer.write(b"POST %s HTTP/1.1\r\nHost: m\r\nContent-Length: %d\r\n\r\n%s" % (V1.encode(), len(body), body))
        await until(lambda: pod.counters.in_flight == 2)
        writer.close()
        await until(lambda: pod.counters.in_flight == 1)
        last = asyncio.create_task(pod.http.post(V1, json={"instances": ["last"]}))
        gate.opened.set()
        assert (await first).status_code == (await last).status_code == 200
        assert pod.model.computed == [["first"], ["last"]]


async def test_a_client_that_hangs_up_within_its_body_breaks_nothing(
    pod: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is computed, nothing is logged as an error."""
    _, writer = await pod.connect()
    writer.write(b'POST %s HTTP/1.1\r\nHost: m\r\nContent-Length: 90000\r\n\r\n{"inst' % V1.encode())
    await until(lambda: pod.counters.in_flight == 1)
    writer.close()
    await until(lambda: pod.counters.in_flight == 0)
    assert (await pod.http.post(V1, json={"instances": [1]})).status_code == 200
    assert pod.model.computed == [[1]]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_body_that_is_announced_too_large_is_refused_unread(pod: Pod) -> None:
    """2 GiB by Content-Length: 413 before the first byte of them."""
    reader, writer = await pod.connect()
    writer.write(f"POST {V1} HTTP/1.1\r\nHost: m\r\nContent-Length: {2 * 2**30}\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in head.lower()
    writer.write_eof()
    body = await asyncio.wait_for(reader.read(), 10)
    assert b"TORPOR_PREDICTOR_MAX_BODY_BYTES" in body
    writer.close()
    assert pod.counters.codes["v1", 4] == 1


async def test_a_body_that_turns_out_too_large_is_refused_on_the_way(pod: Pod) -> None:
    """In chunks: as soon as it is over; the client that still sends reads its 413 all the same."""
    reader, writer = await pod.connect()
    writer.write(f"POST {V1} HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(2 * LIMIT // 0x10000):
        writer.write(chunk)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert head.startswith(b"HTTP/1.1 413 ")
    writer.close()
    assert (await pod.http.post(V1, json={"instances": [1]})).status_code == 200


async def test_a_body_at_the_limit_is_taken(pod: Pod) -> None:
    """One byte more is not."""
    body = b'{"instances": [1]}'
    answer = await pod.http.post(V1, content=body + b" " * (LIMIT - len(body)))
    assert answer.status_code == 200
    answer = await pod.http.post(V1, content=body + b" " * (LIMIT - len(body) + 1))
    assert (answer.status_code, answer.json()["reason"]) == (413, "TooLarge")


async def test_a_client_that_asks_first_is_told_before_it_sends(pod: Pod) -> None:
    """Expect: 100-continue is answered by 413 where the body would be too large."""
    reader, writer = await pod.connect()
    head = f"POST {V1} HTTP/1.1\r\nHost: m\r\nContent-Length: {LIMIT + 1}\r\nExpect: 100-continue\r\n\r\n"
    writer.write(head.encode())
    assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 413 ")
    writer.close()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        pytest.param("gzip", gzip.compress, id="gzip"),
        pytest.param("X-GZIP", gzip.compress, id="its old name"),
        pytest.param("deflate", zlib.compress, id="deflate"),
        pytest.param("identity", bytes, id="as it is"),
    ],
)
async def test_compressed_bodies_are_unpacked(pod: Pod, encoding: str, packed: Callable[[bytes], bytes]) -> None:
    """JSON, and binary tensors after it."""
    headers = {"Content-Encoding": encoding}
    answer = await pod.http.post(V1, content=packed(b'{"instances": [3]}'), headers=headers)
    assert answer.json() == {"predictions": [6]}
    head, tail = binary([3.0, 4.0])
    headers["Inference-Header-Content-Length"] = str(len(head))
    answer = await pod.http.post(V2, content=packed(head + tail), headers=headers)
    assert answer.json()["outputs"][0]["data"] == [6.0, 8.0]


@pytest.mark.parametrize(
    ("encoding", "body", "status", "says"),
    [
        pytest.param("br", b"x", 415, "br is not accepted.*gzip", id="another encoding"),
        pytest.param("gzip", b"\x1f\x8b", 400, "its end is missing", id="cut short"),
        pytest.param("gzip", b"{}", 400, "it is not gzip", id="not packed at all"),
        pytest.param("gzip", gzip.compress(b"{}") + b"{}", 400, "more follows its end", id="more after its end"),
        pytest.param("gzip", gzip.compress(bytes(LIMIT + 1)), 413, "unpacked, it is over the limit", id="a bomb"),
        pytest.param("deflate", zlib.compress(bytes(10_000_000), 9), 413, "over the limit", id="a hundredfold"),
    ],
)
async def test_what_cannot_be_unpacked_is_told(pod: Pod, encoding: str, body: bytes, status: int, says: str) -> None:
    """With what is taken."""
    answer = await pod.http.post(V1, content=body, headers={"Content-Encoding": encoding})
    assert answer.status_code == status
    assert re.search(says, answer.json()["error"])
    assert answer.headers.get("accept-encoding") == ("gzip, deflate, identity" if status == 415 else None)


def binary(numbers: list[float], **changes: Any) -> tuple[bytes, bytes]:
    """Return the JSON and the bytes of a request whose one input is binary."""
    tail = struct.pack(f"<{len(numbers)}d", *numbers)
    entry = {"name": "x", "shape": [1, 2], "datatype": "FP64", "parameters": {"binary_data_size": len(tail)}}
    return orjson.dumps({"inputs": [entry]} | changes), tail


@pytest.mark.parametrize("spaces", range(8))
async def test_binary_tensors_in_and_out(pod: Pod, spaces: int) -> None:
    """Wherever in the body they begin; outputs one by one as they are wanted, the JSON first."""
    outputs = [
        {"name": "negative", "parameters": {"binary_data": False}},
        {"name": "double", "parameters": {"binary_data": True}},
    ]
    head, tail = binary([1.5, -2.0], outputs=outputs, id="7")
    head += b" " * spaces
    answer = await pod.http.post(V2, content=head + tail, headers={"Inference-Header-Content-Length": str(len(head))})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
    length = int(answer.headers["inference-header-content-length"])
    document = orjson.loads(answer.content[:length])
    assert document["id"] == "7"
    assert document["outputs"] == [
        {"name": "negative", "shape": [1, 2], "datatype": "FP64", "data": [-1.5, 2.0]},
        {"name": "double", "shape": [1, 2], "datatype": "FP64", "parameters": {"binary_data_size": 16}},
    ]
    assert struct.unpack("<2d", answer.content[length:]) == (3.0, -4.0)


async def test_nothing_but_a_tensor(pod: Pod) -> None:
    """A length of 0 says that there is no JSON: the body is the model's one input, and its answer is binary too."""
    body = struct.pack("<2d", 1.0, 2.0)
    answer = await pod.http.post(V2, content=body, headers={"Inference-Header-Content-Length": "0"})
    length = int(answer.headers["inference-header-content-length"])
    assert struct.unpack("<4d", answer.content[length:]) == (2.0, 4.0, -1.0, -2.0)


@pytest.mark.parametrize(
    ("length", "says"),
    [
        pytest.param("x", "Inference-Header-Content-Length: 'x'", id="no number"),
        pytest.param("-1", "whole number up to the length of the body", id="negative"),
        pytest.param("9" * 30, "whole number up to the length of the body", id="beyond any body"),
        pytest.param("1000", "whole number up to the length of the body", id="beyond this body"),
        pytest.param("10", "body: ", id="in the middle of the JSON"),
    ],
)
async def test_a_wrong_header_length_is_told(pod: Pod, length: str, says: str) -> None:
    """A 400 that names the header or the JSON."""
    head, tail = binary([1.0, 2.0])
    answer = await pod.http.post(V2, content=head + tail, headers={"Inference-Header-Content-Length": length})
    assert (answer.status_code, answer.json()["reason"]) == (400, "InvalidInput")
    assert says in answer.json()["error"]


async def test_the_best_classes(pod: Pod) -> None:
    """Triton's classification extension: value and index, the largest first."""
    wanted = [{"name": "double", "parameters": {"classification": 1}}]
    answer = await pod.http.post(V2, json=tensor() | {"outputs": wanted})
    assert answer.json()["outputs"] == [
        {"name": "double", "shape": [1, 1], "datatype": "BYTES", "data": ["4.000000:1"]}
    ]


async def test_a_connection_is_used_again(pod: Pod) -> None:
    """Also after a refusal that read no body."""
    before = pod.server.server_state.total_requests
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{pod.port}", limits=limits) as http:
        for _ in range(3):
            assert (await http.post("/v1/models/n:predict", json={"instances": [1] * 1000})).status_code == 404
            assert (await http.post(V1, json={"instances": [1]})).status_code == 200
    assert pod.server.server_state.total_requests == before + 6


async def test_a_model_without_workers_answers_no_more(pod: Pod) -> None:
    """503, until it is scaled up again."""
    pod.served.turns.resize(0)
    answer = await pod.http.post(V1, json={"instances": [1]})
    assert (answer.status_code, answer.json()["reason"]) == (503, "Unavailable")
    pod.served.turns.resize(1)
    assert (await pod.http.post(V1, json={"instances": [1]})).status_code == 200
    pod.served.turns.resize(None)


async def test_what_is_always_brief_needs_no_thread() -> None:
    """And comes back to the threads as soon as it is not; a model on the loop may still run loops of its own."""
    async with running(inline=True) as pod:

        async def nothing() -> None:
            threads.append(threading.current_thread() is threading.main_thread())

        threads: list[bool] = []
        pod.model.before = lambda: asyncio.run(nothing())
        pod.served.pace.streak = TRIAL
        for path, body in ((V1, {"instances": [1]}), (V2, tensor())):
            assert (await pod.http.post(path, json=body)).status_code == 200
        assert threads[0]
        pod.model.before = sys.exit
        pod.served.pace.streak = TRIAL
        answer = await pod.http.post(V1, json={"instances": [1]})
        assert (answer.status_code, answer.json()["reason"]) == (500, "ModelFailed")
        pod.model.before = lambda: time.sleep(LONG_S)  # the computation that takes long, not a wait for one
        pod.served.pace.streak = TRIAL
        assert (await pod.http.post(V1, json={"instances": [1]})).status_code == 200
        assert (pod.served.pace.streak, pod.served.pace.trial) == (0, 8 * TRIAL)

"""A client that asked for events is told while it waits, and the pod's events follow on the same response."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from activator.settings import Waiting
from activator.waiting.stages import Stage
from tests.activator.proxy.doorway import Doorway, doorway
from tests.activator.proxy.pods import OK, Behave, Line, Pod, answering, pod
from tests.activator.proxy.wire import Wire, get, post, wire
from tests.support.clock import FakeClock
from tests.support.until import until

EVENTS = "Accept: text/event-stream"
FIRST = b"data: one\n\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWER = STREAM + b"b\r\n" + FIRST + b"\r\n0\r\n\r\n"


class Scene:
    """A door with a service at zero, a clock that stands still, and a pod that may come."""

    def __init__(self, door: Doorway, clock: FakeClock, made: Pod) -> None:
        self.door = door
        self.clock = clock
        self.pod = made

    async def wait(self, client: Wire, request: bytes, seconds: float = 1.0) -> None:
        """Let a request wait so long."""
        await client.send(request)
        await until(lambda: self.door.throttler().queued)
        self.clock.advance(seconds)

    def wake(self) -> None:
        self.door.scale("app", self.pod.port)


@contextlib.asynccontextmanager
async def scene(behave: Behave, **spec: int) -> AsyncIterator[Scene]:
    clock = FakeClock()
    waiting = Waiting(told_after_s=1.0, told_every_s=10.0)
    async with pod(behave) as made, doorway(waiting=waiting, clock=clock) as door:
        door.deploy("app", concurrency=1, **spec)
        yield Scene(door, clock, made)


async def comment(client: Wire) -> bytes:
    """Read the next comment, past the framing of its chunk."""
    return (await client.until(b"\n\n\r\n")).split(b"\r\n", 1)[-1].removesuffix(b"\r\n")


def events_of(body: bytes) -> list[bytes]:
    """Return what a reader of events sees: comments are left out."""
    return [each for each in body.split(b"\n\n") if each and not each.startswith(b":")]


def error_of(body: bytes) -> dict[str, object]:
    """Return the error that ends a response."""
    last = events_of(body)[-1]
    assert last.startswith(b"event: error\ndata: ")
    said: dict[str, object] = json.loads(last.partition(b"data: ")[2])
    return said


async def test_stages_are_told_as_they_change_and_the_pods_events_follow() -> None:
    """One response: the head after a second, a comment for each change and each silence, then the pod's own body."""
    async with scene(answering(ANSWER)) as made, wire(made.door.port) as client:
        await made.wait(client, get("/", EVENTS, "Accept-Encoding: gzip"), 0.9)
        await made.door.watched()
        made.clock.advance(0.1)
        head = await client.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        assert await comment(client) == b": torpor stage=wake\n\n"
        made.door.stage = Stage("fetch", 42)
        assert await comment(client) == b": torpor stage=fetch percent=42\n\n"
        await made.door.watched()
        made.clock.advance(10)
        assert await comment(client) == b": torpor stage=fetch percent=42\n\n", "nothing new, and no silence"
        made.wake()
        assert b": torpor cold-start queue=11.000;first-byte=0.000\n\n" in await client.until(b"first-byte=0.000\n\n")
        await client.until(FIRST + b"\r\n0\r\n\r\n")
        assert made.pod.request.header(b"accept-encoding") is None
        assert made.pod.request.header(b"accept") == b"text/event-stream"
        assert (await client.ask(get("/", EVENTS))).body == FIRST, "the connection goes on; a warm answer is the pod's"


async def test_who_did_not_ask_is_not_told() -> None:
    """Its answer is the pod's, head and all, however long it took."""
    async with scene(answering(OK)) as made, wire(made.door.port) as client:
        await made.wait(client, get("/", "Accept: application/json, text/event-stream"), 30)
        await made.door.watched()
        made.wake()
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"ok")
        assert answer.header(b"torpor-cold-start") == b"queue=30.000;first-byte=0.000"


async def test_a_wait_that_is_short_is_not_told() -> None:
    """The pod's own head is better, while it may still come."""
    async with scene(answering(OK)) as made, wire(made.door.port) as client:
        await made.wait(client, get("/", EVENTS), 0.5)
        await made.door.watched()
        made.wake()
        assert (await client.answer()).body == b"ok"


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(get("/", EVENTS, method="HEAD"), id="HEAD"),
        pytest.param(get("/", EVENTS, "Expect: 100-continue", "Content-Length: 5", method="POST"), id="Expect"),
        pytest.param(get("/", EVENTS, "Connection: Upgrade", "Upgrade: websocket"), id="a tunnel"),
    ],
)
async def test_who_could_not_read_it_is_not_told(request_: bytes) -> None:
    """A head would be the end of it."""
    async with scene(answering(OK)) as made, wire(made.door.port) as client:
        await made.wait(client, request_, 30)
        await made.door.watched()
        made.door.throttler().set_failure("no", made.clock.monotonic())
        assert (await client.until(b"\r\n")).startswith(b"HTTP/1.1 503 ")


async def test_a_start_that_fails_is_an_event() -> None:
    """With what would have been the answer; then the response ends, and the connection goes on."""
    async with scene(answering(OK)) as made, wire(made.door.port) as client:
        await made.wait(client, post(b"hello", EVENTS))
        _, head = await client.head()
        assert head.status == 200
        made.door.throttler().set_failure("fetch: no such bucket", made.clock.monotonic())
        body = await client.until(b"0\r\n\r\n")
        assert b'"reason":"ModelLoadFailed","status":503}\n\n' in body
        made.door.throttler().set_failure(None, made.clock.monotonic())
        made.wake()
        assert (await client.ask(get())).status == 200


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(
            b'HTTP/1.1 400 Bad Request\r\nContent-Length: 36\r\n\r\n{"error":"no such","reason":"Wrong"}',
            {"error": "no such", "reason": "Wrong", "status": 400},
            id="an error of the pod's",
        ),
        pytest.param(
            OK.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\n\r\n"),
            {
                "error": "the model answered 200 with text/plain, and not with a stream of events",
                "reason": "NoEventStream",
                "body": "ok",
                "status": 200,
            },
            id="another type",
        ),
        pytest.param(
            b"HTTP/1.1 204 No Content\r\n\r\n",
            {
                "error": "the model answered 204 with no type, and not with a stream of events",
                "reason": "NoEventStream",
                "body": "",
                "status": 204,
            },
            id="nothing",
        ),
    ],
)
async def test_an_answer_that_is_no_stream_is_an_event(answer: bytes, said: dict[str, object]) -> None:
    """The head is out, so its status is told in the event."""
    async with scene(answering(answer)) as made, wire(made.door.port) as client:
        await made.wait(client, get("/", EVENTS))
        await made.door.watched()
        made.wake()
        told = await client.answer()
        assert told.status == 200
        assert error_of(told.body) == said
        assert (await client.ask(get())).status in {200, 204, 400}


async def test_a_pod_that_dies_before_its_answer_is_an_event() -> None:
    """As it would have been a 502."""

    async def dies(line: Line) -> None:
        await line.request()

    async with scene(dies) as made, wire(made.door.port) as client:
        await made.wait(client, get("/", EVENTS))
        await made.door.watched()
        made.wake()
        assert error_of((await client.answer()).body)["status"] == 502


async def test_a_pod_that_dies_within_its_events_ends_the_connection() -> None:
    """An event after half of another would make the half look whole."""

    async def dies(line: Line) -> None:
        await line.request()
        await line.send(STREAM, b"5\r\ndata:\r\n")

    async with scene(dies) as made, wire(made.door.port) as client:
        await made.wait(client, get("/", EVENTS))
        await made.door.watched()
        made.wake()
        assert (await client.rest()).endswith(b"5\r\ndata:\r\n")


async def test_a_pod_that_thinks_long_is_no_silence() -> None:
    """Comments go on until its answer begins."""
    gate = asyncio.Event()

    async def thinks(line: Line) -> None:
        await line.request()
        await gate.wait()
        await line.send(ANSWER)

    async with scene(thinks) as made, wire(made.door.port) as client:
        await made.wait(client, get("/", EVENTS))
        assert b"stage=wake" in await client.until(b"\n\n\r\n")
        made.wake()
        assert await comment(client) == b": torpor stage=answer\n\n"
        await made.door.watched()
        made.clock.advance(10)
        assert await comment(client) == b": torpor stage=answer\n\n"
        gate.set()
        await client.until(FIRST + b"\r\n0\r\n\r\n")


async def test_who_waits_for_a_place_is_told_so() -> None:
    """Pods are there, and busy."""
    gate = asyncio.Event()

    async def busy(line: Line) -> None:
        while await line.request() is not None:
            await gate.wait()
            await line.send(ANSWER)

    async with scene(busy) as made, wire(made.door.port) as first, wire(made.door.port) as client:
        made.wake()
        await first.send(get())
        await until(lambda: made.pod.seen)
        await made.wait(client, get("/", EVENTS))
        assert b": torpor stage=queue\n\n" in await client.until(b"\n\n\r\n")
        gate.set()
        assert (await first.answer()).body == FIRST
        await client.until(FIRST + b"\r\n0\r\n\r\n")


async def test_an_older_client_is_told_without_chunks() -> None:
    """The end of the connection is the end of its answer."""
    request = get("/", EVENTS).replace(b"HTTP/1.1", b"HTTP/1.0")
    async with scene(answering(ANSWER)) as made, wire(made.door.port) as client:
        await made.wait(client, request)
        await made.door.watched()
        made.wake()
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert b"Transfer-Encoding" not in head
        assert b"Connection: close" in head
        assert body.startswith(b": torpor stage=wake\n\n: torpor cold-start queue=1.000;")
        assert events_of(body) == [b"data: one"]


async def test_a_client_that_is_told_and_leaves_frees_its_place() -> None:
    """As any other."""
    async with scene(answering(OK)) as made, wire(made.door.port) as client:
        await made.wait(client, get("/", EVENTS))
        await client.until(b"\n\n")
        client.reset()
        await until(lambda: made.door.throttler().queued == 0)
        made.wake()
        assert made.pod.seen == []


async def test_a_deadline_that_passes_is_an_event() -> None:
    """504, where the head could still be one."""
    async with scene(answering(OK)) as made, wire(made.door.port) as client:
        await made.wait(client, get("/", EVENTS, "Torpor-Deadline: 5"))
        await made.door.watched()
        made.clock.advance(4)
        told = await client.answer()
        assert error_of(told.body)["reason"] == "DeadlineExceeded"

"""HTTP/1.1 clients of pods that speak HTTP/2 alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from h2 import events

from tests.activator.grpc.doorway import grpc_doorway
from tests.activator.grpc.pods import pod
from tests.activator.grpc.scripted import Line, Scripted, scripted
from tests.activator.proxy.doorway import Doorway
from tests.activator.proxy.wire import get, post, wire
from tests.support.until import until


async def echo(line: Line) -> None:
    """Answer with the body, and the trailers with a trailer; `/early` before the body, `/hang` never."""
    while True:
        number = await line.request()
        head = line.pod.seen[-1]
        if head[":path"] == "/hang":
            await line.until(events.StreamReset)
            continue
        body, begin = (b"", "none") if head[":path"] == "/early" else await whole(line)
        answer = [(":status", "201"), ("x-method", head[":method"]), ("content-type", "text/plain")]
        if head[":path"] == "/sized":
            answer.append(("content-length", str(len(body))))
        quiet = head[":method"] == "HEAD"
        line.h2.send_headers(number, answer, end_stream=quiet)
        if not quiet:
            await send(line, number, body)
            line.h2.send_headers(number, [("x-end", begin)], end_stream=True)
        await line.flush()


async def whole(line: Line) -> tuple[bytes, str]:
    """Read the body, and what its trailer says."""
    body, begin = b"", "none"
    while not any(isinstance(event, events.StreamEnded) for event in line.events):
        await line.read()
    for event in line.events:
        if isinstance(event, events.DataReceived):
            body += event.data
        elif isinstance(event, events.TrailersReceived):
            begin = dict(event.headers)["x-begin"]  # type: ignore[call-overload]
    line.events.clear()
    return body, begin


async def send(line: Line, number: int, body: bytes) -> None:
    """Send as windows allow."""
    for at in range(0, len(body), 8192):
        part = body[at : at + 8192]
        while line.h2.local_flow_control_window(number) < len(part):
            await line.flush()
            await line.read()
        line.h2.send_data(number, part)


@contextlib.asynccontextmanager
async def bridged(**spec: int) -> AsyncIterator[tuple[Doorway, Scripted]]:
    async with scripted(echo) as made, grpc_doorway() as (door, _):
        door.deploy("app", made.port, **spec)
        yield door, made


async def test_get() -> None:
    """What the pod sees is HTTP/2's form of what the client said; what the client sees is HTTP/1.1's."""
    async with bridged() as (door, made), wire(door.port) as client:
        answer = await client.ask(get("/a?b=c", "X-One: 1", "Accept: text/plain"))
        assert (answer.status, answer.body, answer.trailers) == (201, b"", [(b"x-end", b"none")])
        assert answer.header(b"x-method") == b"GET"
        (seen,) = made.seen
        assert seen[":path"] == "/a?b=c"
        assert seen[":authority"] == "app.default.example.test"
        assert (seen[":scheme"], seen["x-one"], seen["x-forwarded-proto"]) == ("http", "1", "http")
        assert seen["te"] == "trailers"
        assert "host" not in seen
        assert "connection" not in seen


@pytest.mark.parametrize("path", ["/", "/sized"])
@pytest.mark.parametrize("size", [1, 20_000, 1_000_000])
async def test_bodies(path: str, size: int) -> None:
    """Both ways, whole, with and without a length; the connection is kept."""
    body = bytes(range(256)) * (size // 256) + b"!" * (size % 256)
    async with bridged() as (door, made), wire(door.port) as client:
        for _ in range(2):
            answer = await client.ask(post(body, path=path))
            assert (answer.status, answer.body) == (201, body)
            assert (answer.header(b"content-length") is not None) == (path == "/sized")
        assert len(made.lines) == 1


async def test_chunks_and_trailers() -> None:
    """A body in chunks becomes frames, its trailers become trailers."""
    chunked = b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Begin: yes\r\n\r\n"
    async with bridged() as (door, made), wire(door.port) as client:
        answer = await client.ask(get("/", "Transfer-Encoding: chunked", "Trailer: X-Begin", method="PUT") + chunked)
        assert (answer.body, answer.trailers) == (b"abcdefg", [(b"x-end", b"yes")])
        assert "transfer-encoding" not in made.seen[0]


async def test_head() -> None:
    """No body, and the connection goes on."""
    async with bridged() as (door, _), wire(door.port) as client:
        assert (await client.ask(get(method="HEAD"), method="HEAD")).status == 201
        assert (await client.ask(get())).status == 201


async def test_an_older_client() -> None:
    """To HTTP/1.0 the end of the connection is the end of the body."""
    async with bridged() as (door, _), wire(door.port) as client:
        await client.send(post(b"hello").replace(b"HTTP/1.1", b"HTTP/1.0"))
        raw = await client.rest()
        assert raw.startswith(b"HTTP/1.1 201 ")
        assert raw.endswith(b"\r\n\r\nhello")


async def test_a_websocket() -> None:
    """Is not offered there, and that is said."""
    async with bridged() as (door, made), wire(door.port) as client:
        answer = await client.ask(get("/", "Connection: Upgrade", "Upgrade: websocket"))
        assert (answer.status, answer.reason) == (501, "Unsupported")
        assert not made.seen


async def test_many_websockets_that_waited() -> None:
    """Each is told in the moment it gets a slot; the next has it then, and none is lost."""
    async with contextlib.AsyncExitStack() as stack:
        made = await stack.enter_async_context(scripted(echo))
        door, _ = await stack.enter_async_context(grpc_doorway())
        door.deploy("app")
        clients = [await stack.enter_async_context(wire(door.port)) for _ in range(300)]
        for client in clients:
            await client.send(get("/", "Connection: Upgrade", "Upgrade: websocket"))
        await until(lambda: door.throttler().queued == 300)
        door.scale("app", made.port)
        assert {(await client.answer()).status for client in clients} == {501}
        assert door.throttler().queued == door.throttler().in_flight == 0


async def test_an_answer_before_the_end_of_the_request() -> None:
    """Reaches the client; the rest of the request is of no use, so the connection ends."""
    async with bridged() as (door, _), wire(door.port) as client:
        answer = await client.ask(get("/early", "Content-Length: 100", method="POST"), b"some")
        assert answer.status == 201
        assert await client.ends()


async def test_a_client_that_leaves() -> None:
    """Its stream is reset, its slot given back, and the connection to the pod lives on."""
    async with bridged(concurrency=1) as (door, made), wire(door.port) as other:
        async with wire(door.port) as client:
            await client.send(get("/hang"))
            await until(lambda: made.seen)
        assert (await other.ask(get())).status == 201
        assert len(made.lines) == 1


async def test_from_zero() -> None:
    """Requests wait for the pod as for any other, bodies and all."""
    async with scripted(echo) as made, grpc_doorway() as (door, _), wire(door.port) as client:
        door.deploy("app")
        await client.send(post(b"hello"))
        await until(lambda: door.throttler().queued == 1)
        door.scale("app", made.port)
        answer = await client.answer()
        assert (answer.status, answer.body) == (201, b"hello")
        assert answer.header(b"torpor-cold-start") is not None


async def test_a_client_that_reads_slowly() -> None:
    """The pod stops too: of what waits no more is held than anywhere else."""
    body = b"x" * 3_000_000
    async with bridged() as (door, made), wire(door.port, receive_buffer=4096) as client:
        sending = asyncio.create_task(client.send(post(body)))
        answer_head = await client.until(b"\r\n\r\n")
        await sending
        assert answer_head.startswith(b"HTTP/1.1 201")
        await door.watched()
        (connection,) = door.door.connections
        held = connection.transport.get_write_buffer_size()
        assert held < 300_000
        assert made.lines[0].h2.outbound_flow_control_window > 0


async def test_many_clients() -> None:
    """They share the slots of the revision and the connection to its pod, in order."""
    async with scripted(echo) as made, grpc_doorway() as (door, _), contextlib.AsyncExitStack() as stack:
        door.deploy("app", concurrency=1)
        clients = [await stack.enter_async_context(wire(door.port)) for _ in range(20)]
        for number, client in enumerate(clients):
            await client.send(post(b"%d" % number))
        await until(lambda: door.throttler().queued == 20)
        door.scale("app", made.port)
        assert [(await client.answer()).body for client in clients] == [b"%d" % number for number in range(20)]


async def test_a_real_grpc_server() -> None:
    """Its answer comes in chunks, its status as a trailer: what speaks gRPC by HTTP/1.1 can read that."""
    async with pod() as made, grpc_doorway() as (door, _), wire(door.port) as client:
        door.deploy("app", made.port)
        message = b"\0\0\0\0\5hello"
        answer = await client.ask(post(message, "Content-Type: application/grpc", path="/test.Pod/Echo"))
        assert (answer.status, answer.body) == (200, message)
        assert (b"grpc-status", b"0") in answer.trailers

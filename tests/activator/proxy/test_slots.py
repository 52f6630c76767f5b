"""Places in the queue and slots on pods: in order, never too many, and always given back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from activator.settings import ClientLimits
from tests.activator.proxy.doorway import doorway, served
from tests.activator.proxy.pods import OK, Behave, Line, answering, pod
from tests.activator.proxy.wire import Wire, get, post, wire
from tests.support.until import until


def gated(gate: asyncio.Semaphore) -> Behave:
    """Answer when the gate lets one through."""

    async def behave(line: Line) -> None:
        while await line.request() is not None:
            line.pod.now += 1
            line.pod.peak = max(line.pod.peak, line.pod.now)
            await gate.acquire()
            line.pod.now -= 1
            await line.send(OK)

    return behave


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_never_too_many_at_once(concurrency: int) -> None:
    """A burst to two pods: each has at most its concurrency at any time, both work, and all are answered."""
    gate = asyncio.Semaphore(0)
    async with contextlib.AsyncExitStack() as stack:
        pods = [await stack.enter_async_context(pod(gated(gate))) for _ in range(2)]
        door = await stack.enter_async_context(doorway())
        door.deploy("app", *(each.port for each in pods), concurrency=concurrency)
        clients = [await stack.enter_async_context(wire(door.port)) for _ in range(40)]
        for client in clients:
            await client.send(post(b"hello"))
        await until(lambda: [each.now for each in pods] == [concurrency, concurrency])
        assert door.throttler().queued == 40 - 2 * concurrency
        for _ in clients:
            gate.release()
        assert {(await client.answer()).status for client in clients} == {200}
        assert [each.peak for each in pods] == [concurrency, concurrency]
        assert all(len(each.seen) > 5 for each in pods)


async def test_burst_at_zero_is_spread() -> None:
    """Requests that waited at zero do not all fall on the pod that comes first, and none is lost."""
    gate = asyncio.Semaphore(0)
    async with contextlib.AsyncExitStack() as stack:
        pods = [await stack.enter_async_context(pod(gated(gate))) for _ in range(4)]
        door = await stack.enter_async_context(doorway())
        door.deploy("app", concurrency=5)
        clients = [await stack.enter_async_context(wire(door.port)) for _ in range(100)]
        for client in clients:
            await client.send(get())
        await until(lambda: door.throttler().queued == 100)
        for count in range(1, 5):
            door.scale("app", *(each.port for each in pods[:count]))
            await until(lambda count=count: pods[count - 1].now == 5)
        for _ in clients:
            gate.release()
        assert {(await client.answer()).status for client in clients} == {200}
        assert [each.peak for each in pods] == [5] * 4


async def test_queue_is_in_order() -> None:
    """Who came first is served first."""
    async with served(answering(OK), concurrency=1) as (door, made), contextlib.AsyncExitStack() as stack:
        door.scale("app")
        clients = [await stack.enter_async_context(wire(door.port)) for _ in range(20)]
        for number, client in enumerate(clients):
            await client.send(get(f"/{number}"))
            await until(lambda number=number: door.throttler().queued == number + 1)
        door.scale("app", made.port)
        for client in clients:
            assert (await client.answer()).status == 200
        assert [request.target for request in made.seen] == [b"/%d" % number for number in range(20)]


def close(client: Wire) -> None:
    client.writer.close()


def half_close(client: Wire) -> None:
    client.writer.write_eof()


HANG_UPS = [
    pytest.param(close, id="closes"),
    pytest.param(half_close, id="closes its side"),
    pytest.param(Wire.reset, id="resets"),
]


@pytest.mark.parametrize("hang_up", HANG_UPS)
async def test_hang_up_while_queued(hang_up: Callable[[Wire], None]) -> None:
    """A client that leaves frees its place at once, and its request never reaches a pod."""
    async with served(answering(OK), concurrency=1) as (door, made):
        door.scale("app")
        async with wire(door.port) as leaves, wire(door.port) as stays:
            await leaves.send(get("/leaves"))
            await until(lambda: door.throttler().queued == 1)
            await stays.send(get("/stays"))
            await until(lambda: door.throttler().queued == 2)
            hang_up(leaves)
            await until(lambda: door.throttler().queued == 1)
            door.scale("app", made.port)
            assert (await stays.answer()).status == 200
        assert made.request.target == b"/stays"
        assert door.throttler().counters.disconnects == 1


@pytest.mark.parametrize("hang_up", HANG_UPS)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="before the answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", id="within the answer"),
    ],
)
async def test_hang_up_while_served(hang_up: Callable[[Wire], None], answer: bytes) -> None:
    """The slot goes to the next at once, and the pod sees that nobody listens any more."""

    async def behave(line: Line) -> None:
        request = await line.request()
        if request is not None and request.target == b"/leaves":
            await line.send(answer)
            await line.ended()
        else:
            await line.send(OK)

    async with (
        served(behave, concurrency=1) as (door, made),
        wire(door.port) as leaves,
        wire(door.port) as next_one,
    ):
        await leaves.send(get("/leaves"))
        await until(lambda: made.seen)
        if answer:
            await leaves.until(b"hi\r\n")
        await next_one.send(get("/next"))
        await until(lambda: door.throttler().queued == 1)
        hang_up(leaves)
        assert (await next_one.answer()).status == 200
        await until(lambda: made.open == 0)


async def test_hang_up_with_requests_sent_ahead() -> None:
    """Of what was sent ahead nothing reaches a pod once the client is gone."""
    gate = asyncio.Semaphore(0)
    async with served(gated(gate)) as (door, made), wire(door.port) as client:
        await client.send(get() * 10)
        await until(lambda: made.now == 1)
        client.reset()
        await until(lambda: not door.door.connections)
        gate.release()
        await door.watched()
        assert len(made.seen) == 1


CHUNKED = get("/spoils", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n"


@pytest.mark.parametrize(
    ("rest", "limits", "status"),
    [
        pytest.param(b"ZZ\r\n", ClientLimits(), 400, id="no chunk"),
        pytest.param(b"5\r\nabcde\r\n", ClientLimits(body_bytes=4), 413, id="a long body"),
        pytest.param(b"5\r\n", ClientLimits(body_silence_s=0.1), 408, id="a slow body"),
    ],
)
@pytest.mark.parametrize("warm", [False, True], ids=["at zero", "behind another request"])
async def test_request_that_is_refused_while_queued(
    rest: bytes, limits: ClientLimits, status: int, *, warm: bool
) -> None:
    """It gives up its place: no pod is given a request that was answered, nor lost to one."""
    gate = asyncio.Semaphore(0)
    async with (
        served(gated(gate), concurrency=1, client=limits) as (door, made),
        wire(door.port) as first,
        wire(door.port) as spoils,
        wire(door.port) as last,
    ):
        if warm:
            await first.send(get("/first"))
            await until(lambda: made.now == 1)
        else:
            door.scale("app")
        await spoils.send(CHUNKED)
        await until(lambda: door.throttler().queued == 1)
        await spoils.send(rest)
        assert (await spoils.answer()).status == status
        assert door.throttler().queued == 0
        if warm:
            gate.release()
            assert (await first.answer()).status == 200
        else:
            door.scale("app", made.port)
        gate.release()
        assert (await last.ask(get("/last"))).status == 200
        assert b"/spoils" not in [request.target for request in made.seen]


async def test_hang_up_while_connecting() -> None:
    """A client that leaves in the moment of connecting to the pod: the slot is back, nothing is sent."""
    async with served(answering(OK), concurrency=1) as (door, made), wire(door.port) as client:
        door.scale("app")
        await client.send(get("/leaves"))
        await until(lambda: door.throttler().queued == 1)
        (connection,) = door.door.connections
        door.scale("app", made.port)  # connecting begins here and cannot have ended yet
        connection.abort()
        await until(lambda: door.throttler().in_flight == 0)
        async with wire(door.port) as other:
            assert (await other.ask(get("/other"))).status == 200
        assert made.request.target == b"/other"


async def test_a_client_that_ends_its_side_gets_what_was_written() -> None:
    """And then the end: a whole answer that it had not read yet is not lost."""
    body = b"x" * 50_000
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with served(answering(whole)) as (door, _), wire(door.port, receive_buffer=4096) as client:
        await client.send(get())
        await until(lambda: door.throttler().counters.codes[2] == 1)
        half_close(client)
        assert (await client.rest()).endswith(body)
        await until(lambda: not door.door.connections)
        assert door.throttler().counters.disconnects == 0

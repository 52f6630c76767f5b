"""What one client may cost: bodies, heads, time, connections."""

from __future__ import annotations

import asyncio
import contextlib
import json

import h11
import pytest

from activator.proxy.client import ClientConnection
from activator.settings import ClientLimits
from tests.activator.proxy.doorway import served
from tests.activator.proxy.pods import OK, Line, answering
from tests.activator.proxy.wire import get, post, wire
from tests.support.clock import FakeClock
from tests.support.until import until

HOST = b"Host: app.default.example.test\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(post(bytes(1001)), id="declared"),
        pytest.param(post(bytes(1001), "Expect: 100-continue")[:-1001], id="declared and not yet sent"),
        pytest.param(CHUNKED + b"400\r\n" + bytes(1024) + b"\r\n", id="chunked, and found on the way"),
        pytest.param(
            CHUNKED + b"1f4\r\n" + bytes(500) + b"\r\n1f5\r\n" + bytes(501), id="chunked, in the second chunk"
        ),
    ],
)
async def test_long_body(raw: bytes) -> None:
    """A body over the limit is 413 at the moment that is known, and never a whole request to the pod."""
    limits = ClientLimits(body_bytes=1000)
    async with served(answering(OK), client=limits) as (door, _), wire(door.port) as client:
        answer = await client.ask(raw)
        assert (answer.status, answer.reason, answer.header(b"connection")) == (413, "TooLarge", b"close")
        assert await client.ends()
        async with wire(door.port) as other:
            assert (await other.ask(post(bytes(1000)))).status == 200


@pytest.mark.parametrize("ended", [b"", b"0\r\nX-Sum: 1\r\n\r\n"], ids=["goes on", "all here"])
async def test_small_chunks_that_wait(ended: bytes) -> None:
    """A body in tiny pieces costs what its bytes do, and not a multiple: it is kept, and sent on, as one piece."""
    async with served(answering(OK)) as (door, made), wire(door.port) as client:
        door.scale("app")
        await client.send(CHUNKED + b"1\r\nx\r\n" * 1000 + ended)
        await until(lambda: door.throttler().held > 1000)
        door.scale("app", made.port)
        assert (await client.ask(b"" if ended else b"0\r\n\r\n")).status == 200
        assert made.request.body == b"x" * 1000
        assert made.request.trailers == ([(b"x-sum", b"1")] if ended else [])
        assert made.lines[0].raw.count(b"\r\n\r\n3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n") == 1


async def test_refused_body_can_be_sent_to_the_end() -> None:
    """A client that sends all of its body before it reads gets the answer, not a connection reset."""
    limits = ClientLimits(body_bytes=1000)
    async with served(answering(OK), client=limits) as (door, _), wire(door.port) as client:
        await client.send(post(bytes(3_000_000)))
        assert (await client.answer()).status == 413


@pytest.mark.parametrize(
    ("before", "endless"),
    [
        pytest.param(b"GET /", b"a" * 100, id="target"),
        pytest.param(GET, b"X: " + b"a" * 100 + b"\r\n", id="many headers"),
        pytest.param(GET + b"X: ", b"a" * 100, id="one header"),
        pytest.param(CHUNKED + b"0\r\n", b"X: " + b"a" * 100 + b"\r\n", id="trailers"),
        pytest.param(CHUNKED + b"5;", b"a" * 100, id="chunk extension"),
    ],
)
async def test_endless_head(before: bytes, endless: bytes) -> None:
    """What never ends is 431 at the limit."""
    limits = ClientLimits(head_bytes=2000)

    async def behave(line: Line) -> None:
        await line.ended()

    async with served(behave, client=limits) as (door, _), wire(door.port) as client:
        await client.send(before)
        for _ in range(100):
            await client.send(endless)
            await asyncio.sleep(0)
        answer = await client.answer()
        assert (answer.status, answer.reason) == (431, "HeadTooLarge")
        assert await client.ends()


async def test_large_head_at_once() -> None:
    """The limit holds too where all of the head comes in one packet; up to it all is well."""
    async with served(answering(OK), client=ClientLimits(head_bytes=2000)) as (door, _), wire(door.port) as client:
        assert (await client.ask(get("/", "X: " + "a" * 1000))).status == 200
        assert (await client.ask(get("/", "X: " + "a" * 2000))).status == 431


@pytest.mark.parametrize("cut", [pytest.param(False, id="at once"), pytest.param(True, id="field by field")])
async def test_many_fields(*, cut: bool) -> None:
    """Fields are counted too, for short ones cost far more than they have bytes; up to the limit all is well."""
    async with served(answering(OK), client=ClientLimits(head_fields=100)) as (door, pod), wire(door.port) as client:
        assert (await client.ask(get("/", *["X: a"] * 99))).status == 200
        for part in get("/", *["X: a"] * 102).splitlines(keepends=True) if cut else [get("/", *["X: a"] * 102)]:
            await client.send(part)
            await asyncio.sleep(0)
        assert (await client.answer()).status == 431
        assert len(pod.seen) == 1


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        pytest.param(b"G", "head", id="request line"),
        pytest.param(GET + b"X: a", "head", id="headers"),
        pytest.param(post(b"hello")[:-1], "body", id="body"),
        pytest.param(CHUNKED + b"5\r\nhel", "body", id="chunk"),
    ],
)
async def test_slow_client(raw: bytes, part: str) -> None:
    """Who does not send on is answered 408 when the time is over, and the slot is somebody else's."""
    clock = FakeClock()
    limits = ClientLimits(head_timeout_s=30, body_silence_s=30)

    async def behave(line: Line) -> None:
        await line.ended()

    async with served(behave, client=limits, clock=clock) as (door, _), wire(door.port) as client:
        await client.send(raw)
        await until(lambda: any(each._seen not in (None, each) for each in door.door.connections))
        await door.watched()
        clock.advance(29)
        await door.watched()
        clock.advance(1.1)
        answer = await client.answer()
        assert (answer.status, answer.reason) == (408, "RequestTimeout")
        assert part in json.loads(answer.body)["error"]
        assert await client.ends()
        assert door.throttler().in_flight == 0


async def test_client_that_waits_for_the_pod_is_not_slow() -> None:
    """Until its 100 comes, who expects one has nothing to send; from then on its time counts."""
    clock = FakeClock()
    head = get("/", "Content-Length: 5", "Expect: 100-continue", method="POST")

    async def behave(line: Line) -> None:
        for _ in range(2):
            await line.head()
            await line.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            with contextlib.suppress(h11.RemoteProtocolError):
                while await line.data() is not None:
                    pass
                await line.send(OK)

    async with (
        served(behave, client=ClientLimits(body_silence_s=30), clock=clock) as (door, made),
        wire(door.port) as client,
    ):
        door.scale("app")
        await client.send(head)
        await until(lambda: door.throttler().queued == 1)
        await door.watched()
        clock.advance(100)
        await door.watched()
        door.scale("app", made.port)
        await client.until(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert (await client.ask(b"hello")).status == 200
        await client.send(head)
        await client.until(b"HTTP/1.1 100 Continue\r\n\r\n")
        await door.watched()
        clock.advance(31)
        assert (await client.answer()).status == 408


async def test_client_that_is_not_read_from_is_not_slow() -> None:
    """A head whose end nobody reads, for others come first, has all of its time when it is read on."""
    clock = FakeClock()
    limits = ClientLimits(head_timeout_s=30)
    async with served(answering(OK), client=limits, clock=clock) as (door, made), wire(door.port) as client:
        door.scale("app")
        await client.send(get() * 2, get()[:20])
        await until(lambda: door.throttler().queued == 1)
        (connection,) = door.door.connections
        assert isinstance(connection, ClientConnection)
        assert connection._reader.in_head
        await client.send(get()[20:])
        await door.watched()
        clock.advance(100)
        await door.watched()
        door.scale("app", made.port)
        assert [(await client.answer()).status for _ in range(3)] == [200, 200, 200]


async def test_head_that_comes_byte_by_byte() -> None:
    """Bytes now and then do not keep a head alive: its time counts from its first byte."""
    clock = FakeClock()
    limits = ClientLimits(head_timeout_s=30)
    async with served(answering(OK), client=limits, clock=clock) as (door, _), wire(door.port) as client:
        for byte in get()[:16]:
            await client.send(bytes([byte]))
            await door.watched()
            clock.advance(2)
        assert (await client.answer()).status == 408


async def test_idle_connection() -> None:
    """An idle connection is closed without a word when its time is over, and not before."""
    clock = FakeClock()
    limits = ClientLimits(keep_alive_s=75)
    async with served(answering(OK), client=limits, clock=clock) as (door, _), wire(door.port) as client:
        assert (await client.ask(get())).status == 200
        await door.watched()
        clock.advance(74)
        await door.watched()
        assert (await client.ask(get())).status == 200
        await door.watched()
        clock.advance(74)
        await door.watched()
        assert door.door.connections
        clock.advance(2)
        assert await client.ends()


async def test_too_many_connections() -> None:
    """One connection too many is told so, and closed; when one has ended there is room again."""
    async with served(answering(OK), client=ClientLimits(connections=2)) as (door, _):
        async with wire(door.port) as one, wire(door.port) as two:
            assert [(await each.ask(get())).status for each in (one, two)] == [200, 200]
            async with wire(door.port) as three:
                answer = await three.answer()
                assert (answer.status, answer.reason, answer.header(b"retry-after")) == (503, "Unavailable", b"1")
                assert await three.ends()
            assert [(await each.ask(get())).status for each in (one, two)] == [200, 200]
        await until(lambda: not door.door.connections)
        async with wire(door.port) as four:
            assert (await four.ask(get())).status == 200


@pytest.mark.parametrize("waits", [True, False], ids=["that have waited", "at once"])
@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(get(host="nobody.test"), id="plain"),
        pytest.param(get("/", "Connection: upgrade", "Upgrade: h2c", host="nobody.test"), id="upgrades to be ignored"),
    ],
)
async def test_a_thousand_requests_at_once(request_: bytes, *, waits: bool) -> None:
    """However many are answered in one go, none is answered within the answer to another: the stack has an end."""
    limits = ClientLimits(pipelined=10_000)
    async with served(answering(OK), client=limits) as (door, made), wire(door.port) as client:
        if waits:
            door.scale("app")
        await client.send(get(), request_ * 1500)
        if waits:
            await until(lambda: door.throttler().queued == 1)
            door.scale("app", made.port)
        assert [(await client.answer()).status for _ in range(1501)] == [200] + [404] * 1500
        assert (await client.ask(get())).status == 200


async def test_client_that_never_reads() -> None:
    """Who asks without end and reads nothing is not read from any more, and costs no more than the buffers."""
    async with served(answering(OK)) as (door, _), wire(door.port, receive_buffer=4096) as client:
        request = get(host="nobody.test")
        sending = asyncio.create_task(_send_forever(client.writer, request * 20))
        await until(lambda: door.door.connections)
        (connection,) = door.door.connections
        await until(lambda: connection.write_paused, 20)
        before = -1
        while before != (before := connection.transport.get_write_buffer_size()):
            for _ in range(5):
                await door.watched()
        assert before < 2 * ClientLimits().buffered_bytes
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _send_forever(writer: asyncio.StreamWriter, data: bytes) -> None:
    while True:
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0)

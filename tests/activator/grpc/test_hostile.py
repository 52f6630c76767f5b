"""Clients that flood, lie, or dawdle: each is stopped, and nobody else notices."""

from __future__ import annotations

import asyncio
import socket
import struct

import grpc
import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
)

from activator.grpc.client import ClientLine
from activator.settings import ClientLimits, StreamLimits
from tests.activator.grpc.doorway import HOST, call, code_of, grpc_doorway, path, served
from tests.activator.grpc.raw import PREFACE, raw
from tests.activator.proxy.doorway import Doorway
from tests.support.clock import FakeClock
from tests.support.until import until

CALM = int(ErrorCodes.ENHANCE_YOUR_CALM)
STRICT = StreamLimits(streams=10, resets=50, control_frames=100)


async def lingered(door: Doorway, clock: FakeClock) -> None:
    """Let the time pass in which a client that was told to go might still read."""
    await door.watched()
    clock.advance(ClientLimits().linger_s + 0.1)
    await door.watched()


def ping(_: int) -> Frame:
    return PingFrame(0, opaque_data=b"12345678")


def settings(_: int) -> Frame:
    return SettingsFrame(0, settings={3: 100})


def priority(number: int) -> Frame:
    return PriorityFrame(2 * number + 101, depends_on=0, stream_weight=1)


class Unknown(Frame):
    """Of a type that nobody has defined."""

    def serialize(self) -> bytes:
        return b"\0\0\1\xf0\0\0\0\0\0?"


def unknown(_: int) -> Frame:
    return Unknown(0)


def empty(_: int) -> Frame:
    return DataFrame(1)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(ping, id="pings"),
        pytest.param(settings, id="settings"),
        pytest.param(priority, id="priorities"),
        pytest.param(unknown, id="unknown frames"),
        pytest.param(empty, id="data without data"),
    ],
)
async def test_floods(frame: object) -> None:
    """A thousand frames that ask for nothing end the connection; others go on."""
    clock = FakeClock()
    async with served(streams=STRICT, clock=clock) as (door, _, client), raw(door.server.ports[-1]) as flood:
        await flood.ask("Hold", b"", end=False)
        await flood.send(*(frame(number) for number in range(1000)))  # type: ignore[operator]
        await flood.until(lambda: False)
        assert [code for _, code in flood.goaways][-1] == CALM
        assert await call(client, "Echo") == b"hello"
        await lingered(door, clock)
        await until(lambda: len(door.door.connections) == 1)


async def test_few_pings_are_answered() -> None:
    """Keepalive, also while a call waits for a pod."""
    async with grpc_doorway() as (door, port), raw(port) as client:
        door.deploy("app")
        await client.ask("Echo", b"")
        for number in range(1, 6):
            client.h2.ping(b"12345678")
            await client.flush()
            await client.until(lambda number=number: client.pongs == number)
        assert not client.goaways


async def test_rapid_reset() -> None:
    """Streams that are begun and reset (CVE-2023-44487) cost the sender its connection; no pod sees them."""
    async with served(streams=STRICT, concurrency=1) as (door, made, client), raw(door.server.ports[-1]) as flood:
        hold = asyncio.ensure_future(_answer(call(client, "Hold")))
        await until(lambda: made.now == 1)
        for _ in range(100):
            number = flood.h2.get_next_available_stream_id()
            head = [(":method", "POST"), (":scheme", "http"), (":authority", HOST), (":path", path("Echo"))]
            flood.h2.send_headers(number, [*head, ("content-type", "application/grpc")])
            flood.h2.reset_stream(number, ErrorCodes.CANCEL)
        await flood.flush()
        await flood.until(lambda: False)
        assert [code for _, code in flood.goaways][-1] == CALM
        assert (door.throttler().queued, len(made.seen)) == (0, 1)
        made.go_on.set()
        assert await hold == b"hello"


async def test_clients_that_cancel_now_and_then_are_no_flood() -> None:
    """More resets than the limit, with answers in between."""
    async with served(streams=STRICT) as (door, _, _), raw(door.server.ports[-1]) as client:
        for _ in range(60):
            number = await client.ask("Hold", b"")
            client.h2.reset_stream(number, ErrorCodes.CANCEL)
            assert (await client.answer(await client.ask("Echo", b""))).ended
        assert not client.goaways


async def _answer(awaitable: grpc.aio.UnaryUnaryCall) -> bytes:
    return await awaitable


async def test_too_many_streams() -> None:
    """Those beyond the limit are refused, so that they may be sent again; the others and the connection live on."""
    async with served(streams=STRICT) as (door, made, _), raw(door.server.ports[-1]) as client:
        numbers = [await client.ask("Hold", b"%d" % number) for number in range(15)]
        await client.until(lambda: sum(each.reset is not None for each in client.answers.values()) == 5)
        assert [client.answers[number].reset for number in numbers[10:]] == [int(ErrorCodes.REFUSED_STREAM)] * 5
        assert client.settings[3] == 10
        made.go_on.set()
        assert all([(await client.answer(number)).trailers["grpc-status"] == "0" for number in numbers[:10]])
        assert (await client.answer(await client.ask("Echo", b""))).ended


async def test_an_official_client_with_more_calls_than_streams() -> None:
    """Waits by itself, and all are answered."""
    async with served(streams=STRICT) as (_, _, client):
        assert await asyncio.gather(*(call(client, "Echo", b"%d" % n) for n in range(50))) == [
            b"%d" % n for n in range(50)
        ]


async def test_a_header_block_that_never_ends() -> None:
    """CONTINUATION after CONTINUATION is stopped by its size, and by their number."""
    async with grpc_doorway() as (_, port), raw(port) as flood:
        frames = [HeadersFrame(1, data=b"\x40\x04aaaa\x04bbbb" * 100)]
        frames += [ContinuationFrame(1, data=b"\x40\x04aaaa\x04bbbb" * 1000) for _ in range(200)]
        await flood.send(*frames)
        await flood.until(lambda: False)
        assert flood.closed
        assert flood.goaways


async def test_many_small_pieces_of_a_header_block() -> None:
    """CONTINUATION without end and without size."""
    async with grpc_doorway() as (_, port), raw(port) as flood:
        await flood.send(HeadersFrame(1, data=b""), *(ContinuationFrame(1, data=b"") for _ in range(1000)))
        await flood.until(lambda: False)
        assert flood.goaways


async def test_headers_over_the_limit() -> None:
    """One call is refused for what it brings; its neighbours are not."""
    async with served(client=ClientLimits(head_bytes=8192)) as (_, _, client):
        code, message = await code_of(call(client, "Echo", metadata=[("x-much", "y" * 10_000)]))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "8192" in message or "metadata" in message.lower()
        assert await call(client, "Echo", metadata=[("x-much", "y" * 6000)]) == b"hello"


async def test_a_header_bomb() -> None:
    """Few bytes that unpack to many: one table entry of 4 KB, a hundred thousand times."""
    async with grpc_doorway() as (_, port), raw(port) as flood:
        entry = b"\x40\x01a" + b"\x7f" + _rest(4000 - 127) + b"b" * 4000
        await flood.send(HeadersFrame(1, data=entry + b"\xbe" * 12_000, flags=["END_HEADERS"]))
        await flood.until(lambda: False)
        assert flood.closed
        assert flood.goaways


def _rest(value: int) -> bytes:
    parts = []
    while value >= 128:
        parts.append(value % 128 + 128)
        value //= 128
    return bytes([*parts, value])


@pytest.mark.parametrize(
    "raw_bytes",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", id="HTTP/1.1"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50, id="TLS"),
        pytest.param(PREFACE + b"\xff" * 100, id="noise"),
        pytest.param(
            PREFACE + struct.pack(">I", 70_000 << 8)[:3] + b"\0\0\0\0\0\1" + b"x" * 100, id="too long a frame"
        ),
        pytest.param(PREFACE + b"\0\0\x01\x07\0\0\0\0\0x", id="half a GOAWAY"),
        pytest.param(PREFACE + b"\0\0\0\x09\4\0\0\0\1", id="CONTINUATION of nothing"),
        pytest.param(PREFACE + b"\0\0\x04\x08\0\0\0\0\0\0\0\0\0", id="WINDOW_UPDATE by nothing"),
        pytest.param(PREFACE + b"\0\0\x00\x00\1\0\0\0\1", id="DATA before HEADERS"),
    ],
)
async def test_what_is_no_http2(raw_bytes: bytes) -> None:
    """Ends the connection, and nothing else."""
    clock = FakeClock()
    async with served(clock=clock) as (door, _, client), raw(door.server.ports[-1], begin=False) as other:
        assert await call(client, "Echo") == b"hello"
        other.writer.write(raw_bytes + PREFACE * 2)
        await asyncio.wait_for(other.reader.read(), 10)
        await lingered(door, clock)
        await until(lambda: len(door.door.connections) == 1)
        assert await call(client, "Echo") == b"hello"


async def test_a_window_that_overflows() -> None:
    """Each is a reset of ours that the client has caused (CVE-2025-8671): counted like its own."""
    async with served(streams=STRICT) as (door, made, _), raw(door.server.ports[-1]) as flood:
        for _ in range(100):
            number = await flood.ask("Hold", b"")
            flood.writer.write(b"\0\0\x04\x08\0" + struct.pack(">II", number, 2**31 - 1))
        await flood.until(lambda: False)
        assert [code for _, code in flood.goaways][-1] == CALM
        await until(lambda: made.now == 0)


async def test_a_client_that_reads_none_of_our_answers() -> None:
    """What we answer to it does not pile up: it is not read from any more."""
    limits = StreamLimits(control_frames=10**6)
    async with grpc_doorway(streams=limits) as (door, port), raw(port, receive_buffer=4096) as flood:
        pings = PingFrame(0, opaque_data=b"12345678").serialize() * 1000

        async def flooding() -> None:
            while True:
                flood.writer.write(pings)
                await flood.writer.drain()

        await until(lambda: door.door.connections)
        (connection,) = door.door.connections
        # The kernel would take megabytes before that, how many is its own affair.
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sending = asyncio.create_task(flooding())
        try:
            await until(lambda: not connection.transport.is_reading(), 30)
            assert connection.transport.get_write_buffer_size() < 2_000_000
        finally:
            sending.cancel()


async def test_connections_over_the_limit() -> None:
    """Are told, and closed."""
    clock = FakeClock()
    async with (
        grpc_doorway(client=ClientLimits(connections=1), clock=clock) as (door, port),
        raw(port) as first,
        raw(port) as second,
    ):
        await second.until(lambda: False)
        assert second.goaways
        assert not first.goaways
        await lingered(door, clock)
        await until(lambda: len(door.door.connections) == 1)


@pytest.mark.parametrize(
    ("sent", "passes", "late"),
    [
        pytest.param(b"", 29, 3, id="nothing"),
        pytest.param(PREFACE[:10], 29, 3, id="half a preface"),
        pytest.param(PREFACE + SettingsFrame(0).serialize(), 74, 3, id="no call"),
        pytest.param(
            PREFACE + SettingsFrame(0).serialize() + HeadersFrame(1, data=b"\x82").serialize(),
            29,
            3,
            id="half a header",
        ),
        pytest.param(PREFACE + SettingsFrame(0).serialize() + b"\0\0", 29, 3, id="half a frame"),
    ],
)
async def test_dawdlers(sent: bytes, passes: float, late: float) -> None:
    """Connections that begin something and do not go on are closed in time, and not before."""
    clock = FakeClock()
    async with grpc_doorway(clock=clock) as (door, port), raw(port, begin=False) as client:
        client.writer.write(sent)
        await until(lambda: door.door.connections)
        if sent:
            (connection,) = door.door.connections
            await until(lambda: connection.heard)
        await door.watched()
        clock.advance(passes)
        await door.watched()
        assert door.door.connections
        clock.advance(late)
        await door.watched()
        await asyncio.wait_for(client.reader.read(), 5)
        client.writer.close()
        await until(lambda: not door.door.connections)


async def test_a_client_that_vanishes() -> None:
    """One with calls that does not even answer a ping is taken for gone, and its call given up."""
    clock = FakeClock()
    async with served(clock=clock) as (door, made, _), raw(door.server.ports[-1]) as client:
        await client.ask("Hold", b"")
        await until(lambda: made.now == 1)
        for _ in range(2):
            await door.watched()
            clock.advance(31)
        await door.watched()
        await until(lambda: not any(each.streams for each in door.door.connections))
        await until(lambda: made.now == 0)


async def test_a_client_that_waits_quietly() -> None:
    """One that answers pings may wait as long as it likes: the kernel's word for it is not needed."""
    clock = FakeClock()
    async with served(clock=clock) as (door, made, _), raw(door.server.ports[-1]) as client:
        door.revise("app", timeoutSeconds=3600)
        number = await client.ask("Hold", b"")
        await until(lambda: made.now == 1)
        reading = asyncio.create_task(client.answer(number))
        (line,) = door.door.connections
        assert isinstance(line, ClientLine)
        before = line.heard
        await door.watched()
        for pings in range(1, 4):
            clock.advance(31)
            await door.watched()
            await until(lambda pings=pings: line.heard >= before + pings)
            await door.watched()
        made.go_on.set()
        assert (await reading).trailers["grpc-status"] == "0"


async def test_resets_of_nothing() -> None:
    """RST_STREAM for streams that never were is against the protocol."""
    async with grpc_doorway() as (_, port), raw(port) as flood:
        await flood.send(*(RstStreamFrame(number, error_code=8) for number in range(1, 2000, 2)))
        await flood.until(lambda: False)
        assert flood.closed

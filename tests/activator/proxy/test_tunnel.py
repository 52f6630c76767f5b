"""WebSockets: two connections that have switched, and belong together until one ends."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.activator.proxy.doorway import doorway, served
from tests.activator.proxy.pods import OK, Line, answering
from tests.activator.proxy.wire import get, wire
from tests.support.clock import FakeClock
from tests.support.until import until

ASK = get("/chat", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\n"
)


async def echo(line: Line) -> None:
    """Switch, and send back what comes."""
    await line.reader.readuntil(b"\r\n\r\n")
    await line.send(SWITCH, b"hello from the pod;")
    while data := await line.reader.read(65536):
        await line.send(data)


async def test_real_websockets() -> None:
    """The websockets library speaks to itself through the door: small and large messages, and a clean end."""

    async def behave(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with serve(behave, "127.0.0.1", 0, max_size=None) as server, doorway() as door:
        door.deploy("app", next(iter(server.sockets)).getsockname()[1], concurrency=1)
        uri = "ws://app.default.example.test/chat?x=y"
        async with connect(uri, host="127.0.0.1", port=door.port, max_size=None, proxy=None) as socket:
            for message in ("hi", b"\x00" * 3_000_000, ""):
                await socket.send(message)
                assert await socket.recv() == message
            assert door.throttler().in_flight == 1, "a tunnel holds its slot"
        await until(lambda: door.throttler().in_flight == 0)


async def test_bytes_before_and_behind_the_switch() -> None:
    """What either side sends at once, before it has heard of the switch, arrives behind it and in order."""
    async with served(echo) as (door, _), wire(door.port) as client:
        await client.send(ASK, b"early;")
        head = await client.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Accept: a\r\n" in head
        assert b"Upgrade: websocket\r\n" in head
        await client.send(b"late;")
        assert await client.until(b"late;") == b"hello from the pod;early;late;"


async def test_pod_is_asked_for_the_upgrade() -> None:
    """The two headers that switch are written anew; the others pass."""
    async with served(answering(OK)) as (door, made), wire(door.port) as client:
        await client.ask(ASK)
        request = made.request
        assert (request.header(b"connection"), request.header(b"upgrade")) == (b"Upgrade", b"websocket")
        assert request.header(b"sec-websocket-version") == b"13"


async def test_upgrade_refused() -> None:
    """A pod that answers otherwise: the client hears it, and the connection ends; what it had sent ahead is dropped."""
    async with served(answering(OK)) as (door, made), wire(door.port) as client:
        answer = await client.ask(ASK, b"early" * 1000)
        assert (answer.status, answer.header(b"connection")) == (200, b"close")
        assert await client.ends()
        assert len(made.seen) == 1


@pytest.mark.parametrize("side", ["client", "pod"])
async def test_end_of_one_side_is_the_end_of_the_other(side: str) -> None:
    """What was on its way still arrives, then both are closed and the slot is free."""

    async def behave(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.send(SWITCH)
        if side == "pod":
            await line.send(b"x" * 300_000)
        else:
            got = await line.reader.read()
            assert got == b"y" * 300_000

    async with served(behave, concurrency=1) as (door, made), wire(door.port) as client:
        await client.send(ASK)
        await client.until(b"\r\n\r\n")
        if side == "client":
            await client.send(b"y" * 300_000)
            client.writer.close()
        else:
            assert await client.rest() == b"x" * 300_000
        await until(lambda: made.open == 0 and door.throttler().in_flight == 0 and not door.door.connections)


async def test_slow_side_pauses_the_other() -> None:
    """A tunnel holds no more than its buffers either."""
    written = 0

    async def behave(line: Line) -> None:
        nonlocal written
        await line.reader.readuntil(b"\r\n\r\n")
        await line.send(SWITCH)
        while written < 64 * 2**20:
            await line.send(bytes(65536))
            written += 65536

    async with served(behave) as (door, _), wire(door.port, receive_buffer=16384) as client:
        await client.send(ASK)
        before = -1
        while before != (before := written) or not written:
            await asyncio.gather(*(door.watched() for _ in range(3)))
        (connection,) = door.door.connections
        assert connection.transport.get_write_buffer_size() < 512 * 1024
        assert written < 64 * 2**20


async def test_time_of_a_tunnel() -> None:
    """A tunnel may last longer than a request; it ends when it was silent for longer than the revision allows."""
    clock = FakeClock()
    limits = {"timeoutSeconds": 100, "idleTimeoutSeconds": 10}
    async with served(echo, clock=clock, **limits) as (door, _), wire(door.port) as client:
        await client.send(ASK)
        await client.until(b"pod;")
        for _ in range(30):
            clock.advance(9)
            await client.send(b"x")
            await client.until(b"x")
            await door.watched()
        clock.advance(11)
        assert await client.ends()
        assert door.throttler().in_flight == 0

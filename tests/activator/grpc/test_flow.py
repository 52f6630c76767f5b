"""Backpressure: whoever does not read stops whoever writes, all the way, and memory stays small."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence

import pytest
from h2 import events

from activator.grpc.call import Call
from activator.grpc.client import ClientLine
from activator.grpc.pods import PodLine
from activator.settings import ClientLimits
from tests.activator.grpc.doorway import call, channel, code_of, grpc_doorway, path, served
from tests.activator.grpc.pods import pod
from tests.activator.grpc.raw import raw
from tests.activator.grpc.scripted import HEAD, OK, Line, scripted
from tests.activator.proxy.doorway import Doorway
from tests.support.until import until


def pod_lines(door: Doorway) -> list[PodLine]:
    """The door's connections to pods."""
    return [line for lines in door.pool.http2._open.values() for line in lines]


def client_lines(door: Doorway) -> list[ClientLine]:
    """And to clients."""
    return [line for line in door.door.connections if isinstance(line, ClientLine)]


def held(door: Doorway) -> int:
    """Bytes of bodies that the door holds."""
    ends = [*pod_lines(door), *client_lines(door)]
    return sum(
        end.transport.get_write_buffer_size() + sum(stream.queued for stream in end.streams.values()) for end in ends
    )


def is_stopped(lines: Sequence[PodLine | ClientLine]) -> bool:
    """Tell whether the peer has a stream on which it may send no more: there is no window left."""
    return any(line.h2.remote_flow_control_window(number) == 0 for line in lines for number in line.streams)


async def test_a_client_that_does_not_read() -> None:
    """The pod stops after some hundred kilobytes of 1.5 MB; when the client reads on, all of it comes."""
    async with served() as (door, made, other), raw(door.server.ports[-1]) as client:
        client.credit = False
        number = await client.ask("Count", b"1500")
        await until(lambda: made.produced > 50 and is_stopped(pod_lines(door)))
        assert await call(other, "Echo", b"x" * 200_000) == b"x" * 200_000  # meanwhile it could have gone on
        assert made.produced < 500
        assert held(door) < 200_000
        client.credit = True
        client.h2.increment_flow_control_window(2**20)
        client.h2.increment_flow_control_window(2**20, number)
        await client.flush()
        answer = await client.answer(number)
        assert answer.trailers["grpc-status"] == "0"
        assert made.produced == 1500


async def test_a_client_that_does_not_read_stops_nobody_else() -> None:
    """The other calls on its connection go on, and those of other clients to the same pod."""
    async with served() as (door, made, other), raw(door.server.ports[-1]) as client:
        client.credit = False
        client.h2.increment_flow_control_window(2**24)  # of all streams; the one stream's own stays small
        stuck = await client.ask("Count", b"1500")
        await client.until(lambda: len(client.answers[stuck].body) > 60_000)
        assert await call(other, "Echo", b"x" * 200_000) == b"x" * 200_000
        more = await client.answer(await client.ask("Echo", b"y" * 1000))
        assert more.trailers["grpc-status"] == "0"
        assert not client.answers[stuck].ended
        assert made.produced < 500


async def test_a_pod_that_does_not_read() -> None:
    """The client stops after some hundred kilobytes of 100 MB."""
    written = 0
    go_on = asyncio.Event()

    async def behave(line: Line) -> None:
        line.acknowledge = False
        number = await line.request()
        await go_on.wait()
        line.h2.send_headers(number, HEAD)
        line.h2.send_headers(number, OK, end_stream=True)
        await line.flush()
        await line.read()

    async def messages() -> AsyncIterator[bytes]:
        nonlocal written
        for _ in range(100_000):
            written += 1000
            yield b"x" * 1000

    async with (
        scripted(behave) as made,
        pod() as well,
        grpc_doorway() as (door, port),
        channel(port) as client,
        channel(port, "well.default.example.test") as other,
    ):
        door.deploy("app", made.port)
        door.deploy("well", well.port)
        upload = client.stream_unary(path("Add"))(messages())
        await until(lambda: written > 60_000 and is_stopped(client_lines(door)))
        assert await call(other, "Echo", b"x" * 200_000) == b"x" * 200_000
        assert written < 2_000_000
        assert held(door) < 200_000
        upload.cancel()
        go_on.set()
        await until(lambda: door.throttler().in_flight == 0)


async def test_calls_that_wait_hold_one_window_each() -> None:
    """A client that sends much before there is a pod is stopped at its stream's window, until there is one."""
    async with pod() as made, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app", concurrency=1)
        calls = [asyncio.ensure_future(_answer(client, b"x" * 300_000)) for _ in range(10)]
        await until(lambda: door.throttler().queued == 10 and door.throttler().held >= 10 * 65_535)
        await door.watched()
        assert door.throttler().held <= 10 * 65_536
        door.scale("app", made.port)
        assert await asyncio.gather(*calls) == [b"x" * 300_000] * 10


async def test_a_message_in_small_pieces_that_waits() -> None:
    """It costs what its bytes do, and not a multiple, and comes whole."""

    async def behave(line: Line) -> None:
        number = await line.request()
        while not any(isinstance(event, events.StreamEnded) for event in line.events):
            await line.read()
        await line.answer(number)
        await line.reader.read()

    async with scripted(behave) as made, grpc_doorway() as (door, port), raw(port) as client:
        door.deploy("app")
        number = await client.open(("content-type", "application/grpc"), target="/a.B/C", end=False)
        for _ in range(1000):
            client.h2.send_data(number, b"ab")
        client.h2.end_stream(number)
        await client.flush()
        await until(lambda: door.throttler().held == 2000)
        [waiting] = door.throttler()._queue
        assert isinstance(waiting, Call)
        assert sys.getsizeof(waiting._body) < 4000
        door.scale("app", made.port)
        assert (await client.answer(number)).ended
        pieces = [event.data for event in made.lines[0].events if isinstance(event, events.DataReceived)]
        assert b"".join(pieces) == b"ab" * 1000


async def _answer(client: object, message: bytes) -> bytes:
    return await call(client, "Echo", message)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [100_001, 3_000_000])
async def test_a_body_over_the_limit(size: int) -> None:
    """RESOURCE_EXHAUSTED, and the connection is as good as before."""
    limits = ClientLimits(body_bytes=100_000)
    async with served(client=limits) as (_, _, client):
        code, message = await code_of(call(client, "Echo", b"x" * size))
        assert code.name == "RESOURCE_EXHAUSTED"
        assert "limit of 100000 bytes" in message
        assert await call(client, "Echo", b"small") == b"small"

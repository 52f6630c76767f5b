"""Bodies stream: nothing waits for the end, and no more is held than the buffers hold."""

from __future__ import annotations

import asyncio

import pytest

from activator.settings import ClientLimits
from tests.activator.proxy.doorway import Doorway, served
from tests.activator.proxy.pods import Line
from tests.activator.proxy.wire import get, wire
from tests.support.until import until

KIB = 1024
SMALL = 16 * KIB
LIMITS = ClientLimits(buffered_bytes=SMALL)
READ = 256 * KIB
"""What the loop reads at once; it comes on top of what is buffered."""
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_events_are_not_held_back() -> None:
    """Every server-sent event reaches the client before the pod writes the next."""
    read = asyncio.Semaphore(0)

    async def behave(line: Line) -> None:
        await line.request()
        await line.send(EVENTS)
        for number in range(20):
            await line.send(b"9\r\ndata: %02d\n\r\n" % number)
            await read.acquire()
        await line.send(b"0\r\n\r\n")

    async with served(behave) as (door, _), wire(door.port) as client:
        await client.send(get())
        assert await client.until(b"\r\n\r\n") == EVENTS
        for number in range(20):
            assert b"data: %02d\n" % number in await client.until(b"\n\r\n")
            read.release()
        assert await client.until(b"0\r\n\r\n") == b"0\r\n\r\n"


async def test_both_directions_at_once() -> None:
    """A pod may answer while the body comes: what is sent comes back before more is sent."""

    async def echo(line: Line) -> None:
        await line.head()
        await line.send(CHUNKED)
        while (data := await line.data()) is not None:
            await line.send(b"%x\r\n%b\r\n" % (len(data), data))
        await line.send(b"0\r\n\r\n")

    async with served(echo) as (door, _), wire(door.port) as client:
        await client.send(get("/", "Transfer-Encoding: chunked", method="POST"))
        assert await client.until(b"\r\n\r\n") == CHUNKED
        for number in range(20):
            await client.send(b"2\r\n%02d\r\n" % number)
            assert await client.until(b"\r\n%02d\r\n" % number) == b"2\r\n%02d\r\n" % number
        await client.send(b"0\r\n\r\n")
        assert await client.until(b"0\r\n\r\n")


def held(door: Doorway) -> int:
    """Return how much of all bodies is in this process's buffers."""
    total = 0
    for connection in door.door.connections:
        total += connection.transport.get_write_buffer_size()
        current = connection.current
        if current is not None:
            total += len(current.pending or b"")
            if current.upstream is not None:
                total += current.upstream.transport.get_write_buffer_size()
    return total


@pytest.mark.parametrize("sized", [pytest.param(True, id="of known length"), pytest.param(False, id="chunked")])
async def test_slow_reader_pauses_the_pod(*, sized: bool) -> None:
    """A client that reads nothing stops the pod, not only for a moment; when it reads, all of it comes."""
    size, part, written = 32 * KIB * KIB, bytes(64 * KIB), 0

    async def behave(line: Line) -> None:
        nonlocal written
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size if sized else CHUNKED)
        while written < size:
            await line.send(part if sized else b"10000\r\n" + part + b"\r\n")
            written += len(part)
        await line.send(b"" if sized else b"0\r\n\r\n")

    async with served(behave, client=LIMITS) as (door, _), wire(door.port, receive_buffer=SMALL) as client:
        await client.send(get())
        stopped = await still(door, lambda: written)
        assert 0 < stopped < size
        assert 0 < held(door) < 2 * SMALL + READ
        assert len((await client.answer()).body) == size


async def test_slow_pod_pauses_the_client() -> None:
    """A pod that reads nothing stops the client; when it reads, all of it comes."""
    size, part, written = 32 * KIB * KIB, bytes(64 * KIB), 0
    reading = asyncio.Event()

    async def behave(line: Line) -> None:
        await line.head()
        await reading.wait()
        got = 0
        while (data := await line.data()) is not None:
            got += len(data)
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d" % (len(str(got)), got))

    async with served(behave, client=LIMITS, receive_buffer=SMALL) as (door, _), wire(door.port) as client:
        await client.send(get("/", f"Content-Length: {size}", method="POST"))

        async def send() -> None:
            nonlocal written
            while written < size:
                await client.send(part)
                written += len(part)

        sending = asyncio.create_task(send())
        stopped = await still(door, lambda: written)
        assert 0 < stopped < size
        assert 0 < held(door) < 2 * SMALL + READ
        reading.set()
        assert (await client.answer()).body == b"%d" % size
        await sending


async def test_body_that_waits_for_a_pod() -> None:
    """While no pod is there the client is paused too; the whole body reaches the pod that comes."""
    size, part, written = 8 * KIB * KIB, bytes(64 * KIB), 0

    async def behave(line: Line) -> None:
        request = await line.request()
        assert request is not None
        assert len(request.body) == size
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with served(behave, client=LIMITS) as (door, pod), wire(door.port) as client:
        door.scale("app")
        await client.send(get("/", f"Content-Length: {size}", method="POST"))

        async def send() -> None:
            nonlocal written
            while written < size:
                await client.send(part)
                written += len(part)

        sending = asyncio.create_task(send())
        assert await still(door, lambda: written) < size
        assert 0 < held(door) < 2 * SMALL + READ
        door.scale("app", pod.port)
        assert (await client.answer()).status == 200
        await sending


async def test_client_that_hangs_up_while_it_is_paused() -> None:
    """Nobody reads from a paused client, and yet its hanging up is noticed: it leaves the queue."""
    async with served(lambda _: asyncio.sleep(0), client=LIMITS) as (door, pod), wire(door.port) as client:
        door.scale("app")
        await client.send(get("/", "Content-Length: 1000000", method="POST"), bytes(100_000))
        await until(lambda: held(door) >= SMALL)
        client.writer.close()
        await until(lambda: door.throttler().queued == 0)
        door.scale("app", pod.port)
        await door.watched()
        assert pod.seen == []


async def still(door: Doorway, progress: object) -> int:
    """Return how far it came, once it has stopped."""
    assert callable(progress)
    await until(lambda: held(door) > 0)
    before = -1
    while before != (before := progress()):
        for _ in range(5):
            await door.watched()
    return before

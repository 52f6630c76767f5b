"""Leaving in order: what is in flight is finished, what is idle is closed, nothing new comes in."""

from __future__ import annotations

import asyncio

import pytest

from activator.proxy.server import Server
from tests.activator.proxy.doorway import doorway, served
from tests.activator.proxy.pods import OK, Line, answering
from tests.activator.proxy.wire import get, post, wire
from tests.support.until import until
from torpor.errors import SettingError


async def test_drain() -> None:
    """The request in flight gets its whole answer, the idle client a close, a new one no connection."""
    go_on = asyncio.Event()

    async def behave(line: Line) -> None:
        await line.request()
        await go_on.wait()
        await line.send(OK)

    async with served(behave) as (door, made), wire(door.port) as busy, wire(door.port) as idle:
        await busy.send(post(b"hello"))
        await until(lambda: made.seen and len(door.door.connections) == 2)
        port = door.port
        draining = asyncio.create_task(door.server.drain(5))
        assert await idle.ends()
        with pytest.raises(ConnectionRefusedError):
            async with wire(port):
                pass
        go_on.set()
        answer = await busy.answer()
        assert (answer.status, answer.header(b"connection")) == (200, b"close")
        busy.writer.close()
        assert await draining == 0


async def test_drain_of_those_that_wait() -> None:
    """Who waits in the queue is served if a pod comes in time."""
    async with served(answering(OK)) as (door, made), wire(door.port) as client:
        door.scale("app")
        await client.send(get())
        await until(lambda: door.throttler().queued == 1)
        draining = asyncio.create_task(door.server.drain(5))
        await door.watched()
        door.scale("app", made.port)
        assert (await client.answer()).status == 200
        client.writer.close()
        assert await draining == 0


async def test_drain_of_a_request_that_is_coming() -> None:
    """A request that had begun when the drain began is taken in."""
    async with served(answering(OK)) as (door, _), wire(door.port) as client:
        raw = get()
        await client.send(raw[:20])
        await until(lambda: any(each._reader.incomplete for each in door.door.connections))
        draining = asyncio.create_task(door.server.drain(5))
        await door.watched()
        assert (await client.ask(raw[20:])).status == 200
        client.writer.close()
        assert await draining == 0


async def test_drain_has_an_end() -> None:
    """What is not finished within the grace is cut off, and counted."""

    async def behave(line: Line) -> None:
        await line.request()
        await line.ended()

    async with served(behave) as (door, made), wire(door.port) as client:
        await client.send(get())
        await until(lambda: made.seen)
        assert await door.server.drain(0.05) == 1
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.reader.readexactly(1)


async def test_port_that_is_taken() -> None:
    """A port that cannot be had is one clear error."""
    async with doorway() as door:
        with pytest.raises(SettingError, match=r"http-port: \d+ is not allowed; a free port on 127.0.0.1 is needed"):
            await Server(door.door).start("127.0.0.1", door.port)

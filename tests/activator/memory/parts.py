"""Clients and pods that send and read as a test wants them to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.activator.memory.process import Process

HOST = b"Host: app.default.example.test\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST / HTTP/1.1\r\n" + HOST
BLOCK = bytes(256 * 1024)
STALLED_S = 0.5
"""A sender that could not send anything for so long is held up, and not just slow."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def pod(serve: Serve) -> AsyncIterator[int]:
    tasks = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(served, "127.0.0.1", 0, backlog=1024)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def client(door: Process) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.transport.set_write_buffer_limits(high=len(BLOCK))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def clients(door: Process, count: int) -> AsyncIterator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    made: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        for _ in range(0, count, 200):
            opening = (asyncio.open_connection("127.0.0.1", door.port) for _ in range(min(200, count - len(made))))
            made += await asyncio.gather(*opening)
        yield made
    finally:
        for _, writer in made:
            writer.transport.abort()


async def until_stalled(writer: asyncio.StreamWriter, block: bytes, most: int) -> int:
    """Send until nothing goes out any more, or so much has; returns how much went out."""
    sent = 0
    while sent < most:
        writer.write(block)
        try:
            async with asyncio.timeout(STALLED_S):
                await writer.drain()
        except TimeoutError:
            return sent
        except ConnectionError:
            return sent
        sent += len(block)
    return sent


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A pod that reads the head, and then nothing."""
    await reader.readuntil(b"\r\n\r\n")
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(3600)

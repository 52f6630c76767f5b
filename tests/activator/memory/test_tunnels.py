"""What a tunnel can make the door hold: what is in its buffers, whichever side is slow."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.activator.memory.parts import BLOCK, GET, clients, pod, until_stalled
from tests.activator.memory.process import MIB, Process, process, warm
from tests.support.until import until

pytestmark = pytest.mark.slow

ASK = GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
COUNT = 32
EACH = 640 * 1024
"""What one read from the kernel may bring (256 KiB) is written though the buffer is full, and may be copied once."""


async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(SWITCH)
    await writer.drain()


async def test_clients_that_read_nothing() -> None:
    """Pods that pour into their tunnels are held up."""
    sent = []

    async def pouring(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await switch(reader, writer)
        writer.transport.set_write_buffer_limits(high=len(BLOCK))
        sent.append(await until_stalled(writer, BLOCK, 64 * MIB))
        await asyncio.sleep(3600)

    async with pod(pouring) as port, process(port) as door:
        await warm(door)
        async with door.watched() as growth, clients(door, COUNT) as made:
            for reader, writer in made:
                writer.write(ASK)
                await reader.readuntil(b"\r\n\r\n")
                reader._transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: len(sent) == COUNT, 30)
        assert max(sent) < 64 * MIB
        assert growth.most < COUNT * EACH + 4 * MIB


async def test_pods_that_read_nothing() -> None:
    """Clients that pour into their tunnels are held up."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await switch(reader, writer)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(3600)

    async with pod(deaf) as port, process(port) as door:
        await warm(door)
        async with door.watched() as growth, clients(door, COUNT) as made:
            for reader, writer in made:
                writer.transport.set_write_buffer_limits(high=len(BLOCK))
                writer.write(ASK)
                await reader.readuntil(b"\r\n\r\n")
            sent = await asyncio.gather(*(until_stalled(writer, BLOCK, 64 * MIB) for _, writer in made))
        assert max(sent) < 64 * MIB
        assert growth.most < COUNT * EACH + 4 * MIB


async def test_clients_that_do_not_wait_for_the_switch() -> None:
    """What they send ahead while there is no pod is bounded, also where it comes byte by byte."""
    async with process(0) as door:
        await warm(door)
        async with door.watched() as growth, clients(door, COUNT) as made:
            for _, writer in made:
                writer.write(ASK)
            sent = await asyncio.gather(*(until_stalled(writer, BLOCK, 64 * MIB) for _, writer in made))
            assert max(sent) < 64 * MIB
        assert growth.most < COUNT * EACH + 4 * MIB
        async with door.watched() as growth, clients(door, 4) as made:
            await asyncio.gather(*(byte_by_byte(writer, 40_000) for _, writer in made))
            await asks_at_once(door)
        assert growth.most < 4 * 4 * 65_536 + 2 * MIB


async def byte_by_byte(writer: asyncio.StreamWriter, count: int) -> None:
    """Send two bytes at a time, each in a packet of its own."""
    writer.write(ASK)
    for _ in range(count // 2):
        writer.write(b"xx")
        await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError):
            await writer.drain()


async def asks_at_once(door: Process) -> None:
    """Another client is answered meanwhile."""
    async with asyncio.timeout(2.0):
        await warm(door)

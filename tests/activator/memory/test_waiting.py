"""What those who wait can make the door hold: clients that are told, and answers that are kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from tests.activator.memory.parts import GET, HOST, POST, client, clients, pod
from tests.activator.memory.process import MIB, Process, process, warm

pytestmark = pytest.mark.slow

EVENTS = GET + b"Accept: text/event-stream\r\n\r\n"
LATER = b"Prefer: respond-async\r\n"
PAIRS = b"2\r\nxx\r\n"
"""A chunk of a body; kept as an object of its own it would take thirty times as much."""
Framed = Callable[[int], bytes]
LAST = b"\r\n0\r\n\r\n"


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A pod that answers everything with a megabyte."""
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MIB + bytes(MIB))
        await writer.drain()


def sized(size: int) -> bytes:
    """The rest of a request: its length and its body."""
    return b"Content-Length: %d\r\n\r\n" % size + bytes(size)


def in_pairs(size: int) -> bytes:
    """Likewise in chunks of two bytes."""
    return b"Transfer-Encoding: chunked\r\n\r\n" + PAIRS * (size // 2) + b"0\r\n\r\n"


async def status_of(door: Process, *request: bytes) -> int:
    """Ask on a connection of one's own."""
    async with client(door) as (reader, writer):
        writer.write(b"".join(request))
        return int((await reader.readline()).split()[1])


async def test_clients_that_are_told() -> None:
    """Two thousand that wait, are told many times a second, and read none of it: less than 8 KiB each."""
    count = 2000
    async with process(0, told_after_s=0.1, told_every_s=0.1) as door:
        await warm(door)
        growths = []
        for _ in range(3):
            async with door.watched() as growth, clients(door, count) as made:
                for _, writer in made:
                    writer.write(EVENTS)
                for reader, _ in made:
                    await reader.readuntil(b"\n\n\r\n")
                for reader, _ in made:
                    reader._transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.sleep(1.0)
            growths.append(growth)
        assert growths[0].most < count * 8 * 1024
        assert growths[-1].peak - growths[0].before < count * 12 * 1024


@pytest.mark.parametrize(
    ("size", "limit", "framed"),
    [
        pytest.param(MIB, 16 * MIB, sized, id="at once"),
        pytest.param(MIB // 8, 2 * MIB, in_pairs, id="in small chunks"),
    ],
)
async def test_requests_on_the_shelf(size: int, limit: int, framed: Framed) -> None:
    """Bodies of all that wait have one limit, however they come; who is beyond it is told."""
    async with process(0, deferred_bytes=limit) as door:
        await warm(door)
        async with door.watched() as growth:
            statuses = [await status_of(door, POST, LATER, framed(size)) for _ in range(30)]
        assert statuses == [202] * 15 + [503] * 15
        assert growth.most < limit + 8 * MIB


async def test_answers_on_the_shelf() -> None:
    """Answers that nobody comes for have the same limit; beyond it there is an error in their place."""
    limit = 16 * MIB
    async with pod(answering) as port, process(port, deferred_bytes=limit) as door:
        await warm(door)
        async with door.watched() as growth:
            places = []
            for _ in range(60):
                async with client(door) as (reader, writer):
                    writer.write(GET + LATER + b"\r\n")
                    head = await reader.readuntil(b"\r\n\r\n")
                    found = re.search(rb"Location: (\S+)", head)
                    assert found, head
                    places.append(found[1])
            statuses = [await done(door, place) for place in places]
        assert statuses.count(200) == limit // MIB - 1
        assert statuses.count(503) == 60 - statuses.count(200)
        assert growth.most < limit + 16 * MIB


async def done(door: Process, place: bytes) -> int:
    """Come back for an answer until it is there; returns its status."""
    async with asyncio.timeout(10):
        while True:
            status = await status_of(door, b"GET %b HTTP/1.1\r\n" % place, HOST, b"\r\n")
            if status != 202:
                return status

"""What a client or a pod can make the door hold: little, however much it sends, and however slowly others take it."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.activator.memory.parts import BLOCK, GET, POST, client, clients, never, pod, until_stalled
from tests.activator.memory.process import MIB, process, warm
from tests.support.until import until

pytestmark = pytest.mark.slow


async def test_upload_to_a_pod_that_reads_nothing() -> None:
    """The client is held up: what is on its way is in the kernel's buffers, and a little here."""
    async with pod(never) as port, process(port) as door, door.watched() as growth, client(door) as (_, writer):
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % 2**40)
        sent = await until_stalled(writer, BLOCK, 512 * MIB)
        assert sent < 128 * MIB
        assert growth.most < 8 * MIB


@pytest.mark.e2e
async def test_upload_to_a_slow_pod() -> None:
    """A body of 192 MiB goes through at the pod's pace; the growth does not depend on its length."""
    size, got, done = 192 * MIB, 0, asyncio.Event()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await reader.readuntil(b"\r\n\r\n")
        while got < size:
            got += len(await reader.read(MIB))
            await asyncio.sleep(0.005)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        done.set()

    async with pod(slowly) as port, process(port) as door, door.watched() as growth, client(door) as (reader, writer):
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(BLOCK)):
            writer.write(BLOCK)
            await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert got == size
        assert growth.most < 8 * MIB


@pytest.mark.e2e
async def test_upload_of_a_gibibyte() -> None:
    """As above, and five times as long: the growth is the same."""
    size, got = 1024 * MIB, 0

    async def by_fits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await reader.readuntil(b"\r\n\r\n")
        while got < size:
            stop = min(size, got + 64 * MIB)
            while got < stop and (data := await reader.read(MIB)):
                got += len(data)
            await asyncio.sleep(0.3)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    async with pod(by_fits) as port, process(port) as door, door.watched() as growth, client(door) as (reader, writer):
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(BLOCK)):
            writer.write(BLOCK)
            await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert got == size
        assert growth.most < 8 * MIB


async def test_reader_at_a_megabyte_a_second() -> None:
    """A pod that answers with 4 GiB as fast as it can is held up by who reads 1 MB of it a second."""
    sent = 0

    async def pouring(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 2**32)
        while True:
            writer.write(BLOCK)
            await writer.drain()
            sent += len(BLOCK)

    async with pod(pouring) as port, process(port) as door, door.watched() as growth, client(door) as (reader, writer):
        writer.write(GET + b"\r\n")
        read, begin = 0, time.monotonic()
        while (passed := time.monotonic() - begin) < 2.0:
            if read < passed * 1e6:
                read += len(await reader.read(65536))
            else:
                await asyncio.sleep(0.01)
        assert 1e6 < read < 3e6
        assert sent < 128 * MIB
        assert growth.most < 8 * MIB


@pytest.mark.e2e
async def test_idle_connections(files: int) -> None:
    """Ten thousand of them cost less than 10 KiB each, and the memory is free for others when they are gone."""
    count = min(10_000, files - 500)
    async with process(0) as door:
        await warm(door)
        async with door.watched() as growth, clients(door, count) as made:
            # Each has had one answer, so that it is no longer new.
            for _, writer in made:
                writer.write(b"GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n")
            for reader, _ in made:
                await reader.readuntil(b"\r\n\r\n")
        assert growth.most < count * 10 * 1024
        first = growth.most
        async with door.watched() as growth, clients(door, count):
            pass
        assert growth.most < first / 4  # what the first ones had was free again


@pytest.mark.e2e
async def test_queued_requests_with_bodies() -> None:
    """5,000 clients with 63 KiB each for a service without pods: the limit holds, the rest is told."""
    count, limit = 5000, 64 * MIB
    async with process(0, queue_bytes=limit) as door:
        await warm(door)
        async with door.watched() as growth, clients(door, count) as made:
            body = bytes(64 * 1024 - 1024)
            for _, writer in made:
                writer.write(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            refused: list[bytes] = []

            async def answered(reader: asyncio.StreamReader) -> None:
                line = await reader.readline()
                assert line.startswith(b"HTTP/1.1 503")
                refused.append(line)

            answers = [asyncio.create_task(answered(reader)) for reader, _ in made]
            await until(lambda: len(refused) >= count - limit // len(body), 60)
            for task in answers:
                task.cancel()
            await asyncio.gather(*answers, return_exceptions=True)
        assert growth.most < 2 * limit + count * 10 * 1024


@pytest.mark.parametrize(
    "line",
    [pytest.param(b"X: %b\r\n" % (b"a" * 1000), id="long lines"), pytest.param(b"Xy: ab\r\n", id="many short lines")],
)
async def test_heads_that_never_end(line: bytes) -> None:
    """A head is bounded in bytes and in fields: 400 slow clients cannot make it costly."""
    count = 400
    async with process(0) as door:
        await warm(door)
        async with door.watched() as growth, clients(door, count) as made:
            for _, writer in made:
                writer.write(GET + line * (60_000 // len(line)))
            for _ in range(10):
                for _, writer in made:
                    if not writer.transport.is_closing():
                        writer.write(b"X")
                await asyncio.sleep(0.05)
        assert growth.most < count * 200 * 1024


async def test_pipelining_without_reading() -> None:
    """Who asks and asks, and reads no answer, is held up."""

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000))
            await writer.drain()

    async with pod(answering) as port, process(port) as door, door.watched() as growth, client(door) as (_, writer):
        sent = await until_stalled(writer, (GET + b"\r\n") * 100, 64 * MIB)
        assert sent < 64 * MIB
        assert growth.most < 8 * MIB


async def test_more_connections_than_there_may_be() -> None:
    """Those over the limit are told and closed; they do not add up."""
    async with process(0, connections=100) as door:
        await warm(door)
        told = 0
        async with door.watched() as growth:
            for _ in range(4):
                async with clients(door, 600) as made:
                    for reader, _ in made[100:]:
                        with contextlib.suppress(ConnectionError):
                            told += (await reader.readline()).startswith(b"HTTP/1.1 503")
        assert told > 1500
        assert growth.most < 16 * MIB

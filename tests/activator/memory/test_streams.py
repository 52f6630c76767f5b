"""What clients and pods can make the door hold by HTTP/2, where one connection carries many calls."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from h2 import events
from h2.exceptions import ProtocolError
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame

from tests.activator.grpc.doorway import call, channel, path
from tests.activator.grpc.pods import SERVICE
from tests.activator.grpc.raw import Raw, raw
from tests.activator.grpc.scripted import HEAD, Line, scripted
from tests.activator.memory.parts import STALLED_S
from tests.activator.memory.process import MIB, Process, process, warm
from tests.support.until import until

pytestmark = pytest.mark.slow

CALLS = "calls.default.example.test"
STREAMS = 256
"""That a client may have at once."""
WINDOW = 65_535
TWO = DataFrame(1, data=b"xx").serialize()


async def deaf(line: Line) -> None:
    """A pod that takes calls, and what fits into its windows, and then nothing."""
    line.acknowledge = False
    while True:
        await line.request()


class Pouring:
    """A pod that answers each call with as much as windows allow, for ever."""

    def __init__(self) -> None:
        self.poured = 0
        """Bytes, for all calls."""

    async def __call__(self, line: Line) -> None:
        asked: set[int] = set()
        while True:
            for event in line.events:
                if isinstance(event, events.RequestReceived):
                    with contextlib.suppress(ProtocolError):  # it may be over again
                        line.h2.send_headers(event.stream_id, HEAD)
                        asked.add(event.stream_id)
                elif isinstance(event, events.StreamReset):
                    asked.discard(event.stream_id)
            line.events.clear()
            before = self.poured
            for number in asked:
                while (room := min(line.h2.local_flow_control_window(number), 16_384)) > 0:
                    line.h2.send_data(number, bytes(room))
                    self.poured += room
            await line.flush()
            if self.poured == before:
                await line.read()


@contextlib.asynccontextmanager
async def raws(door: Process, count: int) -> AsyncIterator[list[Raw]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(raw(door.grpc_port)) for _ in range(count)]


async def until_still(count: Callable[[], int]) -> int:
    """Return how far it came when it has not gone on for a moment."""
    before = -1
    while before != (before := count()) or not before:  # noqa: ASYNC110  # there is no event for what does not happen
        await asyncio.sleep(STALLED_S)
    return before


async def test_uploads_to_a_pod_that_reads_nothing() -> None:
    """Official clients with endless uploads are held up at their streams' windows."""
    written = [0]

    async def messages() -> AsyncIterator[bytes]:
        for _ in range(10_000):
            written[0] += 100_000
            yield bytes(100_000)

    async with scripted(deaf) as pod, process(0, calls=pod.port) as door, channel(door.grpc_port, CALLS) as client:
        async with door.watched() as growth:
            uploads = [client.stream_unary(path("Add"))(messages()) for _ in range(16)]
            sent = await until_still(lambda: written[0])
            for upload in uploads:
                upload.cancel()
        assert sent < 64 * MIB
        assert growth.most < 16 * 2 * WINDOW + 4 * MIB


async def test_an_upload_to_a_slow_pod() -> None:
    """128 MiB go through at the pod's pace; the growth does not depend on the length."""
    size, took = 128 * MIB, [0]

    async def slowly(messages: AsyncIterator[bytes], context: object) -> bytes:  # gRPC's signature
        async for message in messages:
            took[0] += len(message)
            await asyncio.sleep(0.005)
        return b"%d" % took[0]

    async def messages() -> AsyncIterator[bytes]:
        for _ in range(size // MIB):
            yield bytes(MIB)

    server = grpc.aio.server()
    handlers = {"Add": grpc.stream_unary_rpc_method_handler(slowly)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with process(0, calls=port) as door, channel(door.grpc_port, CALLS) as client:
            async with door.watched() as growth:
                assert await client.stream_unary(path("Add"))(messages()) == b"%d" % size
            assert growth.most < 8 * MIB
    finally:
        await server.stop(None)


async def test_a_slow_reader_of_a_fast_stream() -> None:
    """Who opens its window by 1 MB a second is sent so much, and the pod that could send more is held up."""
    async with (
        scripted(Pouring()) as pod,
        process(0, calls=pod.port) as door,
        raw(door.grpc_port) as client,
        door.watched() as growth,
    ):
        client.credit = False
        client.h2.increment_flow_control_window(2**30)
        number = await client.open(("content-type", "application/grpc"), target="/a.B/C", host=CALLS, end=True)
        answer, begin, given = client.answers[number], time.monotonic(), WINDOW
        while (passed := time.monotonic() - begin) < 2.0:
            await client.until(lambda given=given: len(answer.body) == given)
            if given < passed * 1e6:
                client.h2.increment_flow_control_window(20_000, number)
                given += 20_000
                await client.flush()
            else:
                await asyncio.sleep(0.005)
        assert 1e6 < len(answer.body) < 3e6
    assert growth.most < 4 * MIB


async def test_many_streams_that_nobody_reads() -> None:
    """Each holds a window's worth: the price is known, and it is free again when the client is gone."""
    pouring = Pouring()
    async with scripted(pouring) as pod, process(0, calls=pod.port) as door:
        await warm(door)
        most = []
        for _ in range(2):
            async with door.watched() as growth, raws(door, 4) as clients:
                for client in clients:
                    client.credit = False
                    for _ in range(STREAMS):
                        field = ("content-type", "application/grpc")
                        await client.open(field, target="/a.B/C", host=CALLS, end=True)
                begin = pouring.poured
                await until(lambda begin=begin: pouring.poured - begin >= 4 * STREAMS * WINDOW, 20)
            most.append(growth)
        assert most[0].most < 4 * STREAMS * (WINDOW + 16_384) + 8 * MIB
        assert most[1].peak < most[0].peak + 16 * MIB


async def test_uploads_in_small_pieces() -> None:
    """Two bytes in a frame cost what they are, and not thirty times as much, while the pod takes nothing."""
    async with scripted(deaf) as pod, process(0, calls=pod.port) as door:
        await warm(door)
        async with door.watched() as growth, raw(door.grpc_port) as client:
            # As much as the pod's own windows take goes on to it; these streams are beyond.
            numbers = []
            for _ in range(16):
                field = ("content-type", "application/grpc")
                numbers.append(await client.open(field, target="/a.B/C", host=CALLS, end=False))
            for number in numbers:
                frame = TWO[:5] + number.to_bytes(4, "big") + TWO[9:]
                client.writer.write(frame * (WINDOW // 2))
                await client.writer.drain()
            client.h2.ping(b"all read")
            await client.flush()
            await client.until(lambda: client.pongs)
        assert growth.most < 16 * 3 * WINDOW + 4 * MIB


async def test_connections_that_send_nothing() -> None:
    """A thousand cost less than 32 KiB each, and what they had is free for those after them."""
    count, most = 1000, []
    async with process(0) as door:
        await warm(door)
        for greeted in (True, False, True):
            async with door.watched() as growth, contextlib.AsyncExitStack() as stack:
                for _ in range(count):
                    await stack.enter_async_context(raw(door.grpc_port, begin=greeted))
            most.append(growth)
        assert most[0].most < count * 32 * 1024
        assert most[-1].peak - most[0].before < count * 48 * 1024


async def test_streams_that_send_nothing() -> None:
    """Ten thousand calls that only begin, for a service without pods: they wait, at less than 5 KiB each."""
    connections = 40
    async with process(0) as door:
        await warm(door)
        async with door.watched() as growth, raws(door, connections) as clients:
            for client in clients:
                for _ in range(STREAMS):
                    field = ("content-type", "application/grpc")
                    await client.open(field, target="/a.B/C", host=CALLS, end=False)
            for client in clients:
                client.h2.ping(b"all read")
                await client.flush()
                await client.until(lambda client=client: client.pongs)
        assert growth.most < connections * STREAMS * 5 * 1024


async def test_calls_without_end_on_one_connection() -> None:
    """Twenty thousand that are over, one after the other, leave nothing behind."""
    async with process(0) as door, raw(door.grpc_port) as client:
        field = ("content-type", "application/grpc")

        async def ask(count: int) -> None:
            for _ in range(count // 100):
                numbers = [await client.open(field, target="/a.B/C", host="nobody.test", end=True) for _ in range(100)]
                await client.until(lambda numbers=numbers: all(client.answers[each].ended for each in numbers))
                client.answers.clear()

        await ask(1000)
        async with door.watched() as growth:
            await ask(20_000)
        assert growth.most < 4 * MIB


@pytest.mark.parametrize("pieces", [pytest.param(16_000, id="long pieces"), pytest.param(200, id="short pieces")])
async def test_headers_that_never_end(pieces: int) -> None:
    """A header block is bounded before it is unpacked: two hundred slow clients cannot make it costly."""
    count = 200
    async with process(0) as door:
        await warm(door)
        async with door.watched() as growth, raws(door, count) as clients:
            for client in clients:
                block: list[Frame] = [HeadersFrame(1, data=b"")]
                block += [ContinuationFrame(1, data=bytes(pieces))] * (250_000 // pieces)
                with contextlib.suppress(ConnectionError):
                    await client.send(*block)
            for client in clients:
                with contextlib.suppress(ConnectionError):
                    await client.send(ContinuationFrame(1, data=b"x"))
        assert growth.most < count * 100 * 1024


async def test_official_clients_one_after_the_other() -> None:
    """Connections that come, call and go leave nothing behind."""
    async with process(0) as door:

        async def visit() -> None:
            async with channel(door.grpc_port, "nobody.test") as client:
                with pytest.raises(grpc.aio.AioRpcError):
                    await call(client, "Echo")

        before = door.ps.num_fds()
        for _ in range(20):
            await visit()
        async with door.watched() as growth:
            for _ in itertools.repeat(None, 200):
                await visit()
        assert growth.most < 2 * MIB
        await until(lambda: door.ps.num_fds() <= before)

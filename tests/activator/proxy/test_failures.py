"""Pods that refuse, die, or are late: what was never sent goes to another, what was sent goes nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys

import pytest

from activator.settings import PodLimits
from tests.activator.proxy.doorway import doorway, served
from tests.activator.proxy.pods import OK, Behave, Line, answering, pod
from tests.activator.proxy.wire import get, post, wire
from tests.support.clock import FakeClock
from tests.support.ports import free_ports
from tests.support.until import until

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhi"


async def test_pod_that_refuses() -> None:
    """A pod that takes no connections costs its requests nothing: each goes to the other, once."""
    (closed,) = free_ports(1)
    async with pod(answering(OK)) as good, doorway() as door, contextlib.AsyncExitStack() as stack:
        door.deploy("app", closed, good.port)
        clients = [await stack.enter_async_context(wire(door.port)) for _ in range(20)]
        for number, client in enumerate(clients):
            await client.send(post(b"hello", path=f"/{number}"))
        assert {(await client.answer()).status for client in clients} == {200}
        assert sorted(request.target for request in good.seen) == sorted(b"/%d" % number for number in range(20))
        assert door.throttler().counters.retries > 0


async def test_pod_that_refuses_at_first() -> None:
    """The only pod refuses because it does not listen yet: the request waits for it, before those that came later."""
    (port,) = free_ports(1)
    async with doorway() as door, wire(door.port) as client:
        door.deploy("app", port, concurrency=1)
        await client.send(post(b"hello"))
        await until(lambda: door.throttler().counters.retries > 1)
        async with pod(answering(OK), port=port) as late:
            assert (await client.answer()).status == 200
            assert late.request.body == b"hello"


async def test_pod_that_goes_on_refusing() -> None:
    """A pod that is called ready and takes no connections is a 502 in the end."""
    (closed,) = free_ports(1)
    async with doorway(pods=PodLimits(refused_s=0.2)) as door, wire(door.port) as client:
        door.deploy("app", closed)
        answer = await client.ask(post(b"hello"))
        assert (answer.status, answer.reason) == (502, "UpstreamFailed")


async def test_pod_that_neither_takes_nor_refuses() -> None:
    """Connecting has a limit of its own; the request goes on to another pod."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        port = full.getsockname()[1]
        for _ in range(4):  # the kernel's queue is full: further connections get no answer
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(("127.0.0.1", port))
        limits = PodLimits(connect_timeout_s=0.1)
        async with pod(answering(OK)) as good, doorway(pods=limits) as door, wire(door.port) as client:
            door.deploy("app", port)
            await client.send(get())
            await until(lambda: door.throttler().counters.retries > 0)
            door.scale("app", port, good.port)
            assert (await client.answer()).status == 200


def after_request(answer: bytes, *, reset: bool) -> Behave:
    """Read a request, send so much, and end the connection."""

    async def behave(line: Line) -> None:
        await line.request()
        await line.send(answer)
        if reset:
            await asyncio.sleep(0.02)  # what was written reaches the door before the reset
            line.reset()

    return behave


HOW = pytest.mark.parametrize("reset", [pytest.param(False, id="closes"), pytest.param(True, id="is killed")])


@HOW
async def test_dies_before_its_answer(*, reset: bool) -> None:
    """A pod that dies with a request is a 502 that says so, and nobody else is asked the same."""
    async with pod(after_request(b"", reset=reset)) as bad, pod(answering(OK)) as good, doorway() as door:
        door.deploy("app", bad.port, concurrency=1)
        async with wire(door.port) as client:
            await client.send(post(b"hello"))
            await until(lambda: bad.seen)
            door.scale("app", bad.port, good.port)
            answer = await client.answer()
            assert (answer.status, answer.reason) == (502, "UpstreamFailed")
            assert f"app-{bad.port}" in json.loads(answer.body)["error"]
            assert (len(bad.seen), len(good.seen)) == (1, 0)
            door.scale("app", good.port)
            assert (await client.ask(get())).status == 200, "the client's connection is as good as before"


@HOW
@pytest.mark.parametrize("answer", [pytest.param(CHUNKED, id="chunked"), pytest.param(SIZED, id="of known length")])
async def test_dies_within_its_answer(answer: bytes, *, reset: bool) -> None:
    """What came reaches the client, then the connection ends: never a half answer that looks whole, never a second."""
    async with served(after_request(answer, reset=reset)) as (door, made), wire(door.port) as client:
        await client.send(get())
        assert await client.rest() == answer
        assert len(made.seen) == 1
        assert door.throttler().counters.upstream_errors == 1


@pytest.mark.parametrize("answer", [pytest.param(CHUNKED, id="chunked"), pytest.param(SIZED, id="of known length")])
async def test_dies_within_its_answer_to_an_older_client(answer: bytes) -> None:
    """To HTTP/1.0 a closed connection is the end of a body, so it is reset."""
    async with served(after_request(answer, reset=True)) as (door, _), wire(door.port) as client:
        await client.send(get().replace(b"HTTP/1.1", b"HTTP/1.0"))
        await client.until(b"hi")
        with pytest.raises(ConnectionResetError):
            await client.rest()


async def test_killed_while_many_are_in_flight() -> None:
    """A process killed with -9: those it served get a 502, those that waited are served by the next, none is lost."""
    script = """if True:
        import asyncio, sys
        async def serve(reader, writer):
            await reader.readuntil(b"\\r\\n\\r\\n")
            await asyncio.sleep(3600)
        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            print(server.sockets[0].getsockname()[1], flush=True)
            await asyncio.sleep(3600)
        asyncio.run(main())
    """
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with pod(answering(OK)) as good, doorway() as door, contextlib.AsyncExitStack() as stack:
        try:
            port = int(await process.stdout.readline())
            door.deploy("app", port, concurrency=50)
            clients = [await stack.enter_async_context(wire(door.port)) for _ in range(120)]
            for client in clients:
                await client.send(post(b"hello"))
            pool = door.pool
            await until(lambda: door.throttler().queued == 70 and not pool._connecting)
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            await until(lambda: door.throttler().counters.upstream_errors == 50)
            door.scale("app", good.port)
            statuses = sorted([(await client.answer()).status for client in clients])
            assert statuses == [200] * 70 + [502] * 50
            assert len(good.seen) == 70
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_idle_connections_of_a_pod_that_died() -> None:
    """A pod that was replaced at the same address closed its idle connections: nobody is sent into one of them."""
    (port,) = free_ports(1)
    async with doorway() as door, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(wire(door.port)) for _ in range(10)]
        for generation in range(3):
            async with pod(answering(OK), port=port):
                door.deploy("app", *([port] if not generation else []))
                door.scale("app", port)
                for client in clients:
                    await client.send(get())
                assert {(await client.answer()).status for client in clients} == {200}


async def test_pod_that_closes_idle_connections() -> None:
    """A pod may close a connection it has answered on; that is noticed before the next request is sent."""

    async def behave(line: Line) -> None:
        await line.request()
        await line.send(OK)

    async with served(behave) as (door, made), wire(door.port) as client:
        for _ in range(10):
            assert (await client.ask(get())).status == 200
            await until(lambda: made.open == 0)
            await door.watched()
        assert len(made.lines) == 10


@pytest.mark.parametrize(
    ("sent", "spec", "passes", "late", "status"),
    [
        pytest.param(b"", {"timeoutSeconds": 20}, 19.9, 0.2, 504, id="whole time, no answer"),
        pytest.param(CHUNKED, {"timeoutSeconds": 20}, 19.9, 0.2, 0, id="whole time, half an answer"),
        pytest.param(b"", {"timeoutSeconds": 20, "responseStartTimeoutSeconds": 5}, 4.9, 0.2, 504, id="no first byte"),
        pytest.param(
            CHUNKED, {"timeoutSeconds": 20, "responseStartTimeoutSeconds": 5}, 19.9, 0.2, 0, id="the first byte came"
        ),
        pytest.param(CHUNKED, {"timeoutSeconds": 20, "idleTimeoutSeconds": 3}, 2.9, 0.2, 0, id="silence in the answer"),
    ],
)
async def test_late(sent: bytes, spec: dict[str, int], passes: float, late: float, status: int) -> None:
    """A pod has the revision's time: then it is 504, or the end of what had begun; its connection is dropped."""
    clock = FakeClock()

    async def behave(line: Line) -> None:
        await line.request()
        await line.send(sent)
        await line.ended()

    async with served(behave, clock=clock, **spec) as (door, made), wire(door.port) as client:
        await client.send(get())
        await until(lambda: made.seen)
        if sent:
            await client.until(sent[sent.index(b"\r\n\r\n") :])
        await door.watched()
        clock.advance(passes)
        await door.watched()
        assert door.throttler().in_flight == 1
        clock.advance(late)
        if status:
            answer = await client.answer()
            assert (answer.status, answer.reason) == (status, "DeadlineExceeded")
        else:
            assert await client.ends()
        await until(lambda: made.open == 0)
        assert (len(made.seen), door.throttler().in_flight) == (1, 0)


async def test_time_in_the_queue_is_not_the_pods() -> None:
    """The pod's time begins when the request is handed to it."""
    clock = FakeClock()
    async with served(answering(OK), clock=clock, timeoutSeconds=5) as (door, made), wire(door.port) as client:
        door.scale("app")
        await client.send(get())
        await until(lambda: door.throttler().queued == 1)
        clock.advance(60)
        await door.watched()
        door.scale("app", made.port)
        assert (await client.answer()).status == 200

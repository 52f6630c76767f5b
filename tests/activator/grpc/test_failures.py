"""Pods that refuse, leave, die, or are late: what was never looked at goes on, what was sent goes nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import grpc
import pytest
from h2 import events
from h2.errors import ErrorCodes

from activator.settings import PodLimits, StreamLimits
from tests.activator.grpc.doorway import call, channel, code_of, grpc_doorway, path, served
from tests.activator.grpc.pods import pod
from tests.activator.grpc.raw import raw
from tests.activator.grpc.scripted import HEAD, Line, answering, scripted
from tests.activator.proxy.doorway import Doorway
from tests.support.clock import FakeClock
from tests.support.ports import free_ports
from tests.support.until import until

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


async def test_a_pod_that_takes_no_connections() -> None:
    """Costs its calls nothing: each goes to the other, once."""
    (closed,) = free_ports(1)
    async with pod() as good, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app", closed, good.port)
        answers = await asyncio.gather(*(call(client, "Echo", b"%d" % number) for number in range(20)))
        assert answers == [b"%d" % number for number in range(20)]
        assert len(good.seen) == 20
        assert door.throttler().counters.retries > 0


async def test_a_pod_that_goes_on_taking_none() -> None:
    """Is an error in the end."""
    (closed,) = free_ports(1)
    async with grpc_doorway(pods=PodLimits(refused_s=0.2)) as (door, port), channel(port) as client:
        door.deploy("app", closed)
        code, message = await code_of(call(client, "Echo"))
        assert code is UNAVAILABLE
        assert "takes no connections" in message


@pytest.mark.parametrize(
    ("port_name", "connections"),
    [
        pytest.param("h2c", 1, id="and says otherwise"),
        pytest.param("http", 0, id="as it says"),
    ],
)
async def test_a_pod_that_speaks_http1_alone(port_name: str, connections: int) -> None:
    """Is not what the client needs: it hears so, and how that is changed."""
    accepted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, grpc_doorway() as (door, port), channel(port) as client:
        door.port_name = port_name
        door.deploy("app", server.sockets[0].getsockname()[1])
        code, message = await code_of(call(client, "Echo"))
        assert code is grpc.StatusCode.UNIMPLEMENTED
        assert "does not speak HTTP/2" in message
        assert "name: h2c" in message
        assert accepted == connections


async def test_many_calls_that_waited_for_a_pod_that_speaks_http1_alone() -> None:
    """Each fails in the moment it gets a slot; the next has it then, and none is lost."""
    async with grpc_doorway(streams=StreamLimits(streams=300)) as (door, port), raw(port) as client:
        door.port_name = "http"
        door.deploy("app")
        numbers = [await client.ask("Echo", b"x") for _ in range(300)]
        await until(lambda: door.throttler().queued == 300)
        door.scale("app", *free_ports(1))
        await client.until(lambda: all(client.answers[number].ended for number in numbers))
        assert door.throttler().queued == door.throttler().in_flight == 0
        answers = [client.answers[number] for number in numbers]
        statuses = {(each.trailers or each.headers)["grpc-status"] for each in answers}
        assert statuses == {str(grpc.StatusCode.UNIMPLEMENTED.value[0])}


async def test_a_call_that_the_pod_refused_is_sent_again() -> None:
    """REFUSED_STREAM says that nothing was done: the message is sent once more, and the client notices nothing."""

    async def behave(line: Line) -> None:
        number = await line.request()
        if len(line.pod.seen) == 1:
            await line.until(events.StreamEnded)
            await line.refuse(number)
            number = await line.request()
        data = await line.until(events.DataReceived)
        assert isinstance(data, events.DataReceived)
        await line.answer(number, data.data[5:])
        await answering(line)

    async with scripted(behave) as made, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app", made.port)
        assert await call(client, "Echo", b"again") == b"again"
        assert len(made.seen) == 2
        assert door.throttler().counters.retries == 1
        assert door.throttler().counters.upstream_errors == 0
        assert [pod.refusals for pod in door.throttler().pods] == [0], "it is well, and is not let alone for this"


@pytest.mark.parametrize(("refused", "refusals"), [pytest.param(1, 0, id="once"), pytest.param(2, 1, id="twice")])
async def test_a_pod_that_refuses_many_calls_is_not_let_alone_for_each(refused: int, refusals: int) -> None:
    """They were on one connection; only where they are refused again it is let alone, and once for all of them."""
    calls = 20

    async def behave(line: Line) -> None:
        for _ in range(refused):
            numbers = [await line.request() for _ in range(calls)]
            for number in numbers:
                line.h2.reset_stream(number, ErrorCodes.REFUSED_STREAM)
            await line.flush()
        await answering(line)

    async with scripted(behave) as made, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app", made.port)
        assert await asyncio.gather(*(call(client, "Echo") for _ in range(calls))) == [b"ok"] * calls
        assert door.throttler().counters.retries == refused * calls
        assert [pod.refusals for pod in door.throttler().pods] == [refusals]


async def test_what_cannot_be_sent_again_is_told() -> None:
    """A message of which a part is gone already."""

    async def counting(line: Line) -> None:
        number = await line.request()
        taken = 0
        while taken < 200_000:
            event = await line.until(events.DataReceived)
            assert isinstance(event, events.DataReceived)
            taken += len(event.data)
        await line.refuse(number)
        await answering(line)

    async with scripted(counting) as made, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app", made.port)
        code, message = await code_of(call(client, "Echo", b"x" * 300_000))
        assert code is UNAVAILABLE
        assert "too long to be sent once more" in message


async def test_a_pod_that_leaves() -> None:
    """GOAWAY: calls that it has begun are finished, those after its last are sent again, on a new connection."""
    go_on = asyncio.Event()

    async def behave(line: Line) -> None:
        if len(line.pod.lines) > 1:
            await answering(line)
        first = await line.request()
        second = await line.request()
        await line.leave(first)
        await go_on.wait()
        await line.answer(first, b"first")
        assert second > first
        await line.read()

    async with scripted(behave) as made, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app", made.port)
        one = asyncio.ensure_future(_answer(call(client, "Echo")))
        await until(lambda: len(made.seen) == 1)
        two = asyncio.ensure_future(_answer(call(client, "Echo")))
        assert await two == b"ok"
        assert await call(client, "Echo") == b"ok"
        assert not one.done()
        go_on.set()
        assert await one == b"first"
        assert len(made.lines) == 2


async def test_a_real_server_that_leaves() -> None:
    """A gRPC server that stops with a grace loses no call, of those it has and of those that come."""
    async with contextlib.AsyncExitStack() as stack:
        old = await stack.enter_async_context(pod())
        new = await stack.enter_async_context(pod())
        door, port = await stack.enter_async_context(grpc_doorway())
        client = await stack.enter_async_context(channel(port))
        door.deploy("app", old.port)
        begun = [asyncio.ensure_future(_answer(call(client, "Hold"))) for _ in range(5)]
        await until(lambda: old.now == 5)
        stopping = asyncio.create_task(old.server.stop(10))
        await asyncio.sleep(0)
        door.scale("app", new.port)
        assert await asyncio.gather(*(call(client, "Echo", b"%d" % n) for n in range(50))) == [
            b"%d" % n for n in range(50)
        ]
        old.go_on.set()
        assert await asyncio.gather(*begun) == [b"hello"] * 5
        await stopping


async def _answer(awaitable: grpc.aio.UnaryUnaryCall) -> bytes:
    return await awaitable


def dying(answered: bytes) -> object:
    async def behave(line: Line) -> None:
        number = await line.request()
        if answered:
            line.h2.send_headers(number, HEAD)
            line.h2.send_data(number, b"\0" + len(answered).to_bytes(4, "big") + answered)
            await line.flush()

    return behave


async def test_a_pod_that_dies_before_its_answer() -> None:
    """UNAVAILABLE, with its name; nobody else is asked the same."""
    async with scripted(dying(b"")) as bad, pod() as good, grpc_doorway() as (door, port), channel(port) as client:  # type: ignore[arg-type]
        door.deploy("app", bad.port, concurrency=1)
        task = asyncio.ensure_future(code_of(call(client, "Echo")))
        await until(lambda: bad.seen)
        door.scale("app", bad.port, good.port)
        code, message = await task
        assert code is UNAVAILABLE
        assert f"app-{bad.port} ended the connection" in message
        assert (len(bad.seen), len(good.seen)) == (1, 0)
        door.scale("app", good.port)
        assert await call(client, "Echo") == b"hello", "the client's connection is as good as before"


async def test_a_pod_that_dies_within_its_answer() -> None:
    """What came reaches the client, then the error: never a half answer that looks whole."""
    async with scripted(dying(b"half")) as bad, grpc_doorway() as (door, port), channel(port) as client:  # type: ignore[arg-type]
        door.deploy("app", bad.port)
        stream = client.unary_stream(path("Count"))(b"2")
        assert await stream.read() == b"half"
        code, message = await code_of(stream.read())
        assert code is UNAVAILABLE
        assert "ended the connection" in message
        assert door.throttler().counters.upstream_errors == 1


SERVER = """
import asyncio
from tests.activator.grpc.pods import pod

async def main():
    async with pod() as made:
        print(made.port, flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


async def test_a_pod_that_is_killed_with_many_calls() -> None:
    """Killed with -9: those that it served hear of it, those that waited are served by the next, none is lost."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with pod() as good, grpc_doorway() as (door, port), channel(port) as client:
        try:
            door.deploy("app", int(await process.stdout.readline()), concurrency=10)
            calls = [asyncio.ensure_future(_outcome(call(client, "Hold"))) for _ in range(30)]
            await until(lambda: door.throttler().queued == 20 and _streams(door) == 10)
        finally:
            process.kill()
            await process.wait()
        good.go_on.set()
        await until(lambda: door.throttler().counters.upstream_errors == 10)
        door.scale("app", good.port)
        outcomes = await asyncio.gather(*calls)
        assert sorted(outcomes) == ["OK"] * 20 + ["UNAVAILABLE"] * 10
        assert len(good.seen) == 20


def _streams(door: Doorway) -> int:
    return sum(len(line.streams) for lines in door.pool.http2._open.values() for line in lines)


async def _outcome(awaitable: grpc.aio.UnaryUnaryCall) -> str:
    try:
        await awaitable
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def test_a_load_that_failed_is_told_in_the_pods_words() -> None:
    """To calls that wait and calls that come."""
    async with grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app")
        waits = asyncio.ensure_future(code_of(call(client, "Echo")))
        await until(lambda: door.throttler().queued == 1)
        door.throttler().set_failure("container said: fetch: no such bucket", 0.0)
        for code, message in (await waits, await code_of(call(client, "Echo"))):
            assert (code, message) == (UNAVAILABLE, "container said: fetch: no such bucket")


async def test_a_revision_without_pods_in_time() -> None:
    """The revision's own limit of the wait is a deadline like the client's."""
    clock = FakeClock()
    async with grpc_doorway(clock=clock) as (door, port), channel(port) as client:
        door.deploy("app")
        task = asyncio.ensure_future(code_of(call(client, "Echo")))
        await until(lambda: door.throttler().queued == 1)
        clock.advance(301)
        code, message = await task
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "activation-timeout" in message


@pytest.mark.parametrize(
    ("method", "spec", "passes", "late", "says"),
    [
        pytest.param("Hold", {"timeoutSeconds": 20}, 19.9, 0.2, "did not begin to answer", id="whole time, no answer"),
        pytest.param("Drip", {"timeoutSeconds": 20}, 19.9, 0.2, "did not finish", id="whole time, half an answer"),
        pytest.param(
            "Hold",
            {"timeoutSeconds": 20, "responseStartTimeoutSeconds": 5},
            4.9,
            0.2,
            "did not begin to answer within 5 s",
            id="no first byte",
        ),
        pytest.param(
            "Drip", {"timeoutSeconds": 20, "idleTimeoutSeconds": 3}, 2.9, 0.2, "sent nothing for 3 s", id="silence"
        ),
    ],
)
async def test_late(method: str, spec: dict[str, int], passes: float, late: float, says: str) -> None:
    """A pod has the revision's time, as with HTTP/1.1; then it is told to stop."""
    clock = FakeClock()
    async with pod() as made, grpc_doorway(clock=clock) as (door, port), channel(port) as client:
        door.deploy("app", made.port, **spec)
        stream = client.unary_stream(path(method))(b"hello")
        await until(lambda: made.now == 1)
        if method == "Drip":
            await stream.read()
        await door.watched()
        clock.advance(passes)
        await door.watched()
        assert door.throttler().in_flight == 1
        clock.advance(late)
        code, message = await code_of(stream.read())
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert says in message
        await until(lambda: made.now == 0)


async def test_an_early_answer() -> None:
    """A pod that answers before it has all of the request: the answer counts, the rest is not wanted any more."""

    async def behave(line: Line) -> None:
        number = await line.request()
        line.h2.send_headers(number, [*HEAD, ("grpc-status", "7"), ("grpc-message", "no")], end_stream=True)
        await line.flush()
        await line.until(events.StreamReset)
        await answering(line)

    async with scripted(behave) as made, grpc_doorway() as (door, port), raw(port) as client:
        door.deploy("app", made.port)
        number = await client.ask("Add", b"x" * 1000, end=False)
        answer = await client.answer(number)
        assert answer.headers["grpc-status"] == "7"
        await client.until(lambda: answer.reset is not None)
        assert answer.reset == 0
        again = await client.answer(await client.ask("Echo", b""))
        assert again.trailers["grpc-status"] == "0"
        assert len(made.lines) == 1


async def test_the_slot_is_back_after_every_kind_of_end() -> None:
    """The doorway asserts it; here all of them at once."""
    async with served(concurrency=2) as (door, made, client):
        calls = [call(client, "Hold") for _ in range(20)]
        tasks = [asyncio.ensure_future(_outcome(each)) for each in calls]
        await until(lambda: made.now == 2)
        for each in calls[:10]:
            each.cancel()
        made.go_on.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(each == "OK" for each in done) == 10
        await until(lambda: door.throttler().in_flight == 0)

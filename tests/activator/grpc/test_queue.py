"""Calls wait, in order and for as long as they want to, for a pod that has room."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from activator.settings import Waiting
from tests.activator.grpc.doorway import call, channel, code_of, grpc_doorway, path, served
from tests.activator.grpc.pods import pod
from tests.activator.grpc.raw import raw
from tests.support.until import until


async def test_a_hundred_calls_at_once_to_a_service_at_zero() -> None:
    """Each is sent once and answered, never more at a time than a pod takes; the pods come one after the other."""
    async with pod() as one, pod() as two, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app", concurrency=10)
        calls = [asyncio.ensure_future(call(client, "Hold", b"%d" % number)) for number in range(100)]
        await until(lambda: door.throttler().queued == 100)
        assert set(door.poked) == {("default", "app")}
        door.scale("app", one.port)
        await until(lambda: one.now == 10)
        door.scale("app", one.port, two.port)
        await until(lambda: two.now == 10)
        assert (door.throttler().in_flight, door.throttler().queued) == (20, 80)
        one.go_on.set()
        two.go_on.set()
        assert await asyncio.gather(*calls) == [b"%d" % number for number in range(100)]
        sent = [message for each in (one, two) for message, _ in each.seen]
        assert sorted(sent, key=int) == [b"%d" % number for number in range(100)]
        assert (one.peak, two.peak) == (10, 10)


async def test_a_cold_answer_says_so() -> None:
    """As metadata before the first message; a warm one says nothing."""
    async with pod() as made, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app")
        cold = call(client, "Echo")
        task = asyncio.ensure_future(_answer(cold))
        await until(lambda: door.throttler().queued == 1)
        door.scale("app", made.port)
        await task
        assert dict(await cold.initial_metadata())["torpor-cold-start"].startswith("queue=0.")
        warm = call(client, "Echo")
        await warm
        assert "torpor-cold-start" not in dict(await warm.initial_metadata())


async def _answer(awaitable: grpc.aio.UnaryUnaryCall) -> bytes:
    return await awaitable


async def test_an_expired_call_is_never_sent() -> None:
    """It is told in time, its place in the queue is free, and the pod that comes later never sees it."""
    async with pod() as made, grpc_doorway() as (door, port), channel(port) as client, raw(port) as patient:
        door.deploy("app")
        # An official client would watch the time itself.
        late = await patient.ask("Echo", b"late", ("grpc-timeout", "80m"))
        answer = await patient.answer(late)
        assert answer.headers["grpc-status"] == "4"
        assert "0.08 s passed while it waited for a pod" in answer.headers["grpc-message"]
        assert door.throttler().queued == 0
        door.scale("app", made.port)
        assert await call(client, "Echo", b"in time", timeout=30) == b"in time"
        assert [message for message, _ in made.seen] == [b"in time"]


async def test_the_time_in_the_queue_is_taken_from_the_deadline() -> None:
    """The pod is told what is left."""
    async with pod() as made, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app")
        waiting = asyncio.ensure_future(_answer(call(client, "Echo", timeout=30)))
        await until(lambda: door.throttler().queued == 1)
        await asyncio.sleep(0.3)  # time passes: that is what is tested
        door.scale("app", made.port)
        await waiting
        (left,) = made.time_left
        assert left is not None
        assert 25 < left < 29.8


async def test_a_call_that_expires_while_it_is_served() -> None:
    """The pod is told to stop, the client that it was too late."""
    async with served() as (door, made, _), raw(door.server.ports[-1]) as patient:
        await patient.answer(
            await patient.ask("Echo", b"first")
        )  # there is a connection then: the time is for the call
        number = await patient.ask("Hold", b"late", ("grpc-timeout", "500m"))
        answer = await patient.answer(number)
        assert answer.headers["grpc-status"] == "4"
        assert "before the pod had answered" in answer.headers["grpc-message"]
        await until(lambda: made.now == 0)
        assert door.throttler().in_flight == 0


@pytest.mark.parametrize(
    ("said", "status"),
    [
        pytest.param("0n", "4", id="none at all"),
        pytest.param("1n", "4", id="a nanosecond"),
        pytest.param("123456789S", "3", id="too long a number"),
        pytest.param("1", "3", id="no unit"),
        pytest.param("-1S", "3", id="less than nothing"),
    ],
)
async def test_deadlines_that_nobody_can_keep(said: str, status: str) -> None:
    """They are answered at once; what is no deadline is refused."""
    async with grpc_doorway() as (door, port), raw(port) as client:
        door.deploy("app")
        answer = await client.answer(await client.ask("Echo", b"", ("grpc-timeout", said)))
        assert answer.headers["grpc-status"] == status
        assert door.throttler().queued == 0


async def test_a_client_that_cancels_while_it_waits() -> None:
    """Its place is free at once, and its call is never sent."""
    async with pod() as made, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app")
        leaves = call(client, "Echo", b"leaves")
        stays = asyncio.ensure_future(_answer(call(client, "Echo", b"stays")))
        await until(lambda: door.throttler().queued == 2)
        leaves.cancel()
        await until(lambda: door.throttler().queued == 1)
        door.scale("app", made.port)
        assert await stays == b"stays"
        assert [message for message, _ in made.seen] == [b"stays"]
        assert door.throttler().counters.disconnects == 1


@pytest.mark.parametrize("method", ["Hold", "Drip"])
async def test_a_client_that_cancels_while_it_is_served(method: str) -> None:
    """The slot goes to the next at once, and the pod sees that nobody listens any more."""
    async with served(concurrency=1) as (door, made, client):
        leaves = client.unary_stream(path(method))(b"leaves")
        await until(lambda: made.now == 1)
        if method == "Drip":
            await leaves.read()
        stays = asyncio.ensure_future(_answer(call(client, "Echo", b"stays")))
        await until(lambda: door.throttler().queued == 1)
        leaves.cancel()
        assert await stays == b"stays"
        await until(lambda: made.now == 0 and made.cancelled == 1)


async def test_a_client_that_is_gone() -> None:
    """All of its calls are given up, those that wait and those that are served."""
    async with pod() as made, grpc_doorway() as (door, port):
        door.deploy("app", made.port, concurrency=1)
        async with channel(port) as client:
            calls = [asyncio.ensure_future(code_of(call(client, "Hold"))) for _ in range(5)]
            await until(lambda: made.now == 1 and door.throttler().queued == 4)
            (connection,) = door.door.connections
            connection.abort()
            assert {code for code, _ in await asyncio.gather(*calls)} == {grpc.StatusCode.UNAVAILABLE}
        await until(lambda: made.now == 0)
        assert (door.throttler().queued, door.throttler().in_flight) == (0, 0)


async def test_a_full_queue() -> None:
    """Is told as UNAVAILABLE, and when another try is worth it."""
    async with grpc_doorway(waiting=Waiting(queue_limit=1)) as (door, port), channel(port) as client:
        door.deploy("app")
        first = call(client, "Echo")
        task = asyncio.ensure_future(code_of(first))
        await until(lambda: door.throttler().queued == 1)
        second = call(client, "Echo")
        code, message = await code_of(second)
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "queue of default/app is full" in message
        assert dict(await second.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_bytes_that_wait_are_bounded() -> None:
    """What the messages of waiting calls take is counted, and given back."""
    async with pod() as made, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app")
        calls = [asyncio.ensure_future(_answer(call(client, "Echo", b"x" * 10_000))) for _ in range(5)]
        await until(lambda: door.throttler().held > 50_000)
        door.scale("app", made.port)
        await asyncio.gather(*calls)
        assert door.throttler().held == 0


async def test_priority() -> None:
    """Metadata says how urgent a call is, as the header does."""
    async with pod() as made, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app", concurrency=1)
        calls = []
        for priority in ("batch", "interactive"):
            metadata = [("torpor-priority", priority)]
            calls.append(asyncio.ensure_future(_answer(call(client, "Echo", priority.encode(), metadata=metadata))))
            await until(lambda: door.throttler().queued == len(calls))
        door.scale("app", made.port)
        await asyncio.gather(*calls)
        assert [message for message, _ in made.seen] == [b"interactive", b"batch"]

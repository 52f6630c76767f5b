"""What clients ask of their wait: how urgent they are, how long they have, and whose turn it is."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from activator.settings import Waiting
from activator.throttle.foresight import ENOUGH
from tests.activator.proxy.doorway import Doorway, doorway, served
from tests.activator.proxy.pods import OK, Line, answering
from tests.activator.proxy.wire import Answer, Wire, get, post, wire
from tests.support.clock import FakeClock
from tests.support.until import until


async def queue_up(door: Doorway, stack: contextlib.AsyncExitStack, *requests: bytes) -> list[Wire]:
    """Send each on a connection of its own, in this order."""
    clients = []
    for request in requests:
        client = await stack.enter_async_context(wire(door.port))
        await client.send(request)
        clients.append(client)
        await until(lambda: door.throttler().queued == len(clients))
    return clients


async def answers(clients: list[Wire]) -> list[Answer]:
    return [await client.answer() for client in clients]


async def test_interactive_requests_go_before_the_batch() -> None:
    """Each in the order in which they came, and the pod may know."""
    requests = [get(f"/{number}", "Torpor-Priority: batch") for number in range(3)]
    requests += [get("/3"), get("/4", "torpor-priority: Interactive")]
    async with served(answering(OK), concurrency=1) as (door, made), contextlib.AsyncExitStack() as stack:
        door.scale("app")
        clients = await queue_up(door, stack, *requests)
        door.scale("app", made.port)
        assert {each.status for each in await answers(clients)} == {200}
        assert [request.target for request in made.seen] == [b"/3", b"/4", b"/0", b"/1", b"/2"]
        assert made.seen[2].header(b"torpor-priority") == b"batch"


@pytest.mark.parametrize("line", ["Torpor-Priority: urgent", "Torpor-Deadline: soon", "Torpor-Deadline: 0"])
async def test_what_cannot_be_meant_is_refused(line: str) -> None:
    """Whether there is a pod or not."""
    async with served(answering(OK)) as (door, made), wire(door.port) as client:
        answer = await client.ask(get("/", line))
        assert (answer.status, answer.reason) == (400, "InvalidInput")
        assert line.partition(":")[0] in json.loads(answer.body)["error"]
        assert made.seen == []


async def test_clients_take_turns() -> None:
    """By credential where they share an address."""
    requests = [get(f"/many-{number}", "Authorization: Bearer a") for number in range(5)]
    requests += [get("/one", "Authorization: Bearer b")]
    async with served(answering(OK), concurrency=1) as (door, made), contextlib.AsyncExitStack() as stack:
        door.scale("app")
        clients = await queue_up(door, stack, *requests)
        door.scale("app", made.port)
        await answers(clients)
        assert [request.target for request in made.seen][:3] == [b"/many-0", b"/one", b"/many-1"]


async def test_a_deadline_that_passes_in_the_queue_is_an_answer_at_once() -> None:
    """504, exactly then and not at the next look; the request never reaches a pod."""
    async with served(answering(OK)) as (door, made), wire(door.port) as hurried, wire(door.port) as patient:
        door.scale("app")
        await patient.send(get("/patient"))
        answer = await hurried.ask(get("/hurried", "Torpor-Deadline: 30ms"))
        assert (answer.status, answer.reason) == (504, "DeadlineExceeded")
        assert "0.03 s that the request gave itself" in json.loads(answer.body)["error"]
        assert door.throttler().queued == 1
        door.scale("app", made.port)
        assert (await patient.answer()).status == 200
        assert made.request.target == b"/patient"
        assert (await hurried.ask(get("/again"))).status == 200, "the connection goes on"


async def test_a_deadline_that_passes_at_the_pod_frees_the_slot() -> None:
    """The pod sees that nobody waits any more."""

    async def silent(line: Line) -> None:
        await line.request()
        await line.ended()

    async with served(silent, concurrency=1) as (door, made), wire(door.port) as client:
        answer = await client.ask(get("/", "Torpor-Deadline: 50ms"))
        assert (answer.status, answer.reason) == (504, "DeadlineExceeded")
        assert "did not finish its answer" in json.loads(answer.body)["error"]
        await until(lambda: made.open == 0)
        assert door.throttler().in_flight == 0


async def test_a_deadline_that_passes_within_the_answer_ends_it() -> None:
    """What came is the client's; a half answer is never made to look whole."""

    async def half(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        await line.ended()

    async with served(half) as (door, made), wire(door.port) as client:
        await client.send(get("/", "Torpor-Deadline: 100ms"))
        assert (await client.rest()).endswith(b"2\r\nhi\r\n")
        await until(lambda: made.open == 0)


async def test_an_answer_in_time_is_one_and_the_pod_knows_what_was_left() -> None:
    """The time in the queue is taken off."""
    clock = FakeClock()
    async with served(answering(OK), clock=clock) as (door, made), wire(door.port) as client:
        door.scale("app")
        await client.send(post(b"hello", "Torpor-Deadline: 60s"))
        await until(lambda: door.throttler().queued == 1)
        clock.advance(20)
        door.scale("app", made.port)
        assert (await client.answer()).status == 200
        assert made.request.header(b"torpor-deadline") == b"40000ms"
        assert made.request.body == b"hello"
        clock.advance(100)
        await door.watched()
        assert (await client.ask(get())).status == 200


async def test_a_pipelined_request_has_its_time_from_when_it_is_its_turn() -> None:
    """It cannot be answered before those that were sent before it."""
    clock = FakeClock()
    async with served(answering(OK), clock=clock) as (door, made), wire(door.port) as client:
        door.scale("app")
        await client.send(get("/first") + get("/second", "Torpor-Deadline: 10"))
        await until(lambda: door.throttler().queued == 1)
        clock.advance(20)
        door.scale("app", made.port)
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 200
        assert made.seen[1].header(b"torpor-deadline") == b"10000ms"


async def test_a_deadline_that_passes_while_connecting_is_never_sent() -> None:
    """The slot was granted, the connection is made, and the time is over."""
    clock = FakeClock()
    async with served(answering(OK), concurrency=1, clock=clock) as (door, made), wire(door.port) as client:
        door.scale("app")
        await client.send(get("/", "Torpor-Deadline: 60"))
        await until(lambda: door.throttler().queued == 1)
        door.scale("app", made.port)  # connecting begins here and cannot have ended yet
        clock.advance(60)
        assert (await client.answer()).status == 504
        await until(lambda: made.open == 1)
        assert made.seen == []


async def test_a_client_without_time_for_a_cold_start_hears_so_at_once() -> None:
    """503 with the time that is left of the start; the service is woken all the same."""
    clock = FakeClock()
    async with served(answering(OK), clock=clock) as (door, made), wire(door.port) as client:
        for _ in range(ENOUGH):
            door.scale("app")
            await client.send(get())
            await until(lambda: door.throttler().queued == 1)
            clock.advance(12)
            door.scale("app", made.port)
            assert (await client.answer()).status == 200
            door.scale("app")
            clock.advance(3600)
        poked = len(door.poked)
        answer = await client.ask(get("/", "Torpor-Deadline: 2"))
        assert (answer.status, answer.reason) == (503, "ColdStartTooSlow")
        assert answer.header(b"retry-after") == b"12"
        assert len(door.poked) == poked + 1
        clock.advance(4)
        answer = await client.ask(get("/", "Torpor-Deadline: 2"))
        assert answer.header(b"retry-after") == b"8"
        door.scale("app", made.port)
        assert (await client.ask(get("/", "Torpor-Deadline: 2"))).status == 200


async def test_bodies_of_those_who_wait_are_bounded_together() -> None:
    """Whoever brings more than there is room for is told; those before keep theirs."""
    waiting = Waiting(queue_bytes=100_000)
    async with doorway(waiting=waiting) as door, contextlib.AsyncExitStack() as stack:
        door.deploy("app")
        (first,) = await queue_up(door, stack, post(b"a" * 60_000))
        async with wire(door.port) as second:
            answer = await second.ask(post(b"b" * 60_000))
            assert (answer.status, answer.reason) == (503, "QueueFull")
            assert "bytes are kept for" in json.loads(answer.body)["error"]
        async with wire(door.port) as slow:
            await slow.send(post(b"c" * 60_000)[:30_000])
            await until(lambda: door.throttler().queued == 2)
            await slow.send(b"c" * 30_000)
            answer = await slow.answer()
            assert (answer.status, answer.reason) == (503, "QueueFull")
        assert door.throttler().queued == 1
        assert 60_000 < door.budget.held < 61_000
        first.writer.close()
        await until(lambda: door.budget.held == 0)


async def test_a_queue_that_is_full_says_when_to_come_back() -> None:
    """At least a second: whole ones are what the header can say."""
    async with doorway(waiting=Waiting(queue_limit=1)) as door, contextlib.AsyncExitStack() as stack:
        door.deploy("app")
        await queue_up(door, stack, get())
        async with wire(door.port) as client:
            answer = await client.ask(get())
        assert (answer.status, answer.reason, answer.header(b"retry-after")) == (503, "QueueFull", b"1")


async def test_deadlines_of_requests_that_were_sent_ahead_begin_with_their_turn() -> None:
    """A request that waits for the one before it on its own connection has not arrived yet."""
    gate = asyncio.Event()

    async def behave(line: Line) -> None:
        while await line.request() is not None:
            await gate.wait()
            await line.send(OK)

    async with served(behave) as (door, made), wire(door.port) as client:
        await client.send(get("/first") + get("/second", "Torpor-Deadline: 1s"))
        await until(lambda: len(made.seen) == 1)
        gate.set()
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]

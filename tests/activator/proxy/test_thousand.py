"""A thousand requests to a service at zero: all are answered, in order of arrival per priority, none is sent twice."""

from __future__ import annotations

import asyncio
import contextlib
import resource

import pytest

from activator.throttle.line import BATCH_SHARE
from tests.activator.proxy.doorway import doorway
from tests.activator.proxy.pods import OK, Line, pod
from tests.activator.proxy.wire import get, wire
from tests.support.clock import FakeClock
from tests.support.until import until

pytestmark = pytest.mark.slow

REQUESTS = 1000
BATCH_EVERY = 5
"""Of so many one is of the batch."""
CONCURRENCY = 10
START_S = 3.0


def target(number: int) -> bytes:
    return b"/batch/%d" % number if number % BATCH_EVERY == 0 else b"/interactive/%d" % number


def request(number: int) -> bytes:
    priority = target(number).split(b"/")[1].decode()
    return get(target(number).decode(), f"Torpor-Priority: {priority}")


async def test_a_thousand_requests_to_a_service_at_zero() -> None:
    """The pod comes after three seconds, and serves ten at a time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    clock = FakeClock()
    busy = peak = 0

    async def behave(line: Line) -> None:
        nonlocal busy, peak
        while await line.request() is not None:
            busy += 1
            peak = max(peak, busy)
            await asyncio.sleep(0)  # others may come in between
            busy -= 1
            await line.send(OK)

    async with pod(behave) as made, doorway(clock=clock) as door, contextlib.AsyncExitStack() as stack:
        door.deploy("app", concurrency=CONCURRENCY)
        clients = [await stack.enter_async_context(wire(door.port)) for _ in range(REQUESTS)]
        for number, client in enumerate(clients):
            await client.send(request(number))
            await until(lambda number=number: door.throttler().queued == number + 1)
        clock.advance(START_S)
        await door.watched()
        assert made.seen == []
        door.scale("app", made.port)
        answers = await asyncio.gather(*(client.answer() for client in clients))
        assert {answer.status for answer in answers} == {200}
        assert {answer.body for answer in answers} == {b"ok"}
        assert all((answer.header(b"torpor-cold-start") or b"").startswith(b"queue=3.000;") for answer in answers)

        # Each reached the pod once, and nothing else did.
        sent = [each.target for each in made.seen]
        assert sorted(sent) == sorted(target(number) for number in range(REQUESTS))
        assert 1 < peak <= CONCURRENCY

        # In which they were let go is in which they had come; ten connections deliver those that are on their way
        # together in any order, so the pod may see neighbours swapped.
        for kind in (b"interactive", b"batch"):
            came = [number for number in range(REQUESTS) if target(number).split(b"/")[1] == kind]
            served = [int(each.split(b"/")[2]) for each in sent if each.split(b"/")[1] == kind]
            places = {number: place for place, number in enumerate(came)}
            late = max(abs(places[number] - place) for place, number in enumerate(served))
            assert late < CONCURRENCY, kind

        # The batch was slowed down and not starved: a tenth of the turns while both waited.
        interactive = [place for place, each in enumerate(sent) if each.startswith(b"/interactive")]
        before = sum(each.startswith(b"/batch") for each in sent[: interactive[-1]])
        expected = len(interactive) / (BATCH_SHARE - 1)
        assert abs(before - expected) <= CONCURRENCY


async def test_one_at_a_time_they_are_in_order_exactly() -> None:
    """With one place there is one order."""
    async with contextlib.AsyncExitStack() as stack:

        async def behave(line: Line) -> None:
            while await line.request() is not None:
                await line.send(OK)

        made = await stack.enter_async_context(pod(behave))
        door = await stack.enter_async_context(doorway())
        door.deploy("app", concurrency=1)
        clients = [await stack.enter_async_context(wire(door.port)) for _ in range(100)]
        for number, client in enumerate(clients):
            await client.send(request(number))
            await until(lambda number=number: door.throttler().queued == number + 1)
        door.scale("app", made.port)
        assert {(await client.answer()).status for client in clients} == {200}
        sent = [each.target for each in made.seen]
        batch = [target(number) for number in range(100) if number % BATCH_EVERY == 0]
        urgent = [target(number) for number in range(100) if number % BATCH_EVERY]
        expected = []
        while urgent:
            expected += urgent[: BATCH_SHARE - 1]
            del urgent[: BATCH_SHARE - 1]
            if batch and (urgent or len(expected) % BATCH_SHARE == BATCH_SHARE - 1):
                expected.append(batch.pop(0))
        assert sent == expected + batch

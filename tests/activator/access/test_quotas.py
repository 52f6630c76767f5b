"""Rates, requests at once, priorities, and whose an answer is."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest

from tests.activator.access.gate import (
    BOB,
    GOOD,
    ID,
    KEYS,
    POLICY,
    ask,
    bearer,
    entry,
    gate,
    scene,
)
from tests.activator.grpc.doorway import call, channel, code_of
from tests.activator.grpc.pods import pod as call_pod
from tests.activator.proxy.wire import get, wire
from tests.support.clock import FakeClock
from tests.support.until import until

LATER = "Prefer: respond-async"


async def test_a_key_s_rate() -> None:
    """Who is too fast is told when to come back, by every header there is for it, and others are not slowed down."""
    clock = FakeClock()
    async with scene(clock=clock) as (made, behind):
        made.keys({ID: entry(GOOD, rate="2/s", burst="3"), "bobb1234": entry(BOB)})
        answers = [await ask(made, get("/", bearer(GOOD))) for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert [answer.header(b"ratelimit") for answer in answers] == [
            b'"key";r=2;t=1',
            b'"key";r=1;t=1',
            b'"key";r=0;t=2',
            b'"key";r=0;t=2',
            b'"key";r=0;t=2',
        ]
        assert {answer.header(b"ratelimit-policy") for answer in answers} == {b'"key";q=2;w=1'}
        assert answers[-1].header(b"retry-after") == b"1"
        assert answers[-1].reason == "OverLimit"
        assert (await ask(made, get("/", bearer(BOB)))).header(b"ratelimit") is None
        clock.advance(0.5)
        assert [(await ask(made, get("/", bearer(GOOD)))).status for _ in range(2)] == [200, 429]
        made.keys({ID: entry(GOOD, rate="2/s", burst="3", name="renamed")})
        assert (await ask(made, get("/", bearer(GOOD)))).status == 429  # what was used is used
        assert len(behind.seen) == 5


async def test_a_service_s_rate() -> None:
    """All of a service's callers share it; who is refused by it has used nothing of its own."""
    clock = FakeClock()
    async with scene(f"{POLICY}; anonymous=all; rate=60/m; burst=2", clock=clock) as (made, _):
        made.keys({ID: entry(GOOD, rate="1/h")})
        assert [(await ask(made, get())).status for _ in range(3)] == [200, 200, 429]
        refused = await ask(made, get("/", bearer(GOOD)))
        assert (refused.status, refused.header(b"ratelimit")) == (429, b'"key";r=1;t=0, "service";r=0;t=2')
        clock.advance(1)
        passed = await ask(made, get("/", bearer(GOOD)))
        assert (passed.status, passed.header(b"ratelimit")) == (200, b'"key";r=0;t=3600, "service";r=0;t=2')
        assert passed.header(b"ratelimit-policy") == b'"key";q=1;w=3600, "service";q=60;w=60'
        clock.advance(1)
        assert (await ask(made, get("/", bearer(GOOD)))).header(b"retry-after") == b"3599"


async def test_requests_at_once() -> None:
    """Those that wait count too; a place is free again when a request has ended, however that was."""
    async with scene() as (made, behind):
        made.keys({ID: entry(GOOD, concurrency="2")})
        made.door.scale("app")
        async with contextlib.AsyncExitStack() as stack:
            first, second, third = [await stack.enter_async_context(wire(made.port)) for _ in range(3)]
            for client in (first, second):
                await client.send(get("/", bearer(GOOD)))
            await until(lambda: made.door.throttler().queued == 2)
            answer = await third.ask(get("/", bearer(GOOD)))
            assert (answer.status, answer.header(b"retry-after")) == (429, b"1")
            assert answer.header(b"ratelimit-policy") == b'"key-concurrency";q=2;qu="concurrent-requests"'
            first.reset()
            await until(lambda: made.door.throttler().queued == 1)
            await third.send(get("/", bearer(GOOD)))
            await until(lambda: made.door.throttler().queued == 2)
            made.door.scale("app", behind.port)
            assert (await second.answer()).status == (await third.answer()).status == 200
            for _ in range(3):
                assert (await third.ask(get("/", bearer(GOOD)))).status == 200
        assert made.locks._sources.rings["default", KEYS].keys[ID.encode()].usage.in_flight == 0


async def test_pipelined_requests_take_a_place_when_it_is_their_turn() -> None:
    """Requests that a client sent ahead are not at once."""
    async with scene(f"{POLICY}; concurrency=1") as (made, _), wire(made.port) as client:
        await client.send(*[get("/", bearer(GOOD))] * 5)
        assert [(await client.answer()).status for _ in range(5)] == [200] * 5
        assert made.guard().usage.in_flight == 0


@pytest.mark.parametrize("way", ["done", "cancelled", "given up before"])
async def test_answers_for_later_hold_a_place_until_they_are_done(way: str) -> None:
    """Also while nobody listens."""
    async with scene(f"{POLICY}; concurrency=1") as (made, behind), wire(made.port) as client:
        made.door.scale("app")
        if way == "given up before":
            async with wire(made.port) as other:
                await other.send(get("/", LATER, bearer(GOOD), "Content-Length: 9", method="POST"), b"half")
                await until(lambda: made.guard().usage.in_flight == 1)
                assert (await client.ask(get("/", LATER, bearer(GOOD)))).status == 429
        else:
            accepted = await client.ask(get("/", LATER, bearer(GOOD)))
            location = (accepted.header(b"location") or b"").decode()
            assert (await client.ask(get("/", LATER, bearer(GOOD)))).status == 429
            if way == "done":
                made.door.scale("app", behind.port)
                await until(lambda: made.guard().usage.in_flight == 0)
                assert (await client.ask(get(location, bearer(GOOD)))).body == b"ok"
            assert (await client.ask(get(location, bearer(GOOD), method="DELETE"))).status == 204
        await until(lambda: made.guard().usage.in_flight == 0)


async def test_limits_of_calls() -> None:
    """gRPC has RESOURCE_EXHAUSTED, and when to try again."""
    clock = FakeClock()
    async with gate(clock=clock) as made, call_pod() as behind:
        made.keys({ID: entry(GOOD, rate="1/s"), "bobb1234": entry(BOB, concurrency="1")})
        made.door.port_name = "h2c"
        made.door.revise("app")
        made.door.scale("app", behind.port)
        made.route("app", POLICY)
        alice, bob = [("x-api-key", GOOD)], [("x-api-key", BOB)]
        async with channel(made.grpc_port) as client:
            good = call(client, "Echo", metadata=alice)
            await good
            assert dict(await good.initial_metadata())["ratelimit"] == '"key";r=0;t=1'
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call(client, "Echo", metadata=alice)
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            told = dict(error.value.trailing_metadata())
            assert (told["grpc-retry-pushback-ms"], told["ratelimit-policy"]) == ("1000", '"key";q=1;w=1')
            held = call(client, "Hold", metadata=bob)
            await until(lambda: behind.now == 1)
            assert (await code_of(call(client, "Hold", metadata=bob)))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
            held.cancel()
            await until(lambda: behind.now == 0)
            behind.go_on.set()
            assert await call(client, "Hold", metadata=bob) == b"hello"


async def test_a_key_bounds_the_priority() -> None:
    """Who has a key for the batch is served after those who have not, whatever it says of itself."""
    async with scene(concurrency=1) as (made, behind):
        made.keys({ID: entry(GOOD), "bobb1234": entry(BOB, priority="batch")})
        made.door.scale("app")
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(wire(made.port)) for _ in range(6)]
            lines = [(bearer(BOB), "Torpor-Priority: interactive")] * 2 + [(bearer(BOB),), (bearer(GOOD),)]
            lines += [(bearer(GOOD), "Torpor-Priority: interactive"), (bearer(GOOD), "Torpor-Priority: batch")]
            for number, (client, more) in enumerate(zip(clients, lines, strict=True), 1):
                await client.send(get(f"/{number}", *more))
                await until(lambda number=number: made.door.throttler().queued == number)
            made.door.scale("app", behind.port)
            await asyncio.gather(*(client.answer() for client in clients))
        served = [request.target for request in behind.seen]
        assert served[:2] == [b"/4", b"/5"]
        priorities = {request.target: request.header(b"torpor-priority") for request in behind.seen}
        assert [priorities[b"/%d" % number] for number in range(1, 7)] == [
            *[b"batch"] * 3,
            None,
            b"interactive",
            b"batch",
        ]


async def test_who_asked_comes_for_the_answer() -> None:
    """Another caller of the same service, or the same by another service's name, finds nothing; polling is free."""
    clock = FakeClock()
    async with scene(clock=clock) as (made, _), wire(made.port) as client:
        made.keys({ID: entry(GOOD, rate="1/h"), "bobb1234": entry(BOB)})
        made.door.revise("open")
        made.route("open", None)
        location = (await client.ask(get("/", LATER, bearer(GOOD)))).header(b"location")
        assert location is not None
        path = location.decode()
        for _ in range(3):
            await until(lambda: made.door.throttler().in_flight == 0)
            assert (await client.ask(get(path, bearer(GOOD)))).status == 200
        assert (await client.ask(get(path, bearer(BOB)))).status == 404
        assert (await client.ask(get(path, bearer(BOB), method="DELETE"))).status == 404
        assert (await client.ask(get(path, host="open.default.example.test"))).status == 404
        assert (await client.ask(get(path))).status == 401
        assert (await client.ask(get(path, bearer(GOOD)))).body == b"ok"

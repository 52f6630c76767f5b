"""All kinds of calls, as official clients and servers make them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from tests.activator.grpc.doorway import call, channel, code_of, grpc_doorway, path, served
from tests.activator.grpc.pods import pod
from tests.support.until import until


async def test_unary() -> None:
    """One message there, one back; the slot is free again, and the call is counted as HTTP's are."""
    async with served(concurrency=1) as (door, made, client):
        assert await call(client, "Echo", b"hello") == b"hello"
        assert [message for message, _ in made.seen] == [b"hello"]
        assert door.throttler().in_flight == 0
        counters = door.throttler().counters
        assert (counters.codes[2], sum(counters.durations.counts)) == (1, 1)


async def test_stream_of_answers() -> None:
    """Each message comes by itself, in order."""
    async with served() as (_, _, client):
        answers = [int(message) async for message in client.unary_stream(path("Count"))(b"300")]
        assert answers == list(range(300))


async def test_answers_come_as_they_are_made() -> None:
    """The first does not wait for the last, and the slot is taken until then."""
    async with served() as (door, made, client):
        stream = client.unary_stream(path("Drip"))(b"drop")
        assert await stream.read() == b"drop"
        assert door.throttler().in_flight == 1
        made.go_on.set()
        assert await stream.read() == b"drop"
        assert await stream.read() is grpc.aio.EOF
        await until(lambda: door.throttler().in_flight == 0)


async def test_stream_of_requests() -> None:
    """Many messages there, one answer."""

    async def messages() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 1000

    async with served() as (_, _, client):
        assert await client.stream_unary(path("Add"))(messages()) == b"200 200000"


async def test_both_at_once() -> None:
    """An answer to each message before the next is sent."""
    async with served() as (door, _, client):
        talk = client.stream_stream(path("Talk"))()
        for word in (b"one", b"two", b"three"):
            await talk.write(word)
            assert await talk.read() == word.upper()
        assert door.throttler().in_flight == 1
        await talk.done_writing()
        assert await talk.read() is grpc.aio.EOF
        assert await talk.code() is grpc.StatusCode.OK


async def test_metadata() -> None:
    """Both ways, before and after the messages, text and binary, one key with two values; ours is added."""
    given = [
        ("x-echo-text", "a b"),
        ("x-echo-bytes-bin", bytes(range(256))),
        ("x-echo-twice", "1"),
        ("x-echo-twice", "2"),
    ]
    async with served() as (_, made, client):
        made_call = call(client, "Echo", metadata=given)
        await made_call
        first = [pair for pair in await made_call.initial_metadata() if pair[0].startswith("x-echo-")]
        last = [
            ("x-echo-" + key[11:], value)
            for key, value in await made_call.trailing_metadata()
            if key[:11] == "x-trailing-"
        ]
        assert [tuple(pair) for pair in first] == given
        assert last == given
        _, seen = made.seen[0]
        assert seen["x-echo-bytes-bin"] == bytes(range(256))
        assert seen["x-forwarded-host"] == "app.default.example.test"
        assert seen["x-forwarded-proto"] == "http"
        assert seen["forwarded"].startswith("for=127.0.0.1;")
        assert seen["x-request-id"]


async def test_status_of_the_service() -> None:
    """What a service says of its error comes through, to the last letter; it counts as the caller's fault."""
    async with served() as (door, _, client):
        assert await code_of(call(client, "Fail")) == (grpc.StatusCode.FAILED_PRECONDITION, "nö: 100 % wrong")
        assert await code_of(call(client, "None")) == (grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        counters = door.throttler().counters
        assert (counters.codes[4], counters.codes[5], counters.upstream_errors) == (1, 1, 0)


@pytest.mark.parametrize("size", [0, 1, 16_384, 65_536, 5_000_000])
async def test_sizes(size: int) -> None:
    """Messages of any size, cut into frames as each side takes them."""
    message = bytes(range(256)) * (size // 256) + b"!" * (size % 256)
    async with served() as (_, _, client):
        assert await call(client, "Echo", message) == message


async def test_many_calls_on_one_connection() -> None:
    """They are told apart, and each client's connection is one."""
    async with served() as (door, _, client):
        answers = await asyncio.gather(*(call(client, "Echo", b"%d" % number) for number in range(500)))
        assert answers == [b"%d" % number for number in range(500)]
        assert len(door.door.connections) == 1


async def test_many_connections() -> None:
    """Each client has its own."""
    async with pod() as made, grpc_doorway() as (door, port):
        door.deploy("app", made.port)

        async def ask(number: int) -> bytes:
            async with channel(port) as client:
                return await call(client, "Echo", b"%d" % number)

        assert await asyncio.gather(*map(ask, range(20))) == [b"%d" % number for number in range(20)]


async def test_by_authority_and_by_path() -> None:
    """The host names the service; on any other host the path does."""
    async with served() as (_, _, client), served() as (door, _, _):
        _, port = door.server.ports
        async with channel(port, host="localhost:1234") as other:
            by_path = other.unary_unary("/serving/default/app/test.Pod/Echo")
            assert await by_path(b"by path") == b"by path"
            code, message = await code_of(call(other, "Echo"))
            assert code is grpc.StatusCode.UNIMPLEMENTED
            assert "no service answers to the host" in message
        assert await call(client, "Echo") == b"hello"


async def test_a_pod_gets_few_connections() -> None:
    """Calls share connections to a pod, a hundred each."""
    async with served() as (door, made, client):
        calls = [asyncio.ensure_future(call(client, "Hold")) for _ in range(150)]
        door.throttler().terms  # noqa: B018
        await until(lambda: made.now + door.throttler().queued == 150 and made.now >= 64)
        made.go_on.set()
        await asyncio.gather(*calls)
        (lines,) = door.pool.http2._open.values()
        assert len(lines) == 2

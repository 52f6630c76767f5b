"""Every call has an id, here, in its pod and on its answer; and its session's pod, where its metadata names one."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from tests.activator.grpc.doorway import call, channel, grpc_doorway, served
from tests.activator.grpc.pods import pod
from tests.activator.grpc.raw import raw
from tests.activator.grpc.scripted import Line, scripted
from tests.support.until import until
from torpor.spec import names


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param([("x-request-id", "mine-1")], "mine-1", id="the client's own"),
        pytest.param([], None, id="none"),
        pytest.param([("x-request-id", "not an id")], None, id="with spaces"),
        pytest.param([("x-request-id", "a" * 201)], None, id="too long"),
    ],
)
async def test_the_answer_has_the_id_that_the_pod_was_told(given: list[tuple[str, str]], kept: str | None) -> None:
    """The client's, or one that is made."""
    async with served() as (_, made, client):
        asked = call(client, "Echo", metadata=given)
        assert await asked == b"hello"
        said = dict(await asked.initial_metadata())["x-request-id"]
        assert said == made.seen[0][1]["x-request-id"]
        assert said == kept if kept else said not in {value for _, value in given}


async def test_two_calls_of_one_connection_have_two_ids() -> None:
    """And so do answers to both kinds of clients."""
    async with served() as (_, made, client):
        await asyncio.gather(*(call(client, "Echo") for _ in range(3)))
        assert len({metadata["x-request-id"] for _, metadata in made.seen}) == 3


@pytest.mark.parametrize("host", ["app.default.example.test", "nobody.test"])
async def test_an_error_of_ours_has_it_too(host: str) -> None:
    """To a revision that cannot start, or to no service at all."""
    async with grpc_doorway() as (door, port), channel(port, host) as client:
        door.deploy("app")
        door.throttler().set_failure("it is broken", 0.0)
        asked = call(client, "Echo", metadata=[("x-request-id", "mine")])
        with pytest.raises(grpc.aio.AioRpcError):
            await asked
        assert dict(await asked.trailing_metadata())["x-request-id"] == "mine"


async def test_a_pod_that_says_an_id_of_its_own() -> None:
    """Does not put another beside ours."""

    async def behave(line: Line) -> None:
        number = await line.request()
        line.h2.send_headers(number, [(":status", "200"), ("x-request-id", "its own")], end_stream=True)
        await line.flush()
        await line.reader.read()

    async with scripted(behave) as made, grpc_doorway() as (door, port), raw(port) as client:
        door.deploy("app", made.port)
        answer = await client.answer(await client.ask("Echo", b"", ("x-request-id", "mine")))
        assert answer.headers["x-request-id"] == "mine"


@pytest.mark.parametrize(
    ("affinity", "metadata"),
    [
        pytest.param("header=X-Session", "x-session", id="by header"),
        pytest.param("cookie=sid", "cookie", id="by a cookie that the client brings"),
    ],
)
async def test_calls_of_a_session_come_to_one_pod(affinity: str, metadata: str) -> None:
    """Whichever it is; sessions spread over all pods."""
    async with pod() as one, pod() as two, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app", one.port, two.port)
        door.revise("app", annotations={names.SESSION_AFFINITY: affinity})
        for _ in range(4):
            for session in range(12):
                value = f"sid=s{session}" if metadata == "cookie" else f"s{session}"
                await call(client, "Echo", b"%d" % session, metadata=[(metadata, value)])
        first, second = ({message for message, _ in each.seen} for each in (one, two))
        assert first
        assert second
        assert not first & second


async def test_a_strict_session_waits_for_its_pod() -> None:
    """Another pod is free, and does not get its call."""
    async with pod() as one, pod() as two, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app", one.port, two.port, concurrency=1)
        door.revise("app", concurrency=1, annotations={names.SESSION_AFFINITY: "header=X-Session; strict"})
        calls = [asyncio.ensure_future(held(client)) for _ in range(2)]
        await until(lambda: door.throttler().queued == 1 and one.now + two.now == 1)
        one.go_on.set()
        two.go_on.set()
        assert await asyncio.gather(*calls) == [b"hello"] * 2
        assert sorted((one.peak, two.peak)) == [0, 1]


async def held(client: grpc.aio.Channel) -> bytes:
    return await call(client, "Hold", metadata=[("x-session", "mine")])

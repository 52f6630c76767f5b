"""A service at zero answers who only wants to know how it is, and is not woken by that."""

from __future__ import annotations

import json

import pytest

from tests.activator.access.gate import GOOD, POLICY, bearer, scene
from tests.activator.proxy.doorway import Doorway, served
from tests.activator.proxy.pods import Line, answering
from tests.activator.proxy.wire import get, post, wire
from tests.support.clock import FakeClock
from torpor.spec import names

METADATA = b'{"name":"m","platform":"p"}'
SAYS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Of: m\r\nContent-Length: %d\r\n\r\n%b"
ANSWER = SAYS % (len(METADATA), METADATA)


def annotate(door: Doorway, words: str) -> None:
    door.revise("app", annotations={names.ANSWER_WHILE_ASLEEP: words})


async def test_by_default_every_request_wakes() -> None:
    """A request is a request."""
    async with served(answering(ANSWER)) as (door, made), wire(door.port) as client:
        door.scale("app")
        await client.send(get("/v2/health/live"))
        await door.watched()
        assert len(door.poked) == 1
        door.scale("app", made.port)
        assert (await client.answer()).body == METADATA


async def test_health_is_answered_without_waking() -> None:
    """Alive, not ready, asleep; the connection goes on, and an inference wakes as ever."""
    async with served(answering(ANSWER)) as (door, made), wire(door.port) as client:
        annotate(door, "health")
        door.scale("app")
        live = await client.ask(get("/v2/health/live"))
        assert (live.status, json.loads(live.body)) == (200, {"live": True})
        assert live.header(b"torpor-state") == b"asleep"
        ready = await client.ask(get("/v2/models/m/ready", method="HEAD"), method="HEAD")
        assert (ready.status, ready.body) == (503, b"")
        assert door.poked == []
        assert door.throttler().counters.codes[2] == 1
        await client.send(post(b"{}", path="/v2/models/m/infer"))
        async with wire(door.port) as other:
            await door.watched()
            assert (await other.ask(get("/v2/health/live"))).header(b"torpor-state") == b"waking"
        door.scale("app", made.port)
        assert (await client.answer()).status == 200
        assert (await client.ask(get("/v2/health/live"))).body == METADATA, "awake, the pod answers"


@pytest.mark.parametrize("line", ["User-Agent: kube-probe/1.32", "K-Network-Probe: activator"])
async def test_probes_never_wake(line: str) -> None:
    """There is somebody who takes requests, which is what they ask; with a pod it is the pod's to say."""
    async with served(answering(ANSWER)) as (door, made), wire(door.port) as client:
        door.scale("app")
        probed = await client.ask(get("/whatever", line))
        assert (probed.status, probed.header(b"torpor-state")) == (200, b"asleep")
        assert door.poked == []
        door.scale("app", made.port)
        assert (await client.ask(get("/whatever", line))).body == METADATA


async def test_metadata_is_what_the_model_said_last() -> None:
    """With its age; of an answer that cannot be told again nothing is remembered."""
    clock = FakeClock()
    async with served(answering(ANSWER), clock=clock) as (door, _), wire(door.port) as client:
        annotate(door, "metadata-or-503")
        assert (await client.ask(get("/v2/models/m"))).body == METADATA
        assert (await client.ask(get("/v2/models/secret", "Authorization: Bearer x"))).status == 200
        door.scale("app")
        clock.advance(90)
        said = await client.ask(get("/v2/models/m"))
        assert (said.status, said.body, said.header(b"age")) == (200, METADATA, b"90")
        assert (said.header(b"x-of"), said.header(b"torpor-state")) == (b"m", b"asleep")
        assert said.header(b"content-type") == b"application/json"
        unknown = await client.ask(get("/v2/models/secret"))
        assert (unknown.status, unknown.reason) == (503, "Unavailable")
        assert door.poked == []
        assert (await client.ask(get("/v2/models/m"))).status == 200, "the connection goes on"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(SAYS.replace(b"200 OK", b"404 Not Found") % (2, b"no"), id="an error"),
        pytest.param(SAYS.replace(b"X-Of: m", b"Set-Cookie: a=b") % (2, b"{}"), id="somebody's cookie"),
        pytest.param(SAYS.replace(b"X-Of: m", b"Cache-Control: private") % (2, b"{}"), id="somebody's own"),
        pytest.param(SAYS.replace(b"X-Of: m", b"Content-Encoding: gzip") % (2, b"{}"), id="compressed"),
        pytest.param(SAYS.replace(b"X-Of: m", b"Vary: Accept") % (2, b"{}"), id="chosen by what the client prefers"),
        pytest.param(SAYS % (100_000, b"x" * 100_000), id="too long"),
    ],
)
async def test_what_is_not_remembered_wakes(answer: bytes) -> None:
    """It passes as it is, and that is all."""
    async with served(answering(answer)) as (door, made), wire(door.port) as client:
        annotate(door, "metadata")
        first = await client.ask(get("/v2/models/m"))
        door.scale("app")
        await client.send(get("/v2/models/m"))
        await door.watched()
        assert len(door.poked) == 1
        door.scale("app", made.port)
        assert (await client.answer()).body == first.body


async def test_what_is_said_to_a_caller_is_not_remembered_for_others() -> None:
    """Though the pod is not shown the credential by which it was let in."""
    policy = f"{POLICY}; anonymous=all"
    async with scene(policy, answering(ANSWER)) as (made, _), wire(made.port) as client:
        made.door.revise("app", annotations={names.ANSWER_WHILE_ASLEEP: "metadata"})
        metadata = made.door.throttler().metadata
        assert metadata is not None
        assert (await client.ask(get("/v2/models/m", bearer(GOOD)))).body == METADATA
        assert metadata.get(b"/v2/models/m") is None
        assert (await client.ask(get("/v2/models/m"))).body == METADATA
        assert metadata.get(b"/v2/models/m") is not None


async def test_an_answer_in_chunks_is_remembered_whole() -> None:
    """And told with its length."""

    async def chunks(line: Line) -> None:
        while await line.request() is not None:
            await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
            await line.send(b"1\r\n\n\r\n0\r\n\r\n")

    async with served(chunks) as (door, _), wire(door.port) as client:
        annotate(door, "metadata")
        assert (await client.ask(get("/v1/models"))).body == b"{}\n"
        door.scale("app")
        said = await client.ask(get("/v1/models"))
        assert (said.body, said.header(b"content-length")) == (b"{}\n", b"3")


async def test_a_word_that_is_none_is_served_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    """And the log says so."""
    async with served(answering(ANSWER)) as (door, _), wire(door.port) as client:
        annotate(door, "healthy")
        door.scale("app")
        await client.send(get("/v2/health/live"))
        await door.watched()
        assert len(door.poked) == 1
        assert "answer-while-asleep" in caplog.text

"""Requests of HTTP/1.1 that a pod behind the bridge has not looked at."""

from __future__ import annotations

import pytest
from h2 import events

from tests.activator.grpc.doorway import grpc_doorway
from tests.activator.grpc.scripted import Line, answering, scripted
from tests.activator.proxy.wire import get, post, wire
from tests.support.clock import FakeClock
from tests.support.until import until


async def test_a_deadline_is_told_once_to_each_pod() -> None:
    """With what is left then; the line of the first try is not in the second."""
    heads: list[list[str]] = []

    async def behave(line: Line) -> None:
        for refuses in (True, False):
            event = await line.until(events.RequestReceived)
            assert isinstance(event, events.RequestReceived)
            heads.append([str(value) for name, value in event.headers if name == "torpor-deadline"])
            if refuses:
                await line.refuse(event.stream_id)
            else:
                await line.answer(event.stream_id)
        await line.read()

    clock = FakeClock()
    async with scripted(behave) as made, grpc_doorway(clock=clock) as (door, _), wire(door.port) as client:
        door.deploy("app")
        await client.send(get("/", "Torpor-Deadline: 60"))
        await until(lambda: door.throttler().queued == 1)
        clock.advance(20)
        door.scale("app", made.port)
        assert (await client.answer()).status == 200
        assert heads == [["40000ms"], ["40000ms"]]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(get(), 200, id="no body"),
        pytest.param(post(b"hello"), 502, id="a body of known length"),
        pytest.param(
            get("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n0\r\n\r\n", 502, id="a chunked body"
        ),
    ],
)
@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after it waited"])
async def test_a_body_that_is_gone_is_not_sent_again_without(request_: bytes, status: int, *, waits: bool) -> None:
    """What had no body is; the client of any other is told, for a pod must not take half a request for a whole one."""

    async def behave(line: Line) -> None:
        number = await line.request()
        await line.until(events.StreamEnded)
        await line.refuse(number)
        await answering(line)

    async with scripted(behave) as made, grpc_doorway() as (door, _), wire(door.port) as client:
        door.deploy("app", *([] if waits else [made.port]))
        await client.send(request_)
        if waits:
            door.scale("app", made.port)
        assert (await client.answer()).status == status
        assert len(made.seen) == (2 if status == 200 else 1)

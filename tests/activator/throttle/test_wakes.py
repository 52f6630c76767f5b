"""Pods that requests waited for are asked how their start went, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson
import pytest

from activator.throttle.pod import Endpoint, Pod, Stages
from activator.throttle.wakes import Wakes
from tests.activator.throttle.objects import KEY, container, pod
from tests.support.clock import FakeClock
from tests.support.cluster import FakeCluster
from tests.support.until import until
from torpor.kube import Change, Informer
from torpor.spec import names
from torpor.spec.kinds import POD, Object

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REPORT = {"state": "ready", "started_at": 100.0, "listening_at": 100.25, "ready_at": 101.0}
STARTED = container(running={"startedAt": "2026-01-01T00:00:00Z"})
STATUS = {"since": "2026-01-01T00:00:02Z", "ready": True}


def answers(body: bytes, status: str = "200 OK") -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"get /progress http/1.1\r\n")
        assert b"accept: application/json\r\n" in head
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    return answer


async def hangs_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@contextlib.asynccontextmanager
async def listening(answer: Answer) -> AsyncIterator[int]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def wakes_of(annotations: dict[str, str], clock: FakeClock | None = None) -> Wakes:
    informer = Informer(FakeCluster(), POD)  # type: ignore[arg-type]
    informer.items[KEY[0], "p"] = pod("p", STARTED, annotations=annotations, **STATUS)
    return Wakes(informer, clock or FakeClock())


async def learned(answer: Answer, annotations: dict[str, str]) -> Stages | None:
    """Return what is known of a pod once it was asked."""
    async with listening(answer) as port:
        wakes, woken = wakes_of(annotations), Pod(Endpoint("p", "uid", "127.0.0.1", port), 1)
        try:
            wakes.woke(KEY, woken)
            await until(lambda: not wakes._asking)
        finally:
            await wakes.close()
        return woken.stages


@pytest.mark.parametrize(
    ("answer", "stages"),
    [
        pytest.param(answers(orjson.dumps(REPORT)), Stages(0.25, 0.75), id="it says"),
        pytest.param(answers(b"{}"), Stages(2.0, None), id="it says nothing of times"),
        pytest.param(answers(b"[1, 2]"), Stages(2.0, None), id="it says something else"),
        pytest.param(answers(b"<html>", "404 Not Found"), Stages(2.0, None), id="it does not know the path"),
        pytest.param(hangs_up, Stages(2.0, None), id="it hangs up"),
        pytest.param(is_silent, Stages(2.0, None), id="it is silent"),
    ],
)
async def test_a_pod_that_reports_its_progress_is_asked(answer: Answer, stages: Stages) -> None:
    """What it does not say, Kubernetes does."""
    assert await learned(answer, {names.PROGRESS_PATH: "/progress"}) == stages


async def test_a_pod_that_reports_nothing_is_not_asked() -> None:
    """Its status is known already, so that the first response has it for sure."""

    async def refuses(*_: object) -> None:
        pytest.fail("it was asked")

    assert await learned(refuses, {}) == Stages(2.0, None)


async def test_a_pod_that_is_not_known_is_let_be() -> None:
    """The watch of pods may be behind."""
    wakes = wakes_of({})
    unknown = Pod(Endpoint("q", "uid", "127.0.0.1", 1), 1)
    wakes.woke(KEY, unknown)
    await wakes.close()
    assert unknown.stages is None


async def test_closing_does_not_wait_for_a_pod_that_is_silent() -> None:
    """Nothing runs on afterwards."""
    async with listening(is_silent) as port:
        wakes = wakes_of({names.PROGRESS_PATH: "/progress"})
        wakes.woke(KEY, Pod(Endpoint("p", "uid", "127.0.0.1", port), 1))
        async with asyncio.timeout(0.4):
            await wakes.close()
        assert not wakes._asking


WAITING = container(waiting={"reason": "ContainerCreating"})


def change(old: Object | None, new: Object | None) -> Change:
    return Change(POD, (KEY[0], "p"), old, new)


def seen(*steps: tuple[float, Object | None]) -> Stages | None:
    """Return what is known of a pod that woke after these changes; before each so many seconds pass."""
    clock = FakeClock()
    wakes, old = wakes_of({}, clock), None
    for seconds, obj in steps:
        clock.advance(seconds)
        wakes.pod_changed(change(old, obj))
        old = obj
    clock.advance(0.15)
    woken = Pod(Endpoint("p", "uid", "127.0.0.1", 1), 1)
    wakes.woke(KEY, woken)
    return woken.stages


CREATED = pod("p", WAITING, uid="1")
RUNS = pod("p", STARTED, uid="1")


@pytest.mark.parametrize(
    ("steps", "start_s"),
    [
        pytest.param([(0, CREATED), (3, RUNS)], 0.15, id="from when it was seen to run"),
        pytest.param([(0, CREATED), (3, RUNS), (0.1, RUNS)], 0.25, id="not from a later change"),
        pytest.param([(0, CREATED), (1, RUNS), (9, CREATED), (5, RUNS)], 0.15, id="a second try begins anew"),
        pytest.param([(0, RUNS)], 2.0, id="it ran before we looked: Kubernetes says it, to the second"),
        pytest.param([(0, CREATED), (1, RUNS), (5, None)], 2.0, id="one that is gone is forgotten"),
        pytest.param(
            [(0, CREATED), (1, RUNS), (5, pod("p", STARTED, uid="2"))], 2.0, id="one of the same name is another"
        ),
    ],
)
def test_a_start_is_timed_by_our_own_clock(steps: list[tuple[float, Object | None]], start_s: float) -> None:
    """A request that took 0.2 s must not be told that its pod took 0.7 s to start."""
    stages = seen(*steps)
    assert stages is not None
    assert stages.start_s == pytest.approx(start_s)

"""Pods that requests wait for are asked how far they are, over real sockets: each once, however many want to know."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import orjson
import pytest

from activator.waiting import watching
from activator.waiting.stages import SCHEDULE, START, WAKE, Stage
from activator.waiting.watching import Watching
from tests.activator.throttle.objects import BACK_OFF, KEY, LABELS, RUNNING, container, pod
from tests.support.clock import FakeClock
from tests.support.until import until
from torpor.kube import Change
from torpor.spec import names
from torpor.spec.kinds import POD, Object


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "ASK_EVERY_S", 0.01)


class Reporter:
    """A pod that says how far it is, and counts who asks."""

    def __init__(self) -> None:
        self.port = 0
        self.asked = 0
        self.document: object = {}
        self.silent = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        if not self.silent:
            body = orjson.dumps(self.document)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
        else:
            await reader.read()
        writer.close()


@contextlib.asynccontextmanager
async def reporter() -> AsyncIterator[Reporter]:
    made = Reporter()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.watching = Watching(self.clock)
        self._known: dict[str, Object] = {}

    def tell(self, name: str, obj: Object | None) -> None:
        """Tell of a pod as the informer does."""
        old = self._known.pop(name, None)
        if obj is not None:
            self._known[name] = obj
        self.watching.pod_changed(Change(POD, (KEY[0], name), old, obj))

    def start(self, name: str, port: int) -> None:
        annotations = {names.PROGRESS_PATH: "/progress", names.POD_PORT: str(port)}
        obj = pod(name, container(running=RUNNING), annotations=annotations)
        obj["status"]["podIP"] = "127.0.0.1"
        self.tell(name, obj)

    def sees(self, stage: Stage) -> Callable[[], bool]:
        return lambda: self.watching.look(KEY) == stage


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[World]:
    made = World()
    try:
        yield made
    finally:
        await made.watching.close()
        assert not made.watching._asking


def fetching(percent: int) -> object:
    stage = {"name": "fetch", "seconds": None}
    return {"state": "loading", "stages": [stage], "bytes_done": percent, "bytes_total": 100}


async def test_a_pod_is_followed_from_nothing_to_its_load() -> None:
    """By its status until it reports itself."""
    async with world() as made, reporter() as one:
        assert made.watching.look(KEY) == WAKE
        made.tell("p", pod("p", container(waiting=BACK_OFF)))
        assert made.watching.look(KEY) == SCHEDULE
        made.start("p", one.port)
        assert made.watching.look(KEY) == START
        one.document = fetching(42)
        await until(made.sees(Stage("fetch", 42)))
        made.start("p", one.port)
        assert made.watching.look(KEY) == Stage("fetch", 42), "a change of its object is no step back"
        one.document = fetching(43)
        await until(made.sees(Stage("fetch", 43)))
        made.tell("p", None)
        assert made.watching.look(KEY) == WAKE


async def test_a_pod_is_asked_once_however_many_want_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand clients are one question."""
    monkeypatch.setattr(watching, "ASK_EVERY_S", 60)
    async with world() as made, reporter() as one:
        one.document = fetching(1)
        made.start("p", one.port)
        for _ in range(1000):
            made.watching.look(KEY)
        await until(made.sees(Stage("fetch", 1)))
        assert one.asked == 1


async def test_the_first_of_several_pods_counts() -> None:
    """Whoever is silent is not held against the others."""
    async with world() as made, reporter() as slow, reporter() as quick, reporter() as mute:
        slow.document, quick.document, mute.silent = fetching(10), fetching(60), True
        for name, each in (("a", slow), ("b", quick), ("c", mute)):
            made.start(name, each.port)
        await until(made.sees(Stage("fetch", 60)))


async def test_when_nobody_wants_to_know_nobody_is_asked() -> None:
    """And what was said is forgotten: it would be old."""
    async with world() as made, reporter() as one:
        one.document = fetching(5)
        made.start("p", one.port)
        await until(made.sees(Stage("fetch", 5)))
        made.clock.advance(watching.INTEREST_S + 1)
        await until(lambda: not made.watching._asking)
        assert made.watching._said == {}
        asked = one.asked
        assert made.watching.look(KEY) == START
        await until(lambda: one.asked > asked)


async def test_a_pod_that_does_not_listen_yet_is_one_that_starts() -> None:
    """Refused connections are no news."""
    async with world() as made:
        async with reporter() as gone:
            pass
        made.start("p", gone.port)
        made.watching.look(KEY)
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(10)))
        assert made.watching.look(KEY) == START


async def test_a_pod_that_is_ending_or_of_no_revision_is_nobodys() -> None:
    """It ends no wait."""
    async with world() as made:
        made.tell("p", pod("p", container(running=RUNNING), deletionTimestamp="2026-01-01T00:00:00Z"))
        made.tell("q", pod("q", container(running=RUNNING), labels={}))
        assert made.watching.look(KEY) == WAKE
        made.tell("q", pod("q", container(running=RUNNING), labels=LABELS))
        assert made.watching.look(KEY) == START
        made.tell("q", pod("q", container(running=RUNNING), labels={}))
        assert made.watching.look(KEY) == WAKE

"""A local copy that stays equal to what the API holds, whatever the connection does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.kube.server import served
from tests.support.until import until
from torpor.aio.backoff import Backoff
from torpor.kube import Change, Cluster, Informer
from torpor.kube.trim import Leaf, trimmer
from torpor.spec.kinds import POD, Object

OWN = Leaf.OWN
SOON = Backoff(first_s=0.001, limit_s=0.01)


class Api:
    """Pods, and a way to end watches as real servers do."""

    def __init__(self) -> None:
        self.version = 1
        self.pods: dict[str, Object] = {}
        self.lists = 0
        self.watches: list[str] = []
        """The resourceVersion each watch began from."""
        self.log: list[tuple[int, str, Object]] = []
        self.news = asyncio.Condition()
        self.oldest = 0
        self.refuse: int | None = None
        self.end_at_once = False
        self.refused = 0
        self.epoch = 0
        self.open: set[web.StreamResponse] = set()

    async def put(self, name: str, **more: Any) -> None:
        await self._change("MODIFIED" if name in self.pods else "ADDED", name, more)

    async def remove(self, name: str) -> None:
        await self._change("DELETED", name, {})

    async def _change(self, type_: str, name: str, more: dict[str, Any]) -> None:
        self.version += 1
        pod = {"metadata": {"name": name, "namespace": "default", "resourceVersion": str(self.version)}, **more}
        self.pods[name] = pod
        if type_ == "DELETED":
            del self.pods[name]
        async with self.news:
            self.log.append((self.version, type_, pod))
            self.news.notify_all()

    def tear(self) -> None:
        """Every open watch loses its connection."""
        for response in list(self.open):
            assert response._req is not None
            assert response._req.transport is not None
            response._req.transport.abort()

    async def end(self) -> None:
        """Every open watch ends politely, as after its timeout."""
        async with self.news:
            self.epoch += 1
            self.news.notify_all()

    def compact(self) -> None:
        """Forget the history: older versions are gone."""
        self.oldest = self.version

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.refuse is not None:
            self.refused += 1
            return web.json_response({"message": "refused"}, status=self.refuse)
        if "watch" not in request.query:
            self.lists += 1
            metadata = {"resourceVersion": str(self.version)}
            return web.json_response({"metadata": metadata, "items": list(self.pods.values())})
        since = int(request.query["resourceVersion"])
        self.watches.append(str(since))
        response = web.StreamResponse()
        await response.prepare(request)
        if since < self.oldest:
            await self._send(response, "ERROR", {"code": 410, "message": "too old"})
            return response
        if self.end_at_once:
            return response
        self.open.add(response)
        epoch = self.epoch
        try:
            while True:
                async with self.news:
                    await self.news.wait_for(lambda since=since: self.version > since or self.epoch > epoch)
                    if self.epoch > epoch:
                        return response
                    fresh = [entry for entry in self.log if entry[0] > since]
                for version, type_, pod in fresh:
                    since = version
                    await self._send(response, type_, pod)
        except ConnectionError:
            return response
        finally:
            self.open.discard(response)

    async def _send(self, response: web.StreamResponse, type_: str, obj: Object) -> None:
        await response.write(orjson.dumps({"type": type_, "object": obj}) + b"\n")


@contextlib.asynccontextmanager
async def informing(
    cluster: Cluster, trim: Callable[[Object], Object] = lambda obj: obj
) -> AsyncIterator[tuple[Informer, list[str]]]:
    """Run an informer of pods that writes down what it is told."""
    told: list[str] = []

    def tell(change: Change) -> None:
        sign = "+" if change.old is None else "-" if change.new is None else "~"
        told.append(sign + change.key[1])

    informer = Informer(cluster, POD, tell, backoff=SOON, trim=trim)
    task = asyncio.create_task(informer.run())
    try:
        await asyncio.wait_for(informer.synced(), 5)
        yield informer, told
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def api() -> Api:
    return Api()


@pytest.fixture
async def cluster(api: Api, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with served(api.handle, tmp_path) as cluster:
        yield cluster


async def test_changes_are_told_in_order(api: Api, cluster: Cluster) -> None:
    """What was there is told first, then each change once, with old and new."""
    await api.put("a")
    async with informing(cluster) as (informer, told):
        assert told == ["+a"]
        await api.put("b")
        await api.put("a", spec={"x": 1})
        await api.remove("b")
        await until(lambda: len(told) == 4)
        assert told == ["+a", "+b", "~a", "-b"]
        assert informer.get("a", "default") == api.pods["a"]
        assert informer.get("b", "default") is None


async def test_a_torn_watch_loses_nothing(api: Api, cluster: Cluster) -> None:
    """What changed, came and went while there was no watch is told after it, as one difference each."""
    for name in ("stays", "changes", "goes"):
        await api.put(name)
    async with informing(cluster) as (informer, told):
        told.clear()
        await until(lambda: api.open)
        api.refuse = 503
        api.tear()
        await until(lambda: api.refused)
        await api.put("changes", spec={"x": 1})
        await api.put("comes")
        await api.put("blinks")
        await api.remove("blinks")
        await api.remove("goes")
        api.refuse = None
        await until(lambda: len(told) == 3)
        assert sorted(told) == ["+comes", "-goes", "~changes"]
        assert {name for _, name in informer.items} == set(api.pods)
        await api.put("later")
        await until(lambda: told[-1] == "+later")


async def test_a_version_that_is_gone_means_a_new_list(api: Api, cluster: Cluster) -> None:
    """410: the history is compacted, so the difference to a fresh list is told."""
    await api.put("a")
    async with informing(cluster) as (_, told):
        lists = api.lists
        await until(lambda: api.open)
        api.end_at_once = True
        await api.end()
        await until(lambda: not api.open)
        await api.put("b")
        api.compact()
        api.end_at_once = False
        await until(lambda: told == ["+a", "+b"])
        assert api.lists > lists


async def test_a_watch_that_ends_in_peace_goes_on_from_its_version(
    api: Api, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No list again: the next watch begins where the last one ended."""
    monkeypatch.setattr("torpor.kube.informer.SHORT_WATCH_S", -1.0)
    await api.put("a")
    api.end_at_once = True
    async with informing(cluster) as (_, told):
        await until(lambda: len(api.watches) >= 3)
        api.end_at_once = False
        await api.put("b")
        await until(lambda: told == ["+a", "+b"])
        assert api.lists == 1
        assert set(api.watches) <= {"2", "3"}


async def test_watches_that_end_at_once_are_no_busy_loop(api: Api, cluster: Cluster) -> None:
    """A server that ends every watch politely is asked ever more slowly."""
    api.end_at_once = True
    informer = Informer(cluster, POD, backoff=Backoff(first_s=0.2, limit_s=10))
    task = asyncio.create_task(informer.run())
    await until(lambda: len(api.watches) == 2)
    began = asyncio.get_running_loop().time()
    await until(lambda: len(api.watches) == 3)
    assert asyncio.get_running_loop().time() - began > 0.15
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_not_synced_before_the_first_list(api: Api, cluster: Cluster) -> None:
    """Until the API has answered once, an absent object may well exist."""
    api.refuse = 503
    informer = Informer(cluster, POD, backoff=SOON)
    task = asyncio.create_task(informer.run())
    waiting = asyncio.create_task(informer.synced())
    await until(lambda: api.lists == 0 and not waiting.done())
    api.refuse = None
    await asyncio.wait_for(waiting, 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_bad_handler_stops_nothing(api: Api, cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """A handler that fails on one object is logged; the next handler and the next object are told all the same."""
    told: list[str] = []

    def fail(_: Change) -> None:
        raise RuntimeError("bug")

    informer = Informer(cluster, POD, fail, backoff=SOON)
    informer.subscribe(lambda change: told.append(change.key[1]))
    task = asyncio.create_task(informer.run())
    await asyncio.wait_for(informer.synced(), 5)
    await api.put("a")
    await api.put("b")
    await until(lambda: told == ["a", "b"])
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_not_kept_is_seen_by_nobody(api: Api, cluster: Cluster) -> None:
    """From the list and from the watch alike: `items` and changes have what is left after trimming."""
    await api.put("listed", spec={"a": 1, "b": 2})
    async with informing(cluster, trim=trimmer({"metadata": OWN, "spec": {"a": OWN}})) as (informer, told):
        await api.put("watched", spec={"a": 3, "b": 4})
        await api.put("listed", spec={"a": 5, "b": 6})
        await until(lambda: len(told) == 3)
        assert {name: pod["spec"] for (_, name), pod in informer.items.items()} == {
            "listed": {"a": 5},
            "watched": {"a": 3},
        }
        names = [(name, pod["metadata"]["name"]) for (_, name), pod in informer.items.items()]
        assert all(name is its for name, its in names), "a key is no memory of what was trimmed"

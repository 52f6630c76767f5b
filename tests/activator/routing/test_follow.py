"""The router's table follows what the API says, many changes at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from activator.access.guard import Guard, Sources
from activator.routing.follow import Follower
from activator.routing.table import Router, build
from tests.activator.routing.routes import configuration, route, to
from tests.support.cluster import FakeCluster
from tests.support.until import until
from torpor.kube import Informer
from torpor.spec.kinds import CONFIGURATION, ROUTE, Object


class Queues:
    """Fits `activator.routing.follow.Queues`, and notes what it is told."""

    def __init__(self) -> None:
        self.expected: dict[tuple[str, str], str] = {}
        self.sent_on: list[tuple[tuple[str, str], tuple[str, str] | None]] = []

    def expect(self, key: tuple[str, str], why: str = "") -> None:
        self.expected[key] = why

    def send_on(self, key: tuple[str, str], choose: Callable[[], tuple[str, str] | None]) -> None:
        self.sent_on.append((key, choose()))


class Followed:
    """A router, and the cluster that it follows."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.informers = [Informer(self.cluster, kind) for kind in (ROUTE, CONFIGURATION)]  # type: ignore[arg-type]
        self.router = Router(build((), "example.test"))
        self.queues = Queues()
        self.follower = Follower(self.router, "example.test", *self.informers, self.queues, lambda: 0.5)

    def leads(self, name: str = "app") -> list[str]:
        entry = self.router.table.by_path.get(("default", name))
        return [] if entry is None else [revision for _, revision in entry.traffic.revisions]


@contextlib.asynccontextmanager
async def followed() -> AsyncIterator[Followed]:
    made = Followed()
    tasks = [asyncio.create_task(informer.run()) for informer in made.informers]
    await asyncio.gather(*(informer.synced() for informer in made.informers))
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        made.follower.close()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_routes_come_change_and_go() -> None:
    """Each change is in the table soon, and whoever has queues is told of the revisions."""
    async with followed() as world:
        world.cluster.put(ROUTE, route("app", to("app-1")))
        await until(lambda: world.leads() == ["app-1"])
        world.cluster.put(ROUTE, route("app", to("app-1", 50), to("app-2", 50)))
        await until(lambda: world.leads() == ["app-1", "app-2"])
        world.cluster.remove(ROUTE, "app", "default")
        await until(lambda: not world.router.table.by_path)
        assert world.queues.expected == {("default", "app-1"): "", ("default", "app-2"): ""}
        assert world.queues.sent_on == []


async def test_a_route_without_status_follows_its_configuration() -> None:
    """Who waited for it to lead anywhere is sent on; the status, once there is one, has the last word."""
    async with followed() as world:
        world.cluster.put(ROUTE, route("app"))
        await until(lambda: ("default", "app") in world.router.table.by_path)
        assert world.leads() == []
        room = ("default", "route app")
        assert world.queues.expected == {room: "default/app has no traffic: it has no revision yet"}
        world.cluster.put(CONFIGURATION, configuration("app", "app-1"))
        await until(lambda: world.leads() == ["app-1"])
        assert world.queues.sent_on == [(room, ("default", "app-1"))]
        world.cluster.put(CONFIGURATION, configuration("app", "app-2"))
        await until(lambda: world.leads() == ["app-2"])
        world.cluster.put(ROUTE, route("app", to("app-1")))
        await until(lambda: world.leads() == ["app-1"])
        world.cluster.put(CONFIGURATION, configuration("app", "app-3"))
        world.cluster.put(ROUTE, route("other", to("other-1")))
        await until(lambda: world.leads("other") == ["other-1"])
        assert world.leads() == ["app-1"]


async def test_many_changes_make_one_table() -> None:
    """A thousand Routes that come at once are read once each, and put together a few times at most."""
    async with followed() as world:
        tables = set()
        for number in range(1000):
            world.cluster.put(ROUTE, route(f"app-{number}", to(f"app-{number}-1")))
        while len(world.router.table.by_path) < 1000:
            tables.add(id(world.router.table))
            await asyncio.sleep(0)
        assert len(tables) <= 3
        assert len(world.queues.expected) == 1000


async def test_a_route_that_cannot_be_read_leaves_the_others_in_peace(caplog: pytest.LogCaptureFixture) -> None:
    """What it said before holds, and the log names it."""
    async with followed() as world:
        world.cluster.put(ROUTE, route("app", to("app-1")))
        await until(lambda: world.leads() == ["app-1"])
        world.cluster.put(ROUTE, route("app", {"revisionName": "app-2", "percent": "half"}))
        world.cluster.put(ROUTE, route("other", to("other-1")))
        await until(lambda: world.leads("other") == ["other-1"])
        assert world.leads() == ["app-1"]
        assert "default/app cannot be read" in caplog.text


async def test_a_route_that_cannot_be_read_has_its_new_lock_all_the_same() -> None:
    """What it said before holds, but not who might call it."""
    async with followed() as world:
        world.cluster.put(ROUTE, route("app", to("app-1"), to("app-1", 0, tag="try")))
        await until(lambda: world.leads() == ["app-1"])
        lock = Guard(("default", "app"), None, Sources())
        world.follower._guard_of = lambda _: lock
        world.cluster.put(ROUTE, route("app", {"revisionName": "app-2", "percent": "half"}))
        await until(lambda: world.router.table.by_path["default", "app"].guard is lock)
        entries = [*world.router.table.by_host.values(), *world.router.table.by_path.values()]
        entries += [tag for entry in entries for tag in entry.tags.values()]
        assert len(entries) == 6
        assert all(entry.guard is lock for entry in entries)


async def test_a_lock_is_taken_in_without_a_change_of_the_route() -> None:
    """When its Namespace has got a policy, for instance."""
    async with followed() as world:
        world.cluster.put(ROUTE, route("app", to("app-1")))
        await until(lambda: world.leads() == ["app-1"])
        lock = Guard(("default", "app"), None, Sources())
        world.follower._guard_of = lambda _: lock
        world.follower.reread([("default", "app")])
        await until(lambda: world.router.table.by_path["default", "app"].guard is lock)


async def test_shares_go_on_where_they_were_when_something_else_changes() -> None:
    """A route whose status is written every second would else send the first revision more than its share."""
    async with followed() as world:
        mirrored = {"annotations": {"torpor.dev/mirror": "shadow=50"}}

        def put(generation: int, *traffic: Object) -> None:
            made = route("app", *traffic)
            made["metadata"] |= mirrored | {"generation": generation}
            made["status"]["observedGeneration"] = generation
            world.cluster.put(ROUTE, made)

        put(1, to("app-1", 75), to("app-2", 25))
        await until(lambda: world.leads() == ["app-1", "app-2"])
        chosen, copied = Counter[str](), 0
        for generation in range(2, 42):
            before = world.router.table
            entry = before.by_path["default", "app"]
            chosen[(entry.traffic.next() or ("", ""))[1]] += 1
            assert entry.mirror is not None
            copied += entry.mirror.due()
            put(generation, to("app-1", 75), to("app-2", 25))
            await until(lambda before=before: world.router.table is not before)
        assert (chosen, copied) == ({"app-1": 30, "app-2": 10}, 20)
        put(100, to("app-1", 50), to("app-2", 50))
        await until(lambda: world.router.table.by_path["default", "app"].traffic.weights == (50, 50))

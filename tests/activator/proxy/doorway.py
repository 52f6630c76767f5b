"""A real door on a real socket, told of its routes, revisions and pods as the informers would tell it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

from activator.proxy.door import Door
from activator.proxy.pool import Pool
from activator.proxy.server import Server
from activator.routing.table import Router, build
from activator.settings import ClientLimits, Deferring, PodLimits, Waiting
from activator.throttle.pod import Pod
from activator.throttle.report import RevisionKey
from activator.throttle.throttler import Budget, Hooks, Throttler
from activator.throttle.throttlers import Throttlers
from activator.waiting.shelf import Shelf
from activator.waiting.stages import WAKE
from tests.activator.proxy.pods import Behave
from tests.activator.proxy.pods import Pod as FakePod
from tests.activator.proxy.pods import pod as fake_pod
from tests.support.until import until
from torpor.aio.clock import Clock, SystemClock
from torpor.kube import Change
from torpor.spec import names
from torpor.spec.kinds import ENDPOINT_SLICE, POD, REVISION, Kind, Object, key_of

NAMESPACE = "default"
DOMAIN = "example.test"


class Doorway:
    """The door, and the world behind it."""

    def __init__(
        self,
        client: ClientLimits,
        pods: PodLimits,
        waiting: Waiting,
        clock: Clock,
        deferring: Deferring | None = None,
    ) -> None:
        self.poked: list[RevisionKey] = []
        self.woken: list[Pod] = []
        self.port_name = "http"
        """As the slices of its pods have it."""
        self._objects: dict[tuple[Kind, tuple[str, str]], Object] = {}
        self._serial = itertools.count(1)
        self._routes: dict[str, Object] = {}
        self.pool = Pool(pods, client.buffered_bytes, clock)
        hooks = Hooks(self.poked.append, lambda _, pod: self.woken.append(pod), self.pool.gone)
        self.budget = Budget(waiting.waiting_bytes)
        self.throttlers = Throttlers(
            waiting.queue_limit,
            waiting.activation_timeout_s,
            hooks,
            clock,
            queue_bytes=waiting.queue_bytes,
            budget=self.budget,
        )
        self.stage = WAKE
        """How far the pods are that requests wait for."""
        self.door = Door(
            Router(build([], DOMAIN)),
            self.throttlers,
            self.pool,
            client,
            clock,
            waiting=waiting,
            shelf=Shelf(deferring or Deferring()),
            stage_of=lambda _: self.stage,
        )
        self.server = Server(self.door)

    @property
    def port(self) -> int:
        return self.server.port

    def throttler(self, name: str = "app") -> Throttler:
        found = self.throttlers.get((NAMESPACE, name))
        assert found is not None
        return found

    async def watched(self) -> None:
        """Have the watch look at everything twice, as it does all the while: what it saw first may have changed."""
        for _ in range(2):
            await asyncio.sleep(0)
            self.server.look()

    def tell(self, kind: Kind, obj: Object | None, key: tuple[str, str] | None = None) -> None:
        """Tell of an object as an informer does; None: it is gone."""
        key = key_of(obj) if obj is not None else key
        assert key is not None
        old = self._objects.pop((kind, key), None)
        if obj is not None:
            self._objects[kind, key] = obj
        handler = {
            REVISION: self.throttlers.revision_changed,
            ENDPOINT_SLICE: self.throttlers.slice_changed,
            POD: self.throttlers.pod_changed,
        }[kind]
        handler(Change(kind, key, old, obj))

    def deploy(self, name: str = "app", *ports: int, concurrency: int = 0, **spec: int) -> None:
        """Make a route, its revision of the same name, and one pod for each port."""
        self.revise(name, concurrency=concurrency, **spec)
        self.route(name, {name: 100})
        self.scale(name, *ports)

    def revise(
        self, name: str, *, concurrency: int = 0, annotations: dict[str, str] | None = None, **spec: int
    ) -> None:
        metadata = {"namespace": NAMESPACE, "name": name, "annotations": annotations or {}}
        self.tell(REVISION, {"metadata": metadata, "spec": {"containerConcurrency": concurrency, **spec}})

    def route(
        self,
        name: str,
        weights: dict[str, int],
        tags: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
    ) -> None:
        traffic: list[Object] = [{"revisionName": each, "percent": weight} for each, weight in weights.items()]
        traffic += [{"revisionName": each, "tag": tag} for tag, each in (tags or {}).items()]
        metadata = {"namespace": NAMESPACE, "name": name, "annotations": annotations or {}}
        self._routes[name] = {"metadata": metadata, "status": {"traffic": traffic}}
        self.door.router.table = build(self._routes.values(), DOMAIN)

    def remove(self, name: str) -> None:
        """Say that a revision is gone."""
        self.tell(REVISION, None, (NAMESPACE, name))

    def scale(self, name: str, *ports: int) -> None:
        """Say which ports are those of the revision's ready pods; a port that goes and comes is a new pod."""
        wanted = {f"{name}-private-{port}": port for port in ports}
        known = [key for kind, key in self._objects if kind is ENDPOINT_SLICE and key[1].startswith(f"{name}-private-")]
        for key in known:
            if key[1] not in wanted:
                self.tell(ENDPOINT_SLICE, None, key)
        for slice_name, port in wanted.items():
            if (NAMESPACE, slice_name) not in known:
                self.tell(
                    ENDPOINT_SLICE,
                    endpoint_slice(slice_name, name, port, f"uid-{next(self._serial)}", port_name=self.port_name),
                )


def endpoint_slice(
    slice_name: str, revision: str, port: int, uid: str, *, ready: bool = True, port_name: str = "http"
) -> Object:
    labels = {names.REVISION: revision, names.SERVICE_NAME: f"{revision}-private"}
    endpoint = {
        "addresses": ["127.0.0.1"],
        "conditions": {"ready": ready, "serving": ready, "terminating": not ready},
        "targetRef": {"kind": "Pod", "name": f"{revision}-{port}", "uid": uid},
    }
    return {
        "metadata": {"namespace": NAMESPACE, "name": slice_name, "labels": labels},
        "endpoints": [endpoint],
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    }


@contextlib.asynccontextmanager
async def doorway(
    client: ClientLimits | None = None,
    pods: PodLimits | None = None,
    waiting: Waiting | None = None,
    clock: Clock | None = None,
    deferring: Deferring | None = None,
) -> AsyncIterator[Doorway]:
    """Listen on a free port, and stop again; every slot must be back by then, and every byte that was kept."""
    made = Doorway(
        client or ClientLimits(), pods or PodLimits(), waiting or Waiting(), clock or SystemClock(), deferring
    )
    await made.server.start("127.0.0.1", 0)
    watching = asyncio.create_task(made.server.watch())
    try:
        yield made
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        for connection in list(made.door.connections):
            connection.abort()
        await until(lambda: not made.door.connections)
        kept = list(made.door.shelf._all.values())
        assert all(each.running is not None or each.done_s is not None for each in kept), (
            "a place on the shelf was lost"
        )
        copies = [copy for lane in made.door.mirroring._lanes.values() for copy in lane.copies]
        assert all(copy.request_done and not copy.behind for copy in copies), "a copy is left of what never came"
        await made.server.drain(0)
        made.door.shelf.close()
        assert all(throttler.in_flight == throttler.queued == 0 for throttler in made.throttlers), "a slot was lost"
        assert made.budget.held == made.door.shelf.held == 0, "bytes were lost"
        made.throttlers.close()
        await made.pool.close()


@contextlib.asynccontextmanager
async def served(
    behave: Behave,
    *,
    concurrency: int = 0,
    client: ClientLimits | None = None,
    limits: PodLimits | None = None,
    clock: Clock | None = None,
    receive_buffer: int | None = None,
    **spec: int,
) -> AsyncIterator[tuple[Doorway, FakePod]]:
    """A door with one service `app`, and one pod behind it."""
    async with fake_pod(behave, receive_buffer=receive_buffer) as made, doorway(client, limits, None, clock) as door:
        door.deploy("app", made.port, concurrency=concurrency, **spec)
        yield door, made

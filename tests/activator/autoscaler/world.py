"""One revision with its Deployment, kubelet, throttler and clock, around a real autoscaler and real informers."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from activator.autoscaler.loop import SAMPLE_S, TICK_S, Autoscaler, Team
from tests.support.clock import FakeClock
from tests.support.cluster import FakeCluster
from torpor.kube import Informer, Recorder
from torpor.spec import names
from torpor.spec.autoscaling import Defaults
from torpor.spec.kinds import DEPLOYMENT, EVENT, REVISION, ROUTE, Object

KEY = ("default", "r1")
NAME = "r1-deployment"


@dataclass(frozen=True)
class Report:
    """Fits `activator.autoscaler.collect.LoadReport`."""

    revision: tuple[str, str]
    average_concurrency: float
    requests: int
    queued: int
    in_flight: int
    ready_pods: int


@dataclass
class Traffic:
    """What the throttlers know of one revision."""

    queued: int = 0
    in_flight: int = 0
    ready_pods: int = 0
    area: float = 0.0
    requests: int = 0
    frozen: bool = False


class FakeThrottlers:
    """Fits `activator.autoscaler.loop.Loads`; tests set the numbers."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._since_s = clock.monotonic()
        self.of: dict[tuple[str, str], Traffic] = {}
        self.frozen: list[tuple[str, str]] = []

    def pass_time(self, seconds: float) -> None:
        for traffic in self.of.values():
            traffic.area += (traffic.queued + traffic.in_flight) * seconds

    def report(self, now_s: float) -> Iterable[Report]:
        seconds, self._since_s = now_s - self._since_s, now_s
        for revision, traffic in self.of.items():
            average = traffic.area / seconds if seconds > 0 else 0.0
            requests, traffic.area, traffic.requests = traffic.requests, 0.0, 0
            yield Report(
                revision=revision,
                average_concurrency=average,
                requests=requests,
                queued=traffic.queued,
                in_flight=traffic.in_flight,
                ready_pods=traffic.ready_pods,
            )

    def freeze_if_idle(self, revision: tuple[str, str]) -> bool:
        traffic = self.of.setdefault(revision, Traffic())
        if traffic.queued or traffic.in_flight:
            return False
        traffic.frozen = True
        self.frozen.append(revision)
        return True

    def thaw(self, revision: tuple[str, str]) -> None:
        self.of[revision].frozen = False


class World:
    """Time passes second by second; pods become ready `start_s` after they were asked for."""

    def __init__(self, defaults: Defaults, start_s: float, concurrency: int, team: Team | None = None) -> None:
        self.clock = FakeClock()
        self.cluster = FakeCluster()
        self.throttlers = FakeThrottlers(self.clock)
        self.start_s = start_s
        self.concurrency = concurrency
        self._starting: list[float] = []
        self._seconds = 0
        self.informers = [Informer(self.cluster, kind) for kind in (DEPLOYMENT, REVISION, ROUTE)]  # type: ignore[arg-type]
        self.recorder = Recorder(self.cluster, "torpor-autoscaler")  # type: ignore[arg-type]
        self.autoscaler = Autoscaler(
            self.cluster,  # type: ignore[arg-type]
            *self.informers,
            loads=self.throttlers,
            recorder=self.recorder,
            clock=self.clock,
            defaults=defaults,
            team=team,
        )

    @property
    def traffic(self) -> Traffic:
        return self.throttlers.of.setdefault(KEY, Traffic())

    @property
    def deployment(self) -> Object:
        return next(obj for obj in self.cluster.all(DEPLOYMENT) if obj["metadata"]["name"] == NAME)

    @property
    def replicas(self) -> int:
        return int(self.deployment["spec"]["replicas"])

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(event["reason"], event["message"]) for event in self.cluster.all(EVENT)]

    def deploy(self, replicas: int, *, ready: bool = True, routed: bool = True, **annotations: str) -> None:
        """Put Revision, Deployment and Route there, as the controller does."""
        values = {names.AUTOSCALING + name.replace("_", "-"): value for name, value in annotations.items()}
        revision: Object = {
            "metadata": {"name": KEY[1], "namespace": KEY[0], "annotations": values},
            "spec": {"containerConcurrency": self.concurrency},
            "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]},
        }
        self.cluster.put(REVISION, revision)
        self.route(KEY[1] if routed else "another")
        metadata = {"name": NAME, "namespace": KEY[0], "labels": {names.REVISION: KEY[1]}}
        self.cluster.put(DEPLOYMENT, {"metadata": metadata, "spec": {"replicas": replicas}, "status": {}})
        if ready:
            self.traffic.ready_pods = replicas

    def route(self, revision: str) -> None:
        route: Object = {
            "metadata": {"name": "route", "namespace": KEY[0]},
            "status": {"traffic": [{"revisionName": revision, "percent": 100}]},
        }
        self.cluster.put(ROUTE, route)

    async def settle(self) -> None:
        """Let every task go as far as it comes without time passing."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def arrive(self, requests: int = 1) -> None:
        """Requests come: to slots where there are some, to the queue where not; that one pokes."""
        self.traffic.requests += requests
        self.traffic.queued += requests
        self._assign()
        for _ in range(self.traffic.queued):
            self.autoscaler.poke(KEY)
        await self.settle()

    def finish(self) -> None:
        """All requests are answered, or their clients hang up."""
        self.traffic.queued = self.traffic.in_flight = 0

    async def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self._seconds += 1
            self.clock.advance(SAMPLE_S)
            self.throttlers.pass_time(SAMPLE_S)
            self._run_kubelet()
            self.autoscaler.sample()
            if self._seconds % round(TICK_S) == 0:
                self.autoscaler.tick()
            await self.settle()

    async def until_replicas(self, replicas: int, limit: int = 1000) -> int:
        """Let time pass until so many are asked for; returns the seconds it took."""
        for second in range(limit):
            if self.replicas == replicas:
                return second
            await self.pass_seconds(1)
        raise TimeoutError(f"{self.replicas} replicas after {limit} s, not {replicas}")

    def _assign(self) -> None:
        room = math.inf if not self.concurrency else self.traffic.ready_pods * self.concurrency
        if self.traffic.ready_pods and not self.traffic.frozen:
            taken = int(min(self.traffic.queued, room - self.traffic.in_flight))
            self.traffic.queued -= taken
            self.traffic.in_flight += taken

    def _run_kubelet(self) -> None:
        if not self.cluster.all(DEPLOYMENT):
            return
        now_s, wanted = self.clock.monotonic(), self.replicas
        ready = self.traffic.ready_pods
        missing = wanted - ready - len(self._starting)
        if missing < 0:
            del self._starting[missing:]
            self.traffic.ready_pods = ready = min(ready, wanted)
        self._starting += [now_s + self.start_s - SAMPLE_S] * missing
        up = sum(due <= now_s for due in self._starting)
        self._starting = [due for due in self._starting if due > now_s]
        if up or ready != (self.deployment["status"].get("readyReplicas") or 0):
            self.traffic.ready_pods = ready + up
            self.cluster.change(DEPLOYMENT, NAME, KEY[0], {"status": {"readyReplicas": ready + up}})
        self._assign()


@contextlib.asynccontextmanager
async def world(
    defaults: Defaults = Defaults(),  # noqa: B008  # frozen
    *,
    start_s: float = 5,
    concurrency: int = 0,
    team: Team | None = None,
) -> AsyncIterator[World]:
    """Run informers and recorder around a world, and stop them again."""
    made = World(defaults, start_s, concurrency, team)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(informer.run()) for informer in made.informers]
        running.append(tasks.create_task(made.recorder.run()))
        await made.settle()
        try:
            yield made
        finally:
            for task in running:
                task.cancel()

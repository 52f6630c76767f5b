"""A whole controller around a cluster in memory; whoever runs the pods is the test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from controller.app import working
from controller.knative.reconcilers import RECONCILERS
from controller.options import Options
from tests.support.clock import FakeClock
from tests.support.cluster import FakeCluster
from torpor.spec import conditions
from torpor.spec.kinds import DEPLOYMENT, EVENT, KSERVICE, Kind, Object


@dataclass
class World:
    """The cluster, and what tests do to it."""

    cluster: FakeCluster
    clock: FakeClock

    def find(self, kind: Kind, name: str) -> Object | None:
        return next((obj for obj in self.cluster.all(kind) if obj["metadata"]["name"] == name), None)

    def get(self, kind: Kind, name: str) -> Object:
        found = self.find(kind, name)
        assert found is not None, f"there is no {kind.kind} {name}"
        return found

    def names(self, kind: Kind) -> list[str]:
        return sorted(obj["metadata"]["name"] for obj in self.cluster.all(kind))

    def apply(self, name: str = "svc", *, image: str = "i", traffic: list[Object] | None = None) -> None:
        """Write a Knative Service, or change its spec, as kubectl does."""
        spec: Object = {"template": {"spec": {"containers": [{"image": image}]}}}
        if traffic is not None:
            spec["traffic"] = traffic
        known = self.find(KSERVICE, name)
        if known is None:
            self.cluster.put(KSERVICE, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
            return
        generation = known["metadata"]["generation"] + (known["spec"] != spec)
        self.cluster.put(KSERVICE, {**known, "spec": spec, "metadata": known["metadata"] | {"generation": generation}})

    def run_pods(self, revision: str, ready: int) -> None:
        """Say of a Deployment what Kubernetes would."""
        body = {"status": {"readyReplicas": ready, "availableReplicas": ready}}
        self.cluster.change(DEPLOYMENT, f"{revision}-deployment", "default", body)

    def scale(self, revision: str, replicas: int) -> None:
        """Ask for so many pods, as the autoscaler does."""
        body = {"spec": {"replicas": replicas}}
        self.cluster.change(DEPLOYMENT, f"{revision}-deployment", "default", body)

    def ready(self, kind: Kind, name: str) -> str:
        obj = self.find(kind, name)
        mark = conditions.read(obj, conditions.READY)
        current = (
            obj is not None and (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
        )
        return mark.status if mark is not None and current else "Unknown"

    def traffic(self, name: str = "svc") -> list[tuple[str, int]]:
        status = self.get(KSERVICE, name).get("status") or {}
        return [(each["revisionName"], each.get("percent", 0)) for each in status.get("traffic") or ()]

    def events(self) -> list[tuple[str, str]]:
        return [(each["involvedObject"]["kind"], each["reason"]) for each in self.cluster.all(EVENT)]

    async def settle(self, fits: Callable[[], object] = lambda: True) -> None:
        """Return when it fits and nothing has been written for a while; fails where that does not come."""
        quiet = 0
        async with asyncio.timeout(20):
            while quiet < QUIET:
                written = self.cluster.written
                await asyncio.sleep(0)
                quiet = quiet + 1 if written == self.cluster.written and fits() else 0
                if quiet == 0:
                    await asyncio.sleep(0.001)  # a back-off after a conflict is real time


QUIET = 200
"""Turns of the loop in which nobody writes: more than any chain of news takes."""


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Run Knative's reconcilers on an empty cluster."""
    made = World(FakeCluster(), FakeClock())
    options = Options("localhost", 8080)
    async with working(RECONCILERS, made.cluster, options, made.clock):  # type: ignore[arg-type]  # it fits
        yield made

"""The activator's data structures as a process, told of so many services that sleep; says what they cost.

Informers, router, throttlers and autoscaler are the activator's own, put together as in `activator/app.py`; only the
API is not there: each list is answered with objects as the controller makes them, read from JSON as from the wire.
Run as `activator_of.py SERVICES`; writes one line of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any, cast

import orjson
import psutil

from activator.autoscaler.loop import Autoscaler
from activator.proxy.pool import Pool
from activator.routing.follow import Follower
from activator.routing.table import Router, build
from activator.settings import ClientLimits, PodLimits
from activator.shapes import known
from activator.throttle.throttler import Hooks
from activator.throttle.throttlers import Throttlers
from activator.throttle.wakes import Wakes
from activator.waiting.watching import Watching
from torpor.aio import garbage
from torpor.aio.clock import SystemClock
from torpor.kube import Cluster, Recorder
from torpor.spec import names
from torpor.spec.autoscaling import Defaults
from torpor.spec.kinds import CONFIGURATION, DEPLOYMENT, ENDPOINT_SLICE, POD, REVISION, ROUTE, Kind, Object

DOMAIN, NAMESPACE = "localhost", "default"
LOOKS, ROUTED = 50, 50_000
_DONE = object()


class Listed:
    """Fits `Cluster` as far as informers ask: so many objects of each kind, and never a change."""

    def __init__(self, services: int) -> None:
        self._services = services

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        assert namespace is None, f"{labels}{fields}: not asked by informers of the activator"
        if kind not in _MAKERS:
            return [], "1"
        return [_made(kind, number) for number in range(self._services)], "1"

    async def watch(self, *_: object, **__: object) -> AsyncGenerator[tuple[str, Object], None]:
        await asyncio.Event().wait()
        yield "BOOKMARK", {}


def _made(kind: Kind, number: int) -> Object:
    name = f"model-{number}"
    labels = {names.SERVICE: name, names.CONFIGURATION: name, names.REVISION: f"{name}-00001"}
    metadata: Object = {
        "name": f"{name}{_SUFFIX[kind]}",
        "namespace": NAMESPACE,
        "uid": f"00000000-0000-4000-8000-{number:012d}",
        "resourceVersion": str(number + 1),
        "generation": 1,
        "creationTimestamp": "2026-11-25T08:00:00Z",
        "labels": {**labels, names.REVISION_UID: f"00000000-0000-4000-8000-{number:012d}"},
        "annotations": {names.CREATOR: "kubernetes-admin", names.AUTOSCALING + "max-scale": "10"},
        "ownerReferences": [
            {
                "apiVersion": "serving.knative.dev/v1",
                "kind": "Configuration",
                "name": name,
                "uid": f"00000000-0000-4000-8000-{number:012d}",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    obj = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **_MAKERS[kind](name)}
    return cast("Object", orjson.loads(orjson.dumps(obj)))


def _pod_spec(name: str) -> Object:
    return {
        "containers": [
            {
                "name": "kserve-container",
                "image": "torpor/predictor",
                "env": [
                    {"name": "TORPOR_MODEL_NAME", "value": name},
                    {"name": "TORPOR_MODEL_FORMAT", "value": "huggingface"},
                    {"name": "STORAGE_URI", "value": f"s3://models/{name}"},
                ],
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": 0}, "successThreshold": 1},
                "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
            }
        ]
    }


def _conditions(*types: str) -> list[Object]:
    return [{"type": type_, "status": "True", "lastTransitionTime": "2026-11-25T08:00:20Z"} for type_ in types]


def _revision(name: str) -> Object:
    spec = {**_pod_spec(name), "containerConcurrency": 4, "timeoutSeconds": 300}
    status = {"conditions": _conditions("Active", "ContainerHealthy", "Ready", "ResourcesAvailable")}
    return {"spec": spec, "status": {**status, "actualReplicas": 0, "desiredReplicas": 0, "observedGeneration": 1}}


def _deployment(name: str) -> Object:
    labels = {names.REVISION: f"{name}-00001", "app": f"{name}-00001"}
    spec = {
        "replicas": 0,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod_spec(name)},
    }
    status = {"conditions": _conditions("Available", "Progressing"), "observedGeneration": 1}
    return {"spec": spec, "status": status}


def _configuration(name: str) -> Object:
    latest = f"{name}-00001"
    spec = {"template": {"metadata": {"annotations": {}}, "spec": _pod_spec(name)}}
    status = {"latestCreatedRevisionName": latest, "latestReadyRevisionName": latest, "observedGeneration": 1}
    return {"spec": spec, "status": {**status, "conditions": _conditions("Ready")}}


def _route(name: str) -> Object:
    url = f"http://{name}.{NAMESPACE}.{DOMAIN}"
    traffic = [{"revisionName": f"{name}-00001", "percent": 100, "latestRevision": True}]
    status: Object = {"url": url, "address": {"url": url}, "traffic": traffic, "observedGeneration": 1}
    spec = {"traffic": [{"configurationName": name, "percent": 100}]}
    return {
        "spec": spec,
        "status": {**status, "conditions": _conditions("AllTrafficAssigned", "IngressReady", "Ready")},
    }


_MAKERS = {REVISION: _revision, DEPLOYMENT: _deployment, CONFIGURATION: _configuration, ROUTE: _route}
_SUFFIX = {REVISION: "-00001", DEPLOYMENT: "-00001-deployment", CONFIGURATION: "", ROUTE: ""}


async def measure(services: int) -> dict[str, float]:
    """Have everything read, let all go to rest, and measure."""
    cluster, clock = cast("Cluster", Listed(services)), SystemClock()
    routes, configurations, revisions = (known(cluster, kind) for kind in (ROUTE, CONFIGURATION, REVISION))
    slices, pods, deployments = (
        known(cluster, kind, labels=names.REVISION) for kind in (ENDPOINT_SLICE, POD, DEPLOYMENT)
    )
    pool = Pool(PodLimits(), ClientLimits().buffered_bytes, clock)
    wakes = Wakes(pods, clock)
    throttlers = Throttlers(1000, 600.0, Hooks(lambda _: None, wakes.woke, pool.gone), clock)
    watching = Watching(clock)
    revisions.subscribe(throttlers.revision_changed)
    slices.subscribe(throttlers.slice_changed)
    for each in (throttlers, wakes, watching):
        pods.subscribe(each.pod_changed)
    router = Router(build((), DOMAIN))
    follower = Follower(router, DOMAIN, routes, configurations, throttlers, random.random)
    recorder = Recorder(cluster, "torpor-autoscaler")
    autoscaler = Autoscaler(cluster, deployments, revisions, routes, throttlers, recorder, clock, Defaults())
    informers = (routes, configurations, revisions, slices, pods, deployments)
    tasks = [asyncio.create_task(informer.run()) for informer in informers]
    try:
        await asyncio.gather(*(informer.synced() for informer in informers))
        follower.rebuild()
        garbage.settle()
        await asyncio.sleep(0)
        stretches = [*_stretches(autoscaler.sampling()), *_stretches(autoscaler.ticking())]
        for _ in range(3):
            _timed(autoscaler.sample, autoscaler.tick)
        ticks = sorted(_timed(autoscaler.sample, autoscaler.tick) for _ in range(LOOKS))
        gc.collect()
        figures = {
            "services": services,
            "rss": psutil.Process().memory_info().rss,
            "first_tick_s": sum(stretches),
            "stretch_s": max(stretches),
            "tick_s": ticks[len(ticks) // 2],
            "route_s": _route_s(router, throttlers, services) if services else 0.0,
        }
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        follower.close()
        throttlers.close()
    return figures


def _timed(*calls: Any) -> float:
    """Return the processor time: what else the machine does is not our business."""
    begin = time.process_time()
    for call in calls:
        call()
    return time.process_time() - begin


def _stretches(steps: Iterator[None]) -> list[float]:
    """Return how long work in slices keeps the event loop at a time, in processor time."""
    kept, going_on = [], True
    while going_on:
        begin = time.process_time()
        going_on = next(steps, _DONE) is not _DONE
        kept.append(time.process_time() - begin)
    return kept


def _route_s(router: Router, throttlers: Throttlers, services: int) -> float:
    """Return what finding a service by its host takes, and its revision's queue; hosts at random, so many are new."""
    dice = random.Random(1)
    hosts = [f"model-{dice.randrange(services)}.{NAMESPACE}.{DOMAIN}".encode() for _ in range(ROUTED)]
    find, get = router.find, throttlers.get
    revisions = {}
    begin = time.process_time()
    for host in hosts:
        entry, _ = find(host, b"/v2/models/m/infer")
        revision = entry.traffic.next()
        revisions[revision] = get(revision)
    took_s = time.process_time() - begin
    assert all(revisions.values()), "every service has a queue"
    return took_s / ROUTED


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1])))))

"""The activator's data plane as a process: its real server, router and throttlers, told of one service.

What the Kubernetes API would say of it is said here once. Run as `door.py PORT BACKEND_PORT [--all-on]`; backend port 0
is a service that has no pod. Limits are set as the activator's are, by TORPOR_ACTIVATOR_... variables.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys

import uvloop
from prometheus_client import CollectorRegistry, generate_latest

from activator.access.guard import Guard, Sources
from activator.access.keys import KeyRing
from activator.export import DoorCollector
from activator.proxy.door import Door
from activator.proxy.pool import Pool
from activator.proxy.server import Server
from activator.routing.table import Router, guarded, merge, read
from activator.settings import ClientLimits, PodLimits, Waiting, from_environment
from activator.throttle.throttler import Budget, Hooks
from activator.throttle.throttlers import Throttlers
from torpor.aio.clock import SystemClock
from torpor.kube import Change
from torpor.spec import names
from torpor.spec.access import parse_access
from torpor.spec.apikeys import KEY_BYTES, digest_of, make_key, write_key_entry
from torpor.spec.kinds import ENDPOINT_SLICE, REVISION, Kind, Object, key_of

NAMESPACE, NAME, DOMAIN = "default", "app", "localhost"
HOST = f"{NAME}.{NAMESPACE}.{DOMAIN}"
ALL_ON = "--all-on"
SESSION = "X-Session"
KEY = make_key("bench", bytes(KEY_BYTES))
SCRAPE_S = 1.0
"""Prometheus' usual pause is fifteen times as long."""


def objects(backend_port: int, *, all_on: bool = False) -> tuple[Object, tuple[tuple[Kind, Object], ...]]:
    """Return the Route, and what the throttlers are told: a Revision and the EndpointSlice of its only pod."""
    metadata = {"namespace": NAMESPACE, "name": NAME}
    traffic = [{"revisionName": NAME, "percent": 100}]
    labels = {names.REVISION: NAME, names.SERVICE_NAME: f"{NAME}-private"}
    pod = {"addresses": ["127.0.0.1"], "conditions": {"ready": True}, "targetRef": {"name": "pod", "uid": "1"}}
    slice_ = {
        "metadata": {**metadata, "labels": labels},
        "endpoints": [pod],
        "ports": [{"name": "http", "port": backend_port}],
    }
    annotations = {names.SESSION_AFFINITY: f"header={SESSION}"} if all_on else {}
    spec = {"containerConcurrency": 1000 if all_on else 0}
    revision = {"metadata": {**metadata, "annotations": annotations}, "spec": spec}
    route = {"metadata": metadata, "status": {"traffic": traffic}}
    return route, ((REVISION, revision), *(((ENDPOINT_SLICE, slice_),) if backend_port else ()))


def lock() -> Guard:
    """Return a lock that one key opens, with limits that are never reached."""
    sources, (id_, digest) = Sources(), (KEY.split("_")[1], digest_of(KEY.encode()))
    entry = write_key_entry(digest, name="bench", rate="1000000/s", burst="1000000", concurrency="1000000")
    data = {id_: base64.b64encode(entry.encode()).decode()}
    secret = {"metadata": {"namespace": NAMESPACE, "name": "keys"}, "data": data}
    sources.rings[NAMESPACE, "keys"] = KeyRing.read(secret)
    return Guard((NAMESPACE, NAME), parse_access("policy", "keys=keys"), sources)


async def serve(port: int, backend_port: int, *, all_on: bool = False) -> None:
    """Serve until stopped."""
    given = os.environ | ({"TORPOR_ACTIVATOR_BODY_BYTES": str(2**30)} if all_on else {})
    clock, client, waiting = SystemClock(), from_environment(ClientLimits(), given), from_environment(Waiting(), given)
    pool = Pool(from_environment(PodLimits(), given), client.buffered_bytes, clock)
    hooks = Hooks(lambda _: None, lambda *_: None, pool.gone)
    throttlers = Throttlers(
        waiting.queue_limit,
        waiting.activation_timeout_s,
        hooks,
        clock,
        queue_bytes=waiting.queue_bytes,
        budget=Budget(waiting.waiting_bytes),
    )
    route, told = objects(backend_port, all_on=all_on)
    for kind, obj in told:
        tell = throttlers.revision_changed if kind is REVISION else throttlers.slice_changed
        tell(Change(kind, key_of(obj), None, obj))
    table = merge([guarded(read(route, DOMAIN, {}), lock() if all_on else None)], DOMAIN)
    door = Door(Router(table), throttlers, pool, client, clock, waiting=waiting)
    server = Server(door)
    await server.start("127.0.0.1", port)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.watch())
        if all_on:
            group.create_task(_scrape(door))


async def _scrape(door: Door) -> None:
    """Read the metrics, as Prometheus would."""
    registry = CollectorRegistry()
    registry.register(DoorCollector(door))
    while True:
        await asyncio.sleep(SCRAPE_S)
        generate_latest(registry)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2]), all_on=ALL_ON in sys.argv))

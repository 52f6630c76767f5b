"""The activator's data plane as a process: its real server, router and throttlers, told of one service.

What the Kubernetes API would say of it is said here once. Run as `door.py PORT BACKEND_PORT`.
"""

from __future__ import annotations

import sys

import uvloop

from activator.proxy.door import Door
from activator.proxy.pool import Pool
from activator.proxy.server import Server
from activator.routing.table import Router, build
from activator.settings import ClientLimits, PodLimits, Waiting
from activator.throttle.throttler import Hooks
from activator.throttle.throttlers import Throttlers
from torpor.aio.clock import SystemClock
from torpor.kube import Change
from torpor.spec import names
from torpor.spec.kinds import ENDPOINT_SLICE, REVISION, Kind, Object, key_of

NAMESPACE, NAME, DOMAIN = "default", "app", "localhost"
HOST = f"{NAME}.{NAMESPACE}.{DOMAIN}"


def objects(backend_port: int) -> tuple[Object, tuple[tuple[Kind, Object], ...]]:
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
    revision = {"metadata": metadata, "spec": {"containerConcurrency": 0}}
    route = {"metadata": metadata, "status": {"traffic": traffic}}
    return route, ((REVISION, revision), (ENDPOINT_SLICE, slice_))


async def serve(port: int, backend_port: int) -> None:
    """Serve until stopped."""
    clock, client, waiting = SystemClock(), ClientLimits(), Waiting()
    pool = Pool(PodLimits(), client.buffered_bytes, clock)
    hooks = Hooks(lambda _: None, lambda *_: None, pool.gone)
    throttlers = Throttlers(waiting.queue_limit, waiting.activation_timeout_s, hooks, clock)
    route, told = objects(backend_port)
    for kind, obj in told:
        tell = throttlers.revision_changed if kind is REVISION else throttlers.slice_changed
        tell(Change(kind, key_of(obj), None, obj))
    server = Server(Door(Router(build([route], DOMAIN)), throttlers, pool, client, clock))
    await server.start("127.0.0.1", port)
    await server.watch()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))

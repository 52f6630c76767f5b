"""The data plane as a process: both ports, and the services that tests here need. Run as a module with one argument.

That is JSON: {"http": PORT, "grpc": PORT, "pods": {NAME: PORT, ...}, "mirror": HOW}. A service whose name begins with
`calls` has a pod that speaks HTTP/2; a pod's port 0 is none. Limits are set as the activator's are, by
TORPOR_ACTIVATOR_... variables.
"""

from __future__ import annotations

import json
import os
import sys

import uvloop

from activator.grpc.client import ClientLine
from activator.settings import ClientLimits, Deferring, PodLimits, StreamLimits, Waiting, from_environment
from tests.activator.proxy.doorway import Doorway
from torpor.aio.clock import SystemClock
from torpor.spec import names

HTTP2 = "calls"


async def serve(http: int, grpc: int, pods: dict[str, int], mirror: str | None) -> None:
    """Serve until stopped."""
    client, streams = from_environment(ClientLimits(), os.environ), from_environment(StreamLimits(), os.environ)
    waiting, deferring = from_environment(Waiting(), os.environ), from_environment(Deferring(), os.environ)
    door = Doorway(client, PodLimits(), waiting, SystemClock(), deferring)
    for name, port in pods.items():
        door.port_name = "h2c" if name.startswith(HTTP2) else "http"
        door.revise(name)
        door.route(name, {name: 100}, annotations={names.MIRROR: mirror} if mirror else None)
        door.scale(name, *([port] if port else []))
    await door.server.start("127.0.0.1", http)
    await door.server.listen("grpc-port", lambda: ClientLine(door.door, streams), "127.0.0.1", grpc)
    await door.server.watch()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    uvloop.run(serve(given["http"], given["grpc"], given["pods"], given["mirror"]))

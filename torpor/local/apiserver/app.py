"""Put the API server together, serve, and end cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from torpor.aio.clock import Clock, SystemClock
from torpor.aio.ready import notify
from torpor.local.apiserver.api.app import build
from torpor.local.apiserver.api.pods import Pods
from torpor.local.apiserver.api.resources import Resources
from torpor.local.apiserver.api.watch import Closing
from torpor.local.apiserver.files import ensure_token, locked, write_kubeconfig
from torpor.local.apiserver.kinds.table import BY_KIND, RESOURCES
from torpor.local.apiserver.pki import ensure_pki
from torpor.local.apiserver.podlogs import LogReader
from torpor.local.apiserver.registry.deletion import Deletion
from torpor.local.apiserver.registry.expiry import expire_events
from torpor.local.apiserver.registry.options import WriteOptions
from torpor.local.apiserver.registry.registry import Registry
from torpor.local.apiserver.registry.scale import Scaling
from torpor.local.apiserver.settings import Settings
from torpor.local.apiserver.store import Store
from torpor.spec.kinds import NAMESPACE
from torpor.web.listen import listening
from torpor.web.server import Server, Times, Tls

log = logging.getLogger(__name__)

NAMESPACES = ("default", "kube-system", "knative-serving")
DATABASE = "state.db"
IDLE_S = 300
"""A connection without requests is kept this long: longer than clients keep theirs, so that they close first."""
DRAIN_S = 10
CUT_AFTER_S = 0.2


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; raises SettingError where that cannot begin."""
    clock = SystemClock()
    with (
        locked(settings.data_dir),
        listening(settings.host, settings.port, host_key="--host", port_key="--port") as listener,
    ):
        now = datetime.datetime.now(datetime.UTC)
        pki = ensure_pki(settings.data_dir / "pki", settings.host, now)
        token = ensure_token(settings.data_dir / "token")
        store = Store(
            settings.data_dir / DATABASE,
            [resource.kind for resource in RESOURCES],
            lambda kind, obj: BY_KIND[kind].selectable(obj),
            history=settings.history,
        )
        with contextlib.closing(store):
            closing = Closing(store)
            async with _working(store, clock) as (registry, deletion):
                resources = Resources(store, registry, deletion, Scaling(registry), closing)
                logs = LogReader(settings.data_dir, store, lambda: closing.begun)
                api = build(resources, Pods(registry, logs), token=token, host=settings.host)
                server = _Server(
                    api,
                    Times(IDLE_S, DRAIN_S),
                    on_started=lambda: _announce(settings, listener, pki.ca, token),
                    on_ending=closing.begin,
                    tls=Tls(pki.certificate, pki.key),
                )
                await server.serve(sockets=[listener])


@contextlib.asynccontextmanager
async def _working(store: Store, clock: Clock) -> AsyncIterator[tuple[Registry, Deletion]]:
    """Give the registry, with the tasks behind it running."""
    deletion = Deletion(store, clock)
    registry = Registry(store, deletion, clock)
    for name in NAMESPACES:
        if store.get(NAMESPACE, "", name) is None:
            registry.create(BY_KIND[NAMESPACE], "", {"metadata": {"name": name}}, WriteOptions(manager="torpor"))
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(work) for work in (deletion.run(), store.fold(), expire_events(deletion, store, clock))
        ]
        try:
            yield registry, deletion
        finally:
            for task in tasks:
                task.cancel()


def _announce(settings: Settings, listener: socket.socket, ca: Path, token: str) -> None:
    port = listener.getsockname()[1]
    write_kubeconfig(settings.data_dir / "kubeconfig", server_url(settings.host, port), ca, token)
    log.info("serving the Kubernetes API on %s:%d", settings.host, port)
    notify(settings.ready_fd)


def server_url(host: str, port: int) -> str:
    """Return where clients on this machine find us; a server on every address is found on the loopback one."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"https://{host}:{port}"
    if address.is_unspecified:
        host = "127.0.0.1"
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


class _Server(Server):
    """Ends soon, though clients keep their connections."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        cutting = asyncio.ensure_future(self._cut_idle())
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()
            await asyncio.gather(cutting, return_exceptions=True)

    async def _cut_idle(self) -> None:
        """Cut connections on which nothing is asked any more; returns only when cancelled.

        TLS ends when both sides say so, and a client that keeps a connection for later reads nothing until then.
        """
        idle: set[Any] = set()
        while True:
            await asyncio.sleep(CUT_AFTER_S)
            known: set[Any] = self.server_state.connections
            now = {each for each in known if each.cycle is None or each.cycle.response_complete}
            for connection in now & idle:
                connection.transport.abort()
            idle = now

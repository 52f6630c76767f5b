"""Listen, look after all connections, and leave in order."""

from __future__ import annotations

import asyncio
import logging
import math

from activator.proxy.client import ClientConnection
from activator.proxy.door import Door
from torpor.errors import SettingError

log = logging.getLogger(__name__)

WATCH_S = 0.25
"""How often deadlines are looked at; they are seconds long."""
BACKLOG = 4096
"""Connections the kernel holds while we are busy; it lowers this to its own limit."""


class Server:
    """The data port."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, also where the system chose it."""
        if self._server is None:
            raise RuntimeError("not started")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self, host: str, port: int) -> None:
        """Accept connections; raises SettingError where the address cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: ClientConnection(self._door), host, port, backlog=BACKLOG)
        except OSError as error:
            raise SettingError("http-port", port, f"a free port on {host} is needed: {error.strerror}") from error

    async def watch(self) -> None:
        """Look after what takes time; returns only when cancelled."""
        door = self._door
        while True:
            await asyncio.sleep(WATCH_S)
            now_s = door.clock.monotonic()
            for connection in list(door.connections):
                try:
                    connection.watch(now_s)
                except Exception:  # one connection must not end the watch of all others
                    log.exception("looking after a connection failed")
                    connection.abort()
            door.throttlers.expire(now_s)
            door.pool.sweep(now_s)

    async def drain(self, grace_s: float) -> int:
        """Accept nothing new, let what is in flight finish, for at most so long; returns how many did not."""
        self._door.draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._door.connections):
            connection.drain()
        for _ in range(math.ceil(grace_s / WATCH_S)):
            if not self._door.connections:
                return 0
            await asyncio.sleep(WATCH_S)
        left = list(self._door.connections)
        for connection in left:
            connection.abort()
        return len(left)

"""Listen, look after all connections, and leave in order."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections.abc import Callable

from activator.proxy.client import ClientConnection
from activator.proxy.door import Door
from torpor.errors import SettingError

log = logging.getLogger(__name__)

WATCH_S = 0.25
"""How often deadlines are looked at; they are seconds long."""
BACKLOG = 4096
"""Connections the kernel holds while we are busy; it lowers this to its own limit."""


class Server:
    """The data ports."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._servers: list[asyncio.Server] = []

    @property
    def port(self) -> int:
        """The port that HTTP/1.1 is listened for on, also where the system chose it."""
        return self.ports[0]

    @property
    def ports(self) -> list[int]:
        """All ports, in the order in which they were opened."""
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections; raises SettingError where the address cannot be had."""
        await self.listen("http-port", lambda: ClientConnection(self._door), host, port, tls)

    async def listen(
        self,
        option: str,
        factory: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Accept connections of a protocol; raises SettingError that names the option."""
        loop = asyncio.get_running_loop()
        timeout_s = None if tls is None else self._door.limits.head_timeout_s
        try:
            server = await loop.create_server(
                factory, host, port, backlog=BACKLOG, ssl=tls, ssl_handshake_timeout=timeout_s
            )
        except OSError as error:
            raise SettingError(option, port, f"a free port on {host} is needed: {error.strerror}") from error
        self._servers.append(server)

    async def watch(self) -> None:
        """Look after what takes time; returns only when cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            self.look()

    def look(self) -> None:
        """Look once at everything that takes time."""
        door = self._door
        now_s = door.clock.monotonic()
        for connection in list(door.connections):
            try:
                connection.watch(now_s)
            except Exception:  # one connection must not end the watch of all others
                log.exception("looking after a connection failed")
                connection.abort()
        door.throttlers.expire(now_s)
        door.mirroring.watch(now_s)
        door.shelf.watch(now_s)
        door.pool.sweep(now_s)

    async def drain(self, grace_s: float) -> int:
        """Accept nothing new, let what is in flight finish, for at most so long; returns how many did not."""
        self._door.draining = True
        self._door.mirroring.close()
        for server in self._servers:
            server.close()
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

"""What all connections share: where requests go, and how much they may cost."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from activator.proxy.pool import Pool
from activator.routing.table import Router
from activator.routing.traffic import draw
from activator.settings import ClientLimits
from activator.throttle.throttler import Throttler
from activator.throttle.throttlers import Throttlers
from torpor.aio.clock import Clock
from torpor.errors import UnavailableError

if TYPE_CHECKING:
    from activator.proxy.client import ClientConnection


class Door:
    """One per process."""

    __slots__ = (
        "_accepted",
        "_seed",
        "clock",
        "codes",
        "connections",
        "dice",
        "draining",
        "limits",
        "pool",
        "router",
        "throttlers",
    )

    def __init__(
        self,
        router: Router,
        throttlers: Throttlers,
        pool: Pool,
        limits: ClientLimits,
        clock: Clock,
        dice: Callable[[], float],
    ) -> None:
        self.router = router
        self.throttlers = throttlers
        self.pool = pool
        self.limits = limits
        self.clock = clock
        self.dice = dice
        self.connections: set[ClientConnection] = set()
        self.draining = False
        self._seed = secrets.token_hex(8).encode()
        self._accepted = 0
        self.codes = [0] * 10
        """Answers of our own to requests that reached no revision, by the first digit of their status."""

    def next_ids(self) -> bytes:
        """Return what the ids of a new connection's requests begin with: unlike any other's, here and elsewhere."""
        self._accepted += 1
        return b"%b-%x-" % (self._seed, self._accepted)

    def route(self, host: bytes, target: bytes) -> tuple[Throttler, bytes]:
        """Return the revision that a request goes to, and the target its pod shall see.

        Raises NotFoundError for what is no service, UnavailableError for one that has nothing to send it to.
        """
        entry, target = self.router.find(host, target)
        revision = draw(entry.traffic, self.dice())
        if revision is None:
            waiting_room = self.throttlers.get(entry.waiting_room)
            if waiting_room is None:
                raise UnavailableError(f"{entry.namespace}/{entry.name} has no traffic: {entry.unready}")
            return waiting_room, target
        throttler = self.throttlers.get(revision)
        if throttler is None:
            raise UnavailableError(f"revision {revision[1]} of {entry.namespace}/{entry.name} is not there")
        return throttler, target

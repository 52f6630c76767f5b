"""What all connections share: where requests go, and how much they may cost."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Protocol

from activator.proxy.mirror import Mirroring
from activator.proxy.pool import Pool
from activator.routing.match import Entry
from activator.routing.table import Router
from activator.settings import ClientLimits, Deferring, Waiting
from activator.throttle.report import RevisionKey
from activator.throttle.throttler import Throttler
from activator.throttle.throttlers import Throttlers
from activator.waiting.shelf import Shelf
from activator.waiting.stages import Stage
from activator.waiting.watching import awaited
from torpor.aio.clock import Clock
from torpor.errors import UnavailableError


class Connection(Protocol):
    """A client's connection, by whichever protocol."""

    def watch(self, now_s: float) -> None:
        """Look after what takes time."""

    def drain(self) -> None:
        """End when what is in flight has ended."""

    def abort(self) -> None:
        """Close at once."""


class Door:
    """One per process."""

    __slots__ = (
        "_accepted",
        "_seed",
        "clock",
        "codes",
        "connections",
        "draining",
        "limits",
        "mirroring",
        "pool",
        "router",
        "shelf",
        "stage_of",
        "throttlers",
        "waiting",
    )

    def __init__(
        self,
        router: Router,
        throttlers: Throttlers,
        pool: Pool,
        limits: ClientLimits,
        clock: Clock,
        *,
        waiting: Waiting | None = None,
        shelf: Shelf | None = None,
        stage_of: Callable[[RevisionKey], Stage] = awaited,
    ) -> None:
        """`stage_of` says how far the first pod of a revision is that requests wait for."""
        self.router = router
        self.throttlers = throttlers
        self.pool = pool
        self.limits = limits
        self.clock = clock
        self.waiting = waiting or Waiting()
        self.shelf = Shelf(Deferring()) if shelf is None else shelf  # an empty one is false
        self.stage_of = stage_of
        self.mirroring = Mirroring(self)
        self.connections: set[Connection] = set()
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
        return self.lead(entry), target

    def lead(self, entry: Entry) -> Throttler:
        """Return the revision whose turn it is; raises UnavailableError where there is none to send a request to."""
        revision = entry.traffic.next()
        if revision is None:
            waiting_room = self.throttlers.get(entry.waiting_room)
            if waiting_room is None:
                raise UnavailableError(f"{entry.namespace}/{entry.name} has no traffic: {entry.unready}")
            return waiting_room
        throttler = self.throttlers.get(revision)
        if throttler is None:
            raise UnavailableError(f"revision {revision[1]} of {entry.namespace}/{entry.name} is not there")
        return throttler

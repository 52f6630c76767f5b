"""Keep the router's table equal to what the Routes of the cluster say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from activator.access.guard import Guard
from activator.routing.table import Key, Named, Router, continued, guarded, merge, newest_revision, read
from torpor.kube import Change, Informer
from torpor.spec.kinds import Object

log = logging.getLogger(__name__)

PAUSE_S = 0.01
"""Changes come in groups: a Route and its Configuration, or all of a list."""
LONGEST_PAUSE_S = 1.0
SHARE = 20
"""Of the time, one part in so many may go into tables: one of 10,000 routes takes 10 to 20 ms."""


class Queues(Protocol):
    """Where requests wait, also for what is not there yet."""

    def expect(self, key: Key, why: str = "") -> None:
        """Let requests wait here; `why` is what they are told if it was in vain."""

    def send_on(self, key: Key, choose: Callable[[], Key | None]) -> None:
        """Let each request that waits here wait where it belongs."""


def _everybody(_: Object) -> None:
    return None


class Follower:
    """Reads each Route anew when it changes, and makes one table of many changes."""

    def __init__(
        self,
        router: Router,
        domain: str,
        routes: Informer,
        configurations: Informer,
        queues: Queues,
        dice: Callable[[], float],
        guard_of: Callable[[Object], Guard | None] = _everybody,
    ) -> None:
        """Make it before the informers run. `guard_of` says who lets requests to a Route in, and never raises."""
        self._guard_of = guard_of
        self._router = router
        self._domain = domain
        self._routes = routes
        self._configurations = configurations
        self._queues = queues
        self._dice = dice
        self._named: dict[Key, Named] = {}
        # What changed since the last table: Routes, and Configurations that made a revision.
        self._changed: set[Key] = set()
        self._moved: set[Key] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._pause_s = PAUSE_S
        routes.subscribe(self._route_changed)
        configurations.subscribe(self._configuration_changed)

    def rebuild(self) -> None:
        """Make the table of what is known now."""
        began = asyncio.get_running_loop().time()
        self.close()
        changed, self._changed = self._changed, set()
        moved, self._moved = self._moved, set()
        if moved:
            changed |= {key for key, named in self._named.items() if not moved.isdisjoint(named.awaits)}
        for key in changed:
            self._read(key)
        self._router.table = merge(self._named.values(), self._domain)
        took_s = asyncio.get_running_loop().time() - began
        self._pause_s = min(LONGEST_PAUSE_S, max(PAUSE_S, SHARE * took_s))

    def close(self) -> None:
        """Stop waiting for the moment to make the next table."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reread(self, keys: Iterable[Key]) -> None:
        """Read Routes anew that did not change, for what they depend on did."""
        self._changed.update(keys)
        self._schedule()

    def _read(self, key: Key) -> None:
        route = self._routes.items.get(key)
        if route is None:
            self._named.pop(key, None)
            return
        before, guard = self._named.get(key), self._guard_of(route)
        try:
            named = read(route, self._domain, self._configurations.items, self._dice())
        except Exception:  # one bad Route must not stop the table of all others
            log.exception("Route %s/%s cannot be read; what it said before holds, but for who may call it", *key)
            if before is not None:
                self._named[key] = guarded(before, guard)
            return
        self._named[key] = named = guarded(continued(named, before), guard)
        for revision in named.revisions:
            self._queues.expect(revision)
        entry = named.entry
        if not entry.traffic.revisions:
            self._queues.expect(entry.waiting_room, f"{entry.namespace}/{entry.name} has no traffic: {entry.unready}")
        elif before is not None and not before.entry.traffic.revisions:
            self._queues.send_on(entry.waiting_room, entry.traffic.next)

    def _route_changed(self, change: Change) -> None:
        self._changed.add(change.key)
        self._schedule()

    def _configuration_changed(self, change: Change) -> None:
        if newest_revision(change.old) != newest_revision(change.new):
            self._moved.add(change.key)
            self._schedule()

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._pause_s, self.rebuild)

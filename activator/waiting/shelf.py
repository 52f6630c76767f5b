"""Requests whose clients come back for the answer: so many, so large, for so long."""

from __future__ import annotations

import secrets
from typing import Protocol

from activator.settings import Deferring
from activator.waiting.stages import Stage
from torpor.errors import UnavailableError

ID_BYTES = 24
"""Who has the id has the answer: it is as long as a key."""


class Running(Protocol):
    """A request that is not done."""

    def stage(self) -> Stage:
        """Say how far it is."""

    def watch(self, now_s: float) -> None:
        """Look at its deadlines."""

    def abandon(self) -> None:
        """Give it up: nobody wants the answer any more."""


class Deferred:
    """One request, and its answer when that is there."""

    __slots__ = (
        "_shelf",
        "body",
        "done_s",
        "error",
        "id",
        "lines",
        "namespace",
        "owner",
        "running",
        "since_s",
        "size",
        "status",
    )

    def __init__(self, shelf: Shelf, namespace: str, now_s: float) -> None:
        self._shelf = shelf
        self.id = secrets.token_urlsafe(ID_BYTES)
        self.namespace = namespace
        self.owner: object = None
        """Who may come for it; None: whoever knows the id."""
        self.since_s = now_s
        self.running: Running | None = None
        """While it is not done."""
        self.done_s: float | None = None
        """When it was."""
        self.error: Exception | None = None
        """Why there is no answer, where there will be none."""
        self.status = 0
        self.lines = b""
        self.body = bytearray()
        """In one piece: an answer that comes word by word would take several times as much."""
        self.size = 0
        """Bytes that are kept for it."""

    def keep(self, size: int) -> None:
        """Keep so many bytes more; raises UnavailableError where there is no room for them."""
        self._shelf.keep(self, size)

    def end(self, error: Exception | None, now_s: float) -> None:
        """The answer is complete, or there will be none: the request itself is kept no longer."""
        self.done_s, self.error, self.running = now_s, error, None
        if error is not None:
            self.body.clear()
        self._shelf.shrink(self, len(self.lines) + len(self.body))


class Shelf:
    """In memory: with the activator's process all of it is gone."""

    def __init__(self, limits: Deferring) -> None:
        self.limits = limits
        self.held = 0
        """Bytes that are kept, for all of them."""
        self._all: dict[str, Deferred] = {}

    def __len__(self) -> int:
        return len(self._all)

    def open(self, namespace: str, now_s: float) -> Deferred:
        """Make a place for a request; raises UnavailableError where there is none."""
        if len(self._all) >= self.limits.deferred_requests:
            what = f"{len(self._all)} requests wait for their clients to come back already"
            raise UnavailableError(f"{what}; ask without Prefer: respond-async").after(self._next_s(now_s))
        deferred = Deferred(self, namespace, now_s)
        self._all[deferred.id] = deferred
        return deferred

    def find(self, namespace: str, id_: str, owner: object = None) -> Deferred | None:
        """Return what somebody who comes back asks for. `owner`: who that is, where that is known."""
        deferred = self._all.get(id_)
        fits = deferred is not None and deferred.namespace == namespace and deferred.owner == owner
        return deferred if fits else None

    def drop(self, deferred: Deferred) -> None:
        """Forget one; if it is not done it is given up."""
        self.shrink(deferred, 0)
        self._all.pop(deferred.id, None)
        running, deferred.running = deferred.running, None
        if running is not None:
            running.abandon()

    def keep(self, deferred: Deferred, size: int) -> None:
        """Keep so many bytes more; raises UnavailableError where there is no room for them."""
        if self.held + size > self.limits.deferred_bytes:
            what = f"{self.held} bytes are kept for clients that come back already"
            raise UnavailableError(f"{what}; ask without Prefer: respond-async")
        self.held += size
        deferred.size += size

    def shrink(self, deferred: Deferred, size: int) -> None:
        """Keep only so many bytes."""
        self.held -= deferred.size - size
        deferred.size = size

    def watch(self, now_s: float) -> None:
        """Look at deadlines, and forget what nobody came back for."""
        for deferred in list(self._all.values()):
            if deferred.running is not None:
                deferred.running.watch(now_s)
            elif deferred.done_s is not None and now_s - deferred.done_s > self.limits.deferred_kept_s:
                self.drop(deferred)

    def close(self) -> None:
        """Give up all."""
        for deferred in list(self._all.values()):
            self.drop(deferred)

    def _next_s(self, now_s: float) -> float | None:
        """Return when the next one is forgotten, as far as is known."""
        done = [each.done_s for each in self._all.values() if each.done_s is not None]
        return min(done) + self.limits.deferred_kept_s - now_s if done else None

"""A local copy of one kind's objects, kept fresh by list and watch (the library's own informer needs threads)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torpor import errors
from torpor.aio.backoff import Backoff
from torpor.kube.client import Cluster, GoneError
from torpor.spec.kinds import Kind, Object, key_of

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""(namespace, name)"""


SHORT_WATCH_S = 1.0
"""A watch that ends sooner has failed, however politely."""


@dataclass(frozen=True, slots=True)
class Change:
    """One object came, changed (both given), or went (`new` is None)."""

    kind: Kind
    key: Key
    old: Object | None
    new: Object | None


def _whole(obj: Object) -> Object:
    return obj


class Informer:
    """Keep `items` equal to what the API holds; call `on_change` on every difference, in order.

    `on_change` runs on the event loop and must not block; it sees `items` already changed. Run `run()` in a
    task; wait for `synced()` before trusting that an absent object does not exist.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        on_change: Callable[[Change], None] | None = None,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        backoff: Backoff = Backoff(first_s=0.1, limit_s=5.0),
        trim: Callable[[Object], Object] = _whole,
    ) -> None:
        """`trim` makes of an object what is kept of it; name, namespace and resourceVersion it must leave."""
        self._cluster = cluster
        self.kind = kind
        self._handlers = [] if on_change is None else [on_change]
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._backoff = backoff
        self._trim = trim
        self._synced = asyncio.Event()
        self.items: dict[Key, Object] = {}

    def subscribe(self, on_change: Callable[[Change], None]) -> None:
        """Call `on_change` too, after those that came before; before `run()`, or it misses what is known by then."""
        self._handlers.append(on_change)

    def get(self, name: str, namespace: str = "") -> Object | None:
        return self.items.get((namespace, name))

    async def synced(self) -> None:
        """Return once the first list has been read."""
        await self._synced.wait()

    async def run(self) -> None:
        """List, watch, and begin again when the watch ends; returns only when cancelled."""
        loop = asyncio.get_running_loop()
        failures = 0
        version = ""
        while True:
            began = loop.time()
            try:
                version = await self._follow(version or await self._list())
            except GoneError as error:
                version, why = "", str(error)
            except errors.TorporError as error:
                # A server that came back may have lost what we last saw: begin from a list.
                version, why = "", str(error)
            else:
                why = "it ended at once"
            # A watch that lasted ends in peace; one that never does must not turn into a busy loop.
            failures = 0 if loop.time() - began > SHORT_WATCH_S else failures + 1
            delay_s = self._backoff.delay_s(failures, random.random())  # noqa: S311
            if delay_s:
                log.info("watch of %s broke off, again in %.1f s: %s", self.kind.plural, delay_s, why)
                await asyncio.sleep(delay_s)

    async def _list(self) -> str:
        objects, version = await self._cluster.list(
            self.kind, self._namespace, labels=self._labels, fields=self._fields
        )
        self._replace(objects)
        self._synced.set()
        return version

    async def _follow(self, version: str) -> str:
        """Take in changes until the server ends the watch; returns the version to go on from."""
        events = self._cluster.watch(self.kind, version, self._namespace, labels=self._labels, fields=self._fields)
        async with contextlib.aclosing(events):
            async for type_, obj in events:
                version = obj["metadata"]["resourceVersion"]
                if type_ != "BOOKMARK":
                    if type_ == "DELETED":
                        self._set(key_of(obj), None)
                    else:
                        self._keep(obj)
        return version

    def _replace(self, objects: Iterable[Object]) -> None:
        fresh = {key_of(obj): obj for obj in objects}
        for key in [key for key in self.items if key not in fresh]:
            self._set(key, None)
        for key, obj in fresh.items():
            known = self.items.get(key)
            if known is None or known["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                self._keep(obj)

    def _keep(self, obj: Object) -> None:
        kept = self._trim(obj)
        self._set(key_of(kept), kept)  # by its own name: another's text would hold what was read from the wire

    def _set(self, key: Key, new: Object | None) -> None:
        old = self.items.pop(key, None)
        if new is not None:
            self.items[key] = new
        if old is None and new is None:
            return
        change = Change(self.kind, key, old, new)
        for handler in self._handlers:
            try:
                handler(change)
            except Exception:  # one bad object must not stop the view of all others
                log.exception("handling a change of %s %s/%s failed", self.kind.kind, *key)

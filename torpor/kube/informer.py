"""A local copy of one kind's objects, kept fresh by list and watch (the library's own informer needs threads)."""

from __future__ import annotations

import asyncio
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


@dataclass(frozen=True, slots=True)
class Change:
    """One object came, changed (both given), or went (`new` is None)."""

    kind: Kind
    key: Key
    old: Object | None
    new: Object | None


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
    ) -> None:
        self._cluster = cluster
        self.kind = kind
        self._on_change = on_change
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._backoff = backoff
        self._synced = asyncio.Event()
        self.items: dict[Key, Object] = {}

    def get(self, name: str, namespace: str = "") -> Object | None:
        return self.items.get((namespace, name))

    async def synced(self) -> None:
        """Return once the first list has been read."""
        await self._synced.wait()

    async def run(self) -> None:
        """List, watch, and begin again when the watch ends; returns only when cancelled."""
        failures = 0
        version = ""
        while True:
            try:
                if not version:
                    objects, version = await self._cluster.list(
                        self.kind, self._namespace, labels=self._labels, fields=self._fields
                    )
                    self._replace(objects)
                    self._synced.set()
                failures = 0
                async for type_, obj in self._cluster.watch(
                    self.kind, version, self._namespace, labels=self._labels, fields=self._fields
                ):
                    version = obj["metadata"]["resourceVersion"]
                    if type_ != "BOOKMARK":
                        self._set(key_of(obj), None if type_ == "DELETED" else obj)
            except GoneError:
                version = ""
            except errors.TorporError as error:
                failures += 1
                # A server that came back may have lost what we last saw: begin from a list.
                version = ""
                delay_s = self._backoff.delay_s(failures, random.random())  # noqa: S311
                log.info("watch of %s broke off, again in %.1f s: %s", self.kind.plural, delay_s, error)
                await asyncio.sleep(delay_s)

    def _replace(self, objects: Iterable[Object]) -> None:
        fresh = {key_of(obj): obj for obj in objects}
        for key in [key for key in self.items if key not in fresh]:
            self._set(key, None)
        for key, obj in fresh.items():
            known = self.items.get(key)
            if known is None or known["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                self._set(key, obj)

    def _set(self, key: Key, new: Object | None) -> None:
        old = self.items.pop(key, None)
        if new is not None:
            self.items[key] = new
        if self._on_change is not None and (old is not None or new is not None):
            try:
                self._on_change(Change(self.kind, key, old, new))
            except Exception:  # one bad object must not stop the view of all others
                log.exception("handling a change of %s %s/%s failed", self.kind.kind, *key)

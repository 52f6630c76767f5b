"""Tell people what happened to an object, as `kubectl describe` shows it."""

from __future__ import annotations

import asyncio
import datetime
import logging
import secrets
from typing import Literal

from torpor import errors
from torpor.kube.client import Cluster, Patch
from torpor.spec.kinds import EVENT, Object

log = logging.getLogger(__name__)

WAITING_LIMIT = 1000
"""Events kept while the API is slow; beyond it the oldest are worth less than the memory."""


class Recorder:
    """Write Events without making the caller wait; the same event again raises its count."""

    def __init__(self, cluster: Cluster, component: str) -> None:
        self._cluster = cluster
        self._component = component
        self._waiting: asyncio.Queue[Object] = asyncio.Queue(WAITING_LIMIT)
        # (uid, type, reason, message) -> (name of the Event, count); bounded like the queue.
        self._seen: dict[tuple[str, str, str, str], tuple[str, int]] = {}

    def emit(self, about: Object, type_: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """Queue one event about an object; never blocks, never raises."""
        metadata = about["metadata"]
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name'][:200]}.{secrets.token_hex(8)}",
                "namespace": metadata.get("namespace") or "default",
            },
            "involvedObject": {
                "apiVersion": about.get("apiVersion", ""),
                "kind": about.get("kind", ""),
                "name": metadata["name"],
                "namespace": metadata.get("namespace", ""),
                "uid": metadata.get("uid", ""),
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "type": type_,
            "reason": reason,
            "message": message[:1024],  # the API refuses longer ones
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": "",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(event)

    async def run(self) -> None:
        """Write what was emitted; returns only when cancelled."""
        while True:
            event = await self._waiting.get()
            try:
                await self._write(event)
            except errors.TorporError as error:
                log.info("event %s about %s not written: %s", event["reason"], event["metadata"]["name"], error)

    async def _write(self, event: Object) -> None:
        about = event["involvedObject"]
        same = (about["uid"], event["type"], event["reason"], event["message"])
        known = self._seen.get(same)
        if known is not None:
            name, count = known
            change = {"count": count + 1, "lastTimestamp": event["lastTimestamp"]}
            try:
                await self._cluster.patch(
                    EVENT,
                    name,
                    event["metadata"]["namespace"],
                    change,
                    how=Patch.MERGE,
                    manager=self._component,
                )
            except errors.NotFoundError:
                del self._seen[same]  # it aged out: write it anew
            else:
                self._seen[same] = (name, count + 1)
                return
        await self._cluster.create(EVENT, event)
        if len(self._seen) >= WAITING_LIMIT:
            self._seen.pop(next(iter(self._seen)))
        self._seen[same] = (event["metadata"]["name"], 1)

"""Keep the EndpointSlices of this machine's pods as they should be."""

from __future__ import annotations

import asyncio
import contextlib

from torpor import errors
from torpor.kube import Change, Cluster, Informer, Patch, WorkQueue
from torpor.local.kubelet.endpoints import MANAGED_BY, MANAGER, selects, slices_of
from torpor.local.kubelet.life import Life
from torpor.spec.kinds import ENDPOINT_SLICE, Object

WITHDRAW_S = 2.0
"""How long a pod that shall end waits until it is out of its slices, at most: the API may be gone for good."""


class Slices:
    """What was written is remembered: nobody else writes these."""

    def __init__(self, cluster: Cluster, services: Informer) -> None:
        self._cluster = cluster
        self._services = services
        self._lives: dict[str, Life] = {}
        self._written: dict[str, dict[str, Object]] = {}
        self._settled: dict[str, asyncio.Event] = {}
        self._queue: WorkQueue[str] = WorkQueue(self._apply)

    def tell(self, life: Life) -> None:
        """Ask for a pod's slices to be brought up to date soon."""
        self._lives[life.uid] = life
        if life.ever_ready or life.uid in self._written or self._is_published_early(life):
            self._queue.add(life.uid)

    async def withdraw(self, life: Life) -> None:
        """Return when no slice names a pod that is ending."""
        if life.uid not in self._written:  # nor is being written
            return
        settled = self._settled[life.uid] = asyncio.Event()
        self._queue.add(life.uid)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WITHDRAW_S):
                await settled.wait()

    def forget(self, life: Life) -> None:
        self._lives.pop(life.uid, None)
        self._settled.pop(life.uid, None)
        if life.uid in self._written:
            self._queue.add(life.uid)

    def on_service(self, change: Change) -> None:
        """A Service came, changed or went: its pods need other slices."""
        services = [each for each in (change.old, change.new) if each is not None]
        for uid, life in self._lives.items():
            if any(selects(service, life.obj) for service in services):
                self._queue.add(uid)

    async def remove_all(self) -> None:
        """Remove the slices of a former life."""
        found, _ = await self._cluster.list(ENDPOINT_SLICE, labels=f"{MANAGED_BY}={MANAGER}")
        await asyncio.gather(*(self._delete(each) for each in found))

    async def close(self) -> None:
        await self._queue.close()

    def _is_published_early(self, life: Life) -> bool:
        services = self._services.items.values()
        return any(
            (each.get("spec") or {}).get("publishNotReadyAddresses") and selects(each, life.obj) for each in services
        )

    async def _apply(self, uid: str) -> None:
        life = self._lives.get(uid)
        member = None if life is None else life.member()
        wanted = {} if member is None else slices_of(member, self._services.items.values())
        written = self._written.setdefault(uid, {})
        for name, slice_ in wanted.items():
            if written.get(name) != slice_:
                await self._put(slice_, known=name in written)
                written[name] = slice_
        for name in [name for name in written if name not in wanted]:
            await self._delete(written[name])
            del written[name]
        if written:
            return
        if uid in self._settled:
            self._settled[uid].set()
        if uid not in self._lives:
            del self._written[uid]

    async def _put(self, slice_: Object, *, known: bool) -> None:
        metadata = slice_["metadata"]
        try:
            if not known:
                await self._cluster.create(ENDPOINT_SLICE, slice_)
                return
        except errors.ConflictError:  # a former write of ours whose answer was lost
            pass
        except errors.ForbiddenError:  # the namespace is ending, and the pod with it
            return
        name, namespace = metadata["name"], metadata["namespace"]
        with contextlib.suppress(errors.NotFoundError):
            await self._cluster.patch(ENDPOINT_SLICE, name, namespace, slice_, how=Patch.MERGE)

    async def _delete(self, slice_: Object) -> None:
        metadata = slice_["metadata"]
        with contextlib.suppress(errors.NotFoundError):
            await self._cluster.delete(ENDPOINT_SLICE, metadata["name"], metadata["namespace"])

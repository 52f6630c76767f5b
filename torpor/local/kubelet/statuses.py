"""Write the status of pods, when it says something new."""

from __future__ import annotations

from collections.abc import Callable

from torpor import errors
from torpor.aio.clock import Clock
from torpor.kube import Cluster, WorkQueue
from torpor.local.kubelet import podstatus
from torpor.local.kubelet.life import Life
from torpor.local.kubelet.timestamps import timestamp
from torpor.spec.kinds import POD, Object

_VANISHING = ("reason", "message", "initContainerStatuses")

FIRST_S = 0.05
"""How long a pod may be without a status."""


class Statuses:
    """One write at a time per pod; what changes meanwhile is in the next one."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._lives: dict[str, Life] = {}
        self._queue: WorkQueue[str] = WorkQueue(self._write)
        self._handlers: list[Callable[[str], None]] = []

    def subscribe(self, on_gone: Callable[[str], None]) -> None:
        """Call `on_gone` with the uid of a pod that turns out not to be in the API any more."""
        self._handlers.append(on_gone)

    def tell(self, life: Life) -> None:
        """Ask for a pod's status to be written soon."""
        self._lives[life.uid] = life
        self._queue.add(life.uid)

    def tell_later(self, life: Life) -> None:
        """Ask for the first status of a pod: mostly its process runs so soon that one write says both."""
        self._lives[life.uid] = life
        self._queue.add_after(life.uid, FIRST_S)

    def forget(self, life: Life) -> None:
        self._lives.pop(life.uid, None)

    async def close(self) -> None:
        await self._queue.close()

    async def _write(self, uid: str) -> None:
        life = self._lives.get(uid)
        if life is None:
            return
        told = podstatus.status(life.known(), life.told, timestamp(self._clock.wall()))
        if told == life.told:
            return
        metadata = life.obj["metadata"]
        gone: Object = {key: None for key in _VANISHING if key in life.told and key not in told}
        # With its uid: a status must never reach a successor of the same name.
        body = {"metadata": {"uid": uid}, "status": {**told, **gone}}
        try:
            await self._cluster.patch(POD, metadata["name"], metadata["namespace"], body, sub="status")
        except (errors.NotFoundError, errors.ConflictError):
            self._lives.pop(uid, None)
            for handler in self._handlers:
                handler(uid)
            return
        life.told = told

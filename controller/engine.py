"""Look at an object, decide, and do what was decided: all effects of the controller are here, in that order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Generic, TypeVar

from controller.options import Options
from controller.plan import Plan
from controller.reconciler import Keys, Reconciler
from controller.view import View
from torpor.aio.clock import Clock
from torpor.errors import ConflictError, ForbiddenError, NotFoundError
from torpor.kube import Change, Cluster, Informer, Recorder, WorkQueue
from torpor.kube.client import StatusError
from torpor.kube.informer import Key
from torpor.spec.kinds import Kind, Object, key_of
from torpor.spec.timestamps import timestamp

log = logging.getLogger(__name__)

S = TypeVar("S")


class Engine(Generic[S]):
    """Runs one reconciler: an object at a time in order, different ones at the same time.

    What was seen may be older than what is so: then a write is refused (409), nothing is lost, and the object is looked
    at again, at the latest after a back-off and usually when the news arrives.
    """

    def __init__(
        self,
        reconciler: Reconciler[S],
        view: View,
        cluster: Cluster,
        recorder: Recorder,
        options: Options,
        clock: Clock,
    ) -> None:
        self._reconciler = reconciler
        self._view = view
        self._cluster = cluster
        self._recorder = recorder
        self._options = options
        self._clock = clock
        self._queue: WorkQueue[Key] = WorkQueue(self._handle)

    def start(self, informers: dict[Kind, Informer]) -> None:
        """Look at every object, and from now on at those that changes concern. The informers must be synced."""
        kind = self._reconciler.kind
        self._follow(informers[kind], lambda _view, obj: (key_of(obj),))
        for watch in self._reconciler.watches:
            self._follow(informers[watch.kind], watch.keys)
        for key in informers[kind].items:
            self._queue.add(key)

    def _follow(self, informer: Informer, keys: Keys) -> None:
        def look_again(change: Change) -> None:
            both = (obj for obj in (change.old, change.new) if obj is not None)
            for key in dict.fromkeys(key for obj in both for key in keys(self._view, obj)):
                self._queue.add(key)

        informer.subscribe(look_again)

    async def stop(self, grace_s: float) -> None:
        """Finish what is under way, for at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._queue.idle()
        await self._queue.close()

    async def _handle(self, key: Key) -> float | None:
        namespace, name = key
        obj = self._view.get(self._reconciler.kind, name, namespace)
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            return None  # what it owns goes with it
        seen = self._reconciler.observe(self._view, obj)
        plan = self._reconciler.reconcile(obj, seen, self._options, timestamp(self._clock.wall()))
        try:
            await self._carry_out(obj, plan)
        except NotFoundError as error:  # it went in this very moment
            raise ConflictError(str(error)) from error
        except (ForbiddenError, StatusError) as error:
            # What was decided is refused, and will be again: whoever looks at the object shall see that.
            self._recorder.emit(obj, "Warning", "InternalError", str(error))
            raise
        return plan.again_s

    async def _carry_out(self, obj: Object, plan: Plan) -> None:
        for create in plan.creates:
            await self._cluster.create(create.kind, create.obj)
            _tell("created", create.kind, create.obj)
        for write in plan.replaces:
            written = await self._cluster.replace(write.kind, write.obj)
            _tell("changed", write.kind, write.obj)
            if written["metadata"]["uid"] == obj["metadata"]["uid"]:
                obj = written  # its status is written to what it is now
        for delete in plan.deletes:
            with contextlib.suppress(NotFoundError):
                await self._cluster.delete(delete.kind, delete.name, delete.namespace, uid=delete.uid)
                log.info("deleted %s %s/%s", delete.kind.kind, delete.namespace, delete.name)
        if plan.status is not None:
            await self._cluster.replace(self._reconciler.kind, {**obj, "status": plan.status}, "status")
        if plan.creates or plan.replaces or plan.deletes or plan.status is not None:
            for note in plan.notes:
                self._recorder.emit(obj, note.type_, note.reason, note.message)


def _tell(what: str, kind: Kind, obj: Object) -> None:
    log.info("%s %s %s/%s", what, kind.kind, *key_of(obj))

"""Look at an object, decide, and do what was decided: all effects of the controller are here, in that order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Generic, TypeVar

from controller.options import Options
from controller.plan import Plan
from controller.reconciler import Keys, Reconciler
from controller.view import View
from torpor.aio.clock import Clock
from torpor.errors import ConflictError, ForbiddenError, NotFoundError, TorporError
from torpor.kube import Change, Cluster, Informer, Recorder, WorkQueue
from torpor.kube.client import StatusError
from torpor.kube.informer import Key
from torpor.spec import conditions
from torpor.spec.kinds import Kind, Object, key_of
from torpor.spec.timestamps import timestamp

log = logging.getLogger(__name__)

S = TypeVar("S")

REFUSED = "Refused"
REFUSED_AGAIN_S = 60.0
"""What is refused will be again, until somebody changes something; of a change to the object itself we hear anyway."""


class RefusedError(TorporError):
    """The API will not have what was decided: it is no valid object, a webhook denies it, or a role is missing."""


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
        self._all: Informer | None = None  # every object of the kind, once they are looked after

    def use(self, options: Options) -> None:
        """Decide by these from now on, and look at every object again."""
        self._options = options
        self._look_at_all()

    def start(self, informers: dict[Kind, Informer]) -> None:
        """Look at every object, and from now on at those that changes concern. The informers must be synced."""
        kind = self._reconciler.kind
        self._follow(informers[kind], lambda _view, obj: (key_of(obj),))
        for watch in self._reconciler.watches:
            self._follow(informers[watch.kind], watch.keys)
        self._all = informers[kind]
        self._look_at_all()

    def _look_at_all(self) -> None:
        for key in () if self._all is None else self._all.items:
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
            try:
                await self._carry_out(obj, plan)
            except RefusedError as error:
                await self._tell_refusal(obj, error)
                return REFUSED_AGAIN_S
        except NotFoundError as error:  # it went in this very moment
            raise ConflictError(str(error)) from error
        return plan.again_s

    async def _tell_refusal(self, obj: Object, error: RefusedError) -> None:
        """Say on the object why nothing becomes of it: who looks at it sees that, and its owner's status repeats it."""
        log.warning("%s %s/%s, again in %g s: %s", obj.get("kind"), *key_of(obj), REFUSED_AGAIN_S, error)
        self._recorder.emit(obj, "Warning", REFUSED, str(error))
        status = obj.get("status") or {}
        mark = conditions.failed(REFUSED, str(error))
        marked = conditions.with_ready(status.get("conditions") or (), timestamp(self._clock.wall()), mark)
        told = {**status, "observedGeneration": obj["metadata"].get("generation", 1), "conditions": marked}
        if told != status:
            await self._cluster.replace(self._reconciler.kind, {**obj, "status": told}, "status")

    async def _carry_out(self, obj: Object, plan: Plan) -> None:
        for create in plan.creates:
            with _named(create.kind, create.obj):
                await self._cluster.create(create.kind, create.obj)
            _tell("created", create.kind, create.obj)
        for write in plan.replaces:
            with _named(write.kind, write.obj):
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


@contextlib.contextmanager
def _named(kind: Kind, obj: Object) -> Iterator[None]:
    """Say of what is refused for good what it was."""
    try:
        yield
    except (ForbiddenError, StatusError) as error:
        if isinstance(error, StatusError) and error.code >= 500:
            raise
        raise RefusedError(f'{kind.kind} "{obj["metadata"]["name"]}" is refused: {error}') from error


def _tell(what: str, kind: Kind, obj: Object) -> None:
    log.info("%s %s %s/%s", what, kind.kind, *key_of(obj))

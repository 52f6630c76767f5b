"""Deleting: finalizers, grace, dependents, and namespaces with all that is in them."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections import deque
from typing import Any

from torpor.aio.clock import Clock
from torpor.local.apiserver.kinds.resource import Resource
from torpor.local.apiserver.kinds.table import BY_KIND, RESOURCES, by_gvk
from torpor.local.apiserver.registry.options import DeleteOptions
from torpor.local.apiserver.status import conflict, forbidden, not_found
from torpor.local.apiserver.store import Store, Stored
from torpor.spec.kinds import NAMESPACE, Object

log = logging.getLogger(__name__)

FOREGROUND = "foregroundDeletion"
"""The finalizer of an object that waits for its dependents to go first."""
PERMANENT = frozenset({"default", "kube-system", "kube-public"})
BACKGROUND = DeleteOptions()


def finished(resource: Resource, obj: Object) -> bool:
    """Tell whether an object that is being deleted can go now."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if resource.kind == NAMESPACE:
        return False  # it goes with the last thing in it
    return not resource.graceful or metadata.get("deletionGracePeriodSeconds", 0) == 0


class Deletion:
    """Delete objects, and in a task of its own what depended on them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: deque[Stored] = deque()
        self._wake = asyncio.Event()
        store.on_removed = self._removed

    # --- one object --------------------------------------------------------------------------------------------

    def delete(self, resource: Resource, namespace: str, name: str, options: DeleteOptions) -> tuple[Object, bool]:
        """Delete an object; returns (its last state, whether it is gone already)."""
        stored = self._store.get(resource.kind, namespace, name)
        if stored is None:
            raise not_found(resource.kind, name)
        _check_preconditions(resource, stored, options)
        if resource.kind == NAMESPACE and name in PERMANENT:
            raise forbidden("this namespace may not be deleted", NAMESPACE, name)
        obj = stored.object()
        marked = self._marked(resource, obj, options)
        if options.dry_run:
            return marked, finished(resource, marked)
        if options.propagation == "Orphan":
            self._orphan(stored)
        if finished(resource, marked):
            self._store.remove(resource.kind, marked)
            return marked, True
        if marked != obj:
            written = self._store.write(resource.kind, marked)
            if resource.kind == NAMESPACE or FOREGROUND in (marked["metadata"].get("finalizers") or ()):
                self._later(written)
        return marked, False

    def _marked(self, resource: Resource, obj: Object, options: DeleteOptions) -> Object:
        """Return the object as one that is being deleted."""
        metadata = {**obj["metadata"]}
        marked = {**obj, "metadata": metadata}
        grace = _grace_s(resource, obj, options)
        if metadata.get("deletionTimestamp"):
            if resource.graceful and grace < metadata.get("deletionGracePeriodSeconds", 0):
                metadata |= {"deletionGracePeriodSeconds": grace, "deletionTimestamp": self._time(grace)}
            return marked
        metadata |= {"deletionTimestamp": self._time(grace), "deletionGracePeriodSeconds": grace}
        if "generation" in metadata:
            metadata["generation"] += 1
        if options.propagation == "Foreground" and self._blocking(metadata["uid"]):
            metadata["finalizers"] = [*(metadata.get("finalizers") or ()), FOREGROUND]
        if resource.kind == NAMESPACE:
            marked["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
        return marked

    def _orphan(self, owner: Stored) -> None:
        for stored in self._store.dependents(owner.uid):
            self._disown(stored, {owner.uid})

    def _disown(self, stored: Stored, uids: set[str]) -> None:
        """Take owners out of an object."""
        obj = stored.object()
        metadata = obj["metadata"]
        left = [each for each in metadata["ownerReferences"] if each["uid"] not in uids]
        metadata.pop("ownerReferences")
        if left:
            metadata["ownerReferences"] = left
        self._store.write(stored.kind, obj)

    def _blocking(self, uid: str) -> list[Stored]:
        """Return the dependents that keep a foreground deletion waiting."""
        return [stored for stored in self._store.dependents(uid) if _reference(stored, uid).get("blockOwnerDeletion")]

    # --- what follows ------------------------------------------------------------------------------------------

    def born(self, stored: Stored) -> None:
        """Look at an object that came with owners: they may be gone by now."""
        if stored.owners and not all(self._store.by_uid(uid) for uid in stored.owners):
            self._later(stored)

    def _removed(self, stored: Stored) -> None:
        self._later(stored)

    def _later(self, stored: Stored) -> None:
        self._waiting.append(stored)
        self._wake.set()

    async def run(self) -> None:
        """Collect what lost its owners and empty what namespaces leave; returns only when cancelled."""
        self._look_at_everything()
        while True:
            while self._waiting:
                stored = self._waiting.popleft()
                try:
                    self._follow(stored)
                except Exception:  # one object must not stop the collection of all others
                    log.exception("collecting after %s %s/%s failed", stored.kind.kind, stored.namespace, stored.name)
                await asyncio.sleep(0)  # a cascade of thousands lets requests in between
            self._wake.clear()
            await self._wake.wait()

    def _look_at_everything(self) -> None:
        """After a start: whatever the last process did not get to."""
        for resource in RESOURCES:
            for stored in self._store.items(resource.kind):
                if stored.owners or resource.kind == NAMESPACE or b'"deletionTimestamp"' in stored.body:
                    self._waiting.append(stored)

    def _follow(self, stored: Stored) -> None:
        current = self._store.get(stored.kind, stored.namespace, stored.name)
        if current is None or current.uid != stored.uid:
            for dependent in self._store.dependents(stored.uid):
                self._check_owners(dependent)
            for uid in stored.owners:
                self._release(uid)
            if stored.kind.namespaced:
                self._check_namespace(stored.namespace)
            return
        if current.owners:
            self._check_owners(current)
        self._release(current.uid)
        if current.kind == NAMESPACE:
            self._empty(current)

    def _check_owners(self, stored: Stored) -> None:
        """Delete an object whose owners are all gone; let it forget those that are, if others live."""
        references = stored.object()["metadata"].get("ownerReferences") or ()
        gone = {each["uid"] for each in references if self._is_gone(each)}
        if not gone:
            return
        if len(gone) < len(references):
            self._disown(stored, gone)
            return
        self._delete(stored, BACKGROUND)

    def _is_gone(self, reference: Any) -> bool:
        if self._store.by_uid(reference["uid"]) is not None:
            return False
        # An owner of a kind that is not served here is not ours to judge.
        return by_gvk(reference["apiVersion"], reference["kind"]) is not None

    def _release(self, uid: str) -> None:
        """Delete the dependents of an object that is deleted in the foreground; let it go after the last of them."""
        owner = self._store.by_uid(uid)
        if owner is None:
            return
        obj = owner.object()
        finalizers = obj["metadata"].get("finalizers") or []
        if FOREGROUND not in finalizers or not obj["metadata"].get("deletionTimestamp"):
            return
        blocking = self._blocking(uid)
        for dependent in blocking:
            self._delete(dependent, DeleteOptions(propagation="Foreground"))
        if blocking:
            return
        obj["metadata"]["finalizers"] = [each for each in finalizers if each != FOREGROUND]
        if finished(BY_KIND[owner.kind], obj):
            self._store.remove(owner.kind, obj)
        else:
            self._store.write(owner.kind, obj)

    def _delete(self, stored: Stored, options: DeleteOptions) -> None:
        # Its owner may have just deleted it, or something deeper in the same cascade.
        if self._store.by_uid(stored.uid) is not None:
            self.delete(BY_KIND[stored.kind], stored.namespace, stored.name, options)

    # --- namespaces --------------------------------------------------------------------------------------------

    def _empty(self, namespace: Stored) -> None:
        """Delete what is in a namespace that is being deleted."""
        if namespace.traits.fields["status.phase"] != "Terminating":
            return
        for resource in RESOURCES:
            if resource.kind.namespaced:
                for stored in self._store.items(resource.kind, namespace.name):
                    self._delete(stored, BACKGROUND)
        self._check_namespace(namespace.name)

    def _check_namespace(self, name: str) -> None:
        """Let a namespace go after the last thing in it."""
        namespace = self._store.get(NAMESPACE, "", name)
        if namespace is None or namespace.traits.fields["status.phase"] != "Terminating":
            return
        for resource in RESOURCES:
            if resource.kind.namespaced and self._store.items(resource.kind, name):
                return
        obj = namespace.object()
        if not obj["metadata"].get("finalizers"):
            self._store.remove(NAMESPACE, obj)

    def _time(self, grace_s: int) -> str:
        when = datetime.datetime.fromtimestamp(self._clock.wall() + grace_s, datetime.UTC)
        return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _grace_s(resource: Resource, obj: Object, options: DeleteOptions) -> int:
    """Return how long a pod may take to end; everything else goes at once."""
    if not resource.graceful:
        return 0
    status = obj.get("status") or {}
    never_ran = not (obj.get("spec") or {}).get("nodeName") and not status.get("containerStatuses")
    if status.get("phase") in {"Succeeded", "Failed"} or (never_ran and status.get("phase") == "Pending"):
        return 0  # there is no process to wait for
    if options.grace_s is not None:
        return max(0, options.grace_s)
    grace: int | None = (obj.get("spec") or {}).get("terminationGracePeriodSeconds")
    return 30 if grace is None else grace


def _check_preconditions(resource: Resource, stored: Stored, options: DeleteOptions) -> None:
    if options.uid is not None and options.uid != stored.uid:
        text = f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {stored.uid}"
        raise conflict(resource.kind, stored.name, text)
    if options.version is not None and options.version != str(stored.version):
        text = (
            f"Precondition failed: ResourceVersion in precondition: {options.version}, "
            f"ResourceVersion in object meta: {stored.version}"
        )
        raise conflict(resource.kind, stored.name, text)


def _reference(stored: Stored, uid: str) -> Any:
    references = stored.object()["metadata"].get("ownerReferences") or ()
    return next((each for each in references if each["uid"] == uid), {})

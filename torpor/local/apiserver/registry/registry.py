"""Create, update and patch: schema, defaults, validation, ownership of fields, and then one write.

Nothing here awaits: between reading an object and writing it, nobody else comes in.
"""

from __future__ import annotations

import datetime
import secrets
import uuid
from collections.abc import Callable
from typing import Any

from torpor.aio.clock import Clock
from torpor.local.apiserver.kinds.resource import Resource
from torpor.local.apiserver.patch.apply import apply
from torpor.local.apiserver.patch.managers import (
    Entry,
    Manager,
    after_update,
    read_entries,
    write_entries,
)
from torpor.local.apiserver.registry.carry import carry, same, wish, without
from torpor.local.apiserver.registry.deletion import Deletion, finished
from torpor.local.apiserver.registry.options import WriteOptions
from torpor.local.apiserver.registry.strictness import checked
from torpor.local.apiserver.registry.wide import Wide
from torpor.local.apiserver.status import (
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    modified,
    not_found,
    wrong,
)
from torpor.local.apiserver.store import Store, Stored
from torpor.local.apiserver.validation.metadata import validate_metadata, validate_unchanged
from torpor.spec.kinds import NAMESPACE, SERVICE_ACCOUNT, Object

Change = Callable[[Object], Object]
"""From an object, without managedFields and the caller's to keep, to what it shall be."""


class Registry:
    """Every write but deleting goes through here."""

    def __init__(self, store: Store, deletion: Deletion, clock: Clock) -> None:
        self._store = store
        self._deletion = deletion
        self._clock = clock
        self._cluster = Wide(store)

    # --- reading -----------------------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str, name: str) -> Stored:
        stored = self._store.get(resource.kind, namespace, name)
        if stored is None:
            raise not_found(resource.kind, name)
        return stored

    # --- create ------------------------------------------------------------------------------------------------

    def create(self, resource: Resource, namespace: str, obj: Object, options: WriteOptions) -> Object:
        """Create an object; raises 409 where there is one of that name."""
        obj = checked(resource, _addressed(resource, namespace, "", obj), options)
        metadata = obj["metadata"]
        if metadata.get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        if resource.status:
            obj.pop("status", None)
        manager = Manager(options.manager, "Update")
        return self._born(resource, obj, (), manager, options)

    def _born(
        self,
        resource: Resource,
        obj: Object,
        entries: tuple[Entry, ...],
        manager: Manager | None,
        options: WriteOptions,
    ) -> Object:
        """Give an object what every object has, and write it; `manager` None: `entries` say it all."""
        kind, metadata = resource.kind, obj["metadata"]
        self._check_namespace(resource, metadata.get("namespace", ""))
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName'][:58]}{_suffix()}"
        for name in ("selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "resourceVersion"):
            metadata.pop(name, None)
        now = self._now()
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now}
        metadata.pop("generation", None)
        if resource.generation:
            metadata["generation"] = 1
        resource.default(obj)
        self._validate(resource, obj, None)
        if self._store.get(kind, metadata.get("namespace", ""), metadata["name"]) is not None:
            raise already_exists(kind, metadata["name"])
        if manager is not None:
            entries = after_update(resource.node, {}, obj, entries, manager, now)
        if managed := write_entries(entries):
            metadata["managedFields"] = managed
        if options.dry_run:
            return obj
        stored = self._store.write(kind, obj)
        self._deletion.born(stored)
        if kind == NAMESPACE:
            self._give_account(metadata["name"])
        return obj

    def _check_namespace(self, resource: Resource, namespace: str) -> None:
        if not resource.kind.namespaced:
            return
        stored = self._store.get(NAMESPACE, "", namespace)
        if stored is None:
            raise not_found(NAMESPACE, namespace)
        if stored.traits.fields["status.phase"] == "Terminating":
            text = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(text, resource.kind)

    def _give_account(self, namespace: str) -> None:
        """Every namespace has a ServiceAccount `default`."""
        self._store.write(
            SERVICE_ACCOUNT,
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {
                    "name": "default",
                    "namespace": namespace,
                    "uid": str(uuid.uuid4()),
                    "creationTimestamp": self._now(),
                },
            },
        )

    # --- update and patch --------------------------------------------------------------------------------------

    def update(
        self, resource: Resource, namespace: str, name: str, sub: str, obj: Object, options: WriteOptions
    ) -> Object:
        """Replace an object, or its status; raises 409 if it is not the version that the client saw."""
        obj = _addressed(resource, namespace, name, obj)
        self.get(resource, namespace, name)
        if not resource.built_in and not obj["metadata"].get("resourceVersion"):
            # Kubernetes replaces its own kinds whatever their version, custom ones only if it is said.
            cause = wrong("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid(resource.kind, name, [cause])
        return self.change(resource, namespace, name, sub, lambda _old: obj, options)

    def change(
        self, resource: Resource, namespace: str, name: str, sub: str, change: Change, options: WriteOptions
    ) -> Object:
        """Write what `change` makes of an object."""
        stored = self.get(resource, namespace, name)
        old = stored.object()
        wanted = _addressed(resource, namespace, name, change(stored.object()))
        _check_version(resource, old, wanted)
        wanted = checked(resource, wanted, options)
        new = carry(resource, old, wanted, sub)
        entries = _entries(old, wanted)
        manager = Manager(options.manager, "Update", sub)
        return self._replace(resource, stored, old, new, entries, manager, options)

    def apply(
        self, resource: Resource, namespace: str, name: str, sub: str, config: Object, options: WriteOptions
    ) -> Object:
        """Server-side apply: create the object, or make it have what this manager wants beside what others want."""
        config = _addressed(resource, namespace, name, config)
        if config["metadata"].get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        config = checked(resource, config, options, whole=False)
        own = {"status"} if sub == "status" else set(config) - ({"status"} if resource.status else set())
        config = {key: value for key, value in config.items() if key in own | {"apiVersion", "kind", "metadata"}}
        manager, now = Manager(options.manager, "Apply", sub), self._now()
        stored = self._store.get(resource.kind, namespace, name)
        if stored is None:
            if sub or config["metadata"].get("uid"):
                raise not_found(resource.kind, name)
            bare: Object = {"apiVersion": config["apiVersion"], "kind": config["kind"], "metadata": {}}
            applied = apply(resource.node, bare, config, (), manager, now, force=True)
            obj = checked(resource, applied.obj, options)
            return self._born(resource, obj, applied.entries, None, options)
        old = stored.object()
        _check_version(resource, old, config)
        live = {**old, "metadata": without(old["metadata"], "managedFields")}
        mine = ("f:status",) if sub == "status" else ()
        entries = read_entries(old["metadata"].get("managedFields")) or ()
        applied = apply(resource.node, live, config, entries, manager, now, force=options.force, mine=mine)
        new = carry(resource, old, checked(resource, applied.obj, options), sub)
        return self._replace(resource, stored, old, new, applied.entries, None, options)

    def set_replicas(self, resource: Resource, stored: Stored, replicas: int, options: WriteOptions) -> Object:
        """Change `spec.replicas` alone; it has been checked, and nothing else needs to be."""
        old, new = stored.object(), stored.object()
        new["spec"]["replicas"] = replicas
        if new["spec"] == old["spec"]:
            return old
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        entries = read_entries(old["metadata"].get("managedFields")) or ()
        manager = Manager(options.manager, "Update", "scale")
        entries = after_update(resource.node, old, new, entries, manager, self._now())
        new["metadata"]["managedFields"] = write_entries(entries)
        if not options.dry_run:
            self._store.write(resource.kind, new)
        return new

    def _replace(
        self,
        resource: Resource,
        stored: Stored,
        old: Object,
        new: Object,
        entries: tuple[Entry, ...],
        manager: Manager | None,
        options: WriteOptions,
    ) -> Object:
        """Write `new` in place of `old` if anything is different."""
        if not manager or not manager.subresource:
            resource.default(new)
        metadata = new["metadata"] = dict(new["metadata"])
        if resource.generation and wish(new) != wish(old):
            metadata["generation"] = old["metadata"].get("generation", 0) + 1
        if not same(old, new):
            self._validate(resource, new, old)
            if manager is not None:
                entries = after_update(resource.node, old, new, entries, manager, self._now())
        metadata.pop("managedFields", None)
        if managed := write_entries(entries):
            metadata["managedFields"] = managed
        if new == old:
            return old
        if options.dry_run:
            return new
        if finished(resource, new):
            self._store.remove(resource.kind, new)
        else:
            written = self._store.write(resource.kind, new)
            if written.owners != stored.owners:
                self._deletion.born(written)
        return new

    # --- checks ------------------------------------------------------------------------------------------------

    def _validate(self, resource: Resource, new: Object, old: Object | None) -> None:
        cluster = self._cluster.now()  # before every write, so that no state of its ConfigMaps is missed
        causes = validate_metadata(new, resource.name_rule)
        if old is not None:
            causes += validate_unchanged(new, old)
        causes += resource.validate(new, old)
        if causes:
            raise invalid(resource.kind, new["metadata"].get("name", ""), causes)
        resource.admit(new, old, cluster)

    def _now(self) -> str:
        return timestamp(self._clock)


def timestamp(clock: Clock) -> str:
    """Return the time as Kubernetes writes it."""
    return datetime.datetime.fromtimestamp(clock.wall(), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""As in Kubernetes: no vowels, so that chance writes no words."""


def _suffix() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(5))


_LEFT_OUT = frozenset({"annotations", "finalizers", "labels", "ownerReferences"})
"""Of metadata: empty is the same as not there, and that is how it is written."""


def _addressed(resource: Resource, namespace: str, name: str, obj: Any) -> Object:
    """Return a copy whose kind, namespace and name are those of the request; raises a 400 where they contradict it."""
    kind = resource.kind
    if not isinstance(obj, dict):
        raise bad_request("the body of the request is no object")
    metadata = obj.get("metadata", {})
    if metadata is None:
        metadata = {}
    if not isinstance(metadata, dict):
        raise bad_request(f"metadata: an object is needed, and it is {metadata!r}")
    if obj.get("apiVersion", kind.api_version) != kind.api_version or obj.get("kind", kind.kind) != kind.kind:
        given = f"{obj.get('apiVersion')}, Kind={obj.get('kind')}"
        raise bad_request(f"the object provided is unrecognized (must be of type {kind.kind}): it is {given}")
    if name and metadata.get("name", name) != name:
        raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
    if kind.namespaced and (metadata.get("namespace") or namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    copied = {key: value for key, value in metadata.items() if key not in _LEFT_OUT or value not in ({}, [])}
    copied |= {"name": name} if name else {}
    copied.pop("namespace", None)
    if kind.namespaced:
        copied["namespace"] = namespace
    return {**obj, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": copied}


def _check_version(resource: Resource, old: Object, wanted: Object) -> None:
    """Compare the version and uid that a client saw, if it says so, with what is there."""
    before = old["metadata"]
    metadata = wanted["metadata"]
    version, uid = metadata.get("resourceVersion"), metadata.get("uid")
    if uid and uid != before["uid"]:
        text = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {before['uid']}"
        raise conflict(resource.kind, before["name"], text)
    if version and version not in {before["resourceVersion"], "0"}:  # 0: any
        if not str(version).isdecimal():
            cause = wrong("metadata.resourceVersion", version, "invalid resource version")
            raise invalid(resource.kind, before["name"], [cause])
        raise modified(resource.kind, before["name"])


def _entries(old: Object, wanted: Object) -> tuple[Entry, ...]:
    """Return who owns what before the write: clients may hand fields over, or forget all owners by an empty list."""
    live = read_entries(old["metadata"].get("managedFields")) or ()
    managed = wanted["metadata"].get("managedFields")
    if managed is None:
        return live
    if managed in ([], [{}]):
        return () if managed == [{}] else live
    given = read_entries(managed)
    return live if given is None else given

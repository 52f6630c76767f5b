"""Read, write and watch objects. One writer, one thread: what is read and then written has not changed in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import orjson

from torpor.errors import TorporError
from torpor.local.apiserver.status import resource_of
from torpor.local.apiserver.store.journal import Journal, Row
from torpor.local.apiserver.store.record import Change, Stored, Traits
from torpor.spec.kinds import Kind, Object

HISTORY = 2000
"""Changes kept of each kind, for watches that resume."""
HISTORY_BYTES = 16 * 2**20
CHECKPOINT_EVERY = 500
"""Writes after which the log is copied into the file."""

FieldsOf = Callable[[Kind, Object], Mapping[str, str]]


class ExpiredError(TorporError):
    """The changes since that version are no longer known."""


@dataclass(slots=True)
class _Shelf:
    """All that is held of one kind."""

    objects: dict[tuple[str, str], Stored] = field(default_factory=dict)
    history: deque[Change] = field(default_factory=deque)
    bytes: int = 0
    compacted: int = 0
    watchers: set[asyncio.Event] = field(default_factory=set)


class Store:
    """Every object, one global version that only grows, and the last changes of each kind."""

    def __init__(self, path: Path, kinds: Iterable[Kind], fields_of: FieldsOf, *, history: int = HISTORY) -> None:
        self._journal = Journal(path)
        self._fields_of = fields_of
        self._limit = history
        self._shelves = {kind: _Shelf() for kind in kinds}
        self._dependents: dict[str, set[tuple[Kind, str, str]]] = {}
        self._uids: dict[str, Stored] = {}
        self._unfolded = 0
        self.on_removed: Callable[[Stored], None] | None = None
        """Called after an object went: garbage collection and namespaces begin here."""
        self.version = self._journal.version()
        compacted = self._journal.compacted()
        for kind, shelf in self._shelves.items():
            self._load(kind, shelf, compacted.get(resource_of(kind), 0))

    def close(self) -> None:
        self._journal.close()

    # --- reading -----------------------------------------------------------------------------------------------

    def get(self, kind: Kind, namespace: str, name: str) -> Stored | None:
        return self._shelves[kind].objects.get((namespace, name))

    def by_uid(self, uid: str) -> Stored | None:
        return self._uids.get(uid)

    def items(self, kind: Kind, namespace: str | None = None) -> list[Stored]:
        """Return the objects of one namespace, or of all, ordered by namespace and name."""
        objects = self._shelves[kind].objects
        keys = objects if namespace is None else [key for key in objects if key[0] == namespace]
        return [objects[key] for key in sorted(keys)]

    def dependents(self, uid: str) -> list[Stored]:
        """Return the objects that name this uid as an owner."""
        found = (self.get(*each) for each in sorted(self._dependents.get(uid, ()), key=str))
        return [stored for stored in found if stored is not None]

    def changes(self, kind: Kind, after: int) -> list[Change]:
        """Return what changed since a version, oldest first; raises ExpiredError if that is not known any more."""
        shelf = self._shelves[kind]
        if after < shelf.compacted:
            raise ExpiredError(f"too old resource version: {after} ({shelf.compacted + 1})")
        found: list[Change] = []
        for change in reversed(shelf.history):  # whoever follows is near the end
            if change.stored.version <= after:
                break
            found.append(change)
        found.reverse()
        return found

    def forgotten(self, kind: Kind) -> int:
        """Return the newest version from which on a watch could not tell every change any more."""
        return self._shelves[kind].compacted

    def sketch(self, kind: Kind, obj: Object) -> Stored:
        """Return an object as if it were stored: for showing it."""
        metadata = {"uid": "", "resourceVersion": "0", **obj["metadata"]}
        return self._stored(kind, {**obj, "metadata": metadata}, orjson.dumps(obj))

    @contextlib.contextmanager
    def watching(self, kind: Kind) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever a change of this kind is there to be read."""
        wake = asyncio.Event()
        watchers = self._shelves[kind].watchers
        watchers.add(wake)
        try:
            yield wake
        finally:
            watchers.remove(wake)

    def wake_watchers(self) -> None:
        """Let every watch look up, though nothing changed."""
        for shelf in self._shelves.values():
            for wake in shelf.watchers:
                wake.set()

    # --- writing -----------------------------------------------------------------------------------------------

    def write(self, kind: Kind, obj: Object) -> Stored:
        """Create or replace an object; sets its resourceVersion."""
        metadata = obj["metadata"]
        known = self.get(kind, metadata.get("namespace", ""), metadata["name"])
        return self._commit(kind, obj, "ADDED" if known is None else "MODIFIED", known)

    def remove(self, kind: Kind, obj: Object) -> Stored:
        """Take an object away; `obj` is its last state."""
        metadata = obj["metadata"]
        known = self.get(kind, metadata.get("namespace", ""), metadata["name"])
        stored = self._commit(kind, obj, "DELETED", known)
        if self.on_removed is not None:
            self.on_removed(stored)
        return stored

    def _commit(
        self, kind: Kind, obj: Object, type_: Literal["ADDED", "MODIFIED", "DELETED"], known: Stored | None
    ) -> Stored:
        version = self.version + 1
        obj["metadata"]["resourceVersion"] = str(version)
        stored = self._stored(kind, obj, orjson.dumps(obj))
        change = Change(type_, stored, known.traits if known else None)
        shelf = self._shelves[kind]
        forget = self._to_forget(shelf, len(stored.body))
        row = Row(
            version=version,
            resource=resource_of(kind),
            namespace=stored.namespace,
            name=stored.name,
            type=type_,
            body=stored.body,
            before=None if known is None else orjson.dumps([dict(known.traits.labels), dict(known.traits.fields)]),
        )
        self._journal.write(row, forget)
        # From here on nothing can fail: memory follows the file.
        self.version = version
        self._unfolded += 1
        for _ in forget:
            shelf.compacted = shelf.history[0].stored.version
            shelf.bytes -= len(shelf.history.popleft().stored.body)
        self._remember(shelf, change)
        self._index(shelf, stored, known, gone=type_ == "DELETED")
        for wake in shelf.watchers:
            wake.set()
        return stored

    def _to_forget(self, shelf: _Shelf, coming: int) -> list[int]:
        """Return the versions of the oldest changes that must make room for one of `coming` bytes."""
        versions: list[int] = []
        count, size = len(shelf.history) + 1, shelf.bytes + coming
        for change in shelf.history:
            if count <= self._limit and size <= HISTORY_BYTES:
                break
            versions.append(change.stored.version)
            count -= 1
            size -= len(change.stored.body)
        return versions

    # --- upkeep ------------------------------------------------------------------------------------------------

    async def fold(self) -> None:
        """Copy the write-ahead log into the file now and then; returns only when cancelled."""
        while True:
            await asyncio.sleep(1.0)
            if self._unfolded >= CHECKPOINT_EVERY:
                self._unfolded = 0
                await asyncio.to_thread(self._journal.checkpoint)

    def _load(self, kind: Kind, shelf: _Shelf, compacted: int) -> None:
        resource = resource_of(kind)
        shelf.compacted = compacted
        for body in self._journal.objects(resource):
            stored = self._stored(kind, orjson.loads(body), body)
            self._index(shelf, stored, None, gone=False)
        for type_, body, before in self._journal.changes(resource):
            stored = self._stored(kind, orjson.loads(body), body)
            traits = None if before is None else Traits(*orjson.loads(before))
            self._remember(shelf, Change(type_, stored, traits))  # type: ignore[arg-type]  # as it was written

    def _stored(self, kind: Kind, obj: Object, body: bytes) -> Stored:
        metadata = obj["metadata"]
        return Stored(
            kind=kind,
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            uid=metadata["uid"],
            version=int(metadata["resourceVersion"]),
            body=body,
            traits=Traits(metadata.get("labels") or {}, self._fields_of(kind, obj)),
            owners=frozenset(owner["uid"] for owner in metadata.get("ownerReferences") or ()),
        )

    @staticmethod
    def _remember(shelf: _Shelf, change: Change) -> None:
        shelf.history.append(change)
        shelf.bytes += len(change.stored.body)

    def _index(self, shelf: _Shelf, stored: Stored, known: Stored | None, *, gone: bool) -> None:
        key = (stored.namespace, stored.name)
        place = (stored.kind, *key)
        if known is not None and known.owners != stored.owners:
            self._forget_owners(known, place)
        if gone:
            shelf.objects.pop(key, None)
            self._uids.pop(stored.uid, None)
            self._forget_owners(stored, place)
            return
        shelf.objects[key] = stored
        self._uids[stored.uid] = stored
        for owner in stored.owners:
            self._dependents.setdefault(owner, set()).add(place)

    def _forget_owners(self, stored: Stored, place: tuple[Kind, str, str]) -> None:
        for owner in stored.owners:
            places = self._dependents.get(owner)
            if places is not None:
                places.discard(place)
                if not places:
                    del self._dependents[owner]

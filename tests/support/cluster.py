"""A Kubernetes API in memory, for what is tested with a clock that stands still: `Cluster` without a socket.

It knows what the parts under test use: list, watch, get, create, replace, merge patch (also of `scale` and `status`),
delete. Selectors are of two forms: a label that must be there, and the one object of that name.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from typing import Any

from torpor import errors
from torpor.kube import Patch
from torpor.spec.kinds import Kind, Object, key_of


class FakeCluster:
    """Objects by kind; every change is told to the watches at once."""

    def __init__(self) -> None:
        self._versions = itertools.count(1)
        self._written = 0
        self._objects: dict[Kind, dict[tuple[str, str], Object]] = defaultdict(dict)
        self._watches: dict[Kind, list[asyncio.Queue[tuple[str, Object]]]] = defaultdict(list)
        self.patches: list[tuple[str, str, Any]] = []
        """(kind, name, body) of every patch that was asked for, refused ones too."""
        self.replaces: list[tuple[str, str, str]] = []
        """(kind, name, subresource) of every replacement that was asked for, refused ones too."""
        self.before_patch: Callable[[], None] | None = None
        """Called while a patch is on its way; may raise what the API answers."""
        self.held: asyncio.Event | None = None
        """While set to an event, a patch waits for it after it was applied: the answer is on its way."""

    @property
    def written(self) -> int:
        """How many changes there were so far."""
        return self._written

    # --- for tests ---------------------------------------------------------------------------------------------

    def put(self, kind: Kind, obj: Object) -> Object:
        """Create or replace an object, as somebody else would."""
        key = key_of(obj)
        known = self._objects[kind].get(key)
        stored = copy.deepcopy(obj) | {"apiVersion": kind.api_version, "kind": kind.kind}
        stored["metadata"].setdefault("generation", 1)
        stored["metadata"].setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        stored["metadata"].setdefault("uid", known["metadata"]["uid"] if known else f"uid-{next(self._versions)}")
        stored["metadata"]["resourceVersion"] = str(next(self._versions))
        self._objects[kind][key] = stored
        self._tell(kind, "MODIFIED" if known else "ADDED", stored)
        return copy.deepcopy(stored)

    def change(self, kind: Kind, name: str, namespace: str, body: Object) -> Object:
        """Merge into an object, as somebody else would."""
        return self.put(kind, _merge(self._find(kind, name, namespace), body))

    def remove(self, kind: Kind, name: str, namespace: str) -> None:
        gone = self._objects[kind].pop((namespace, name))
        gone["metadata"]["resourceVersion"] = str(next(self._versions))
        self._tell(kind, "DELETED", gone)

    def all(self, kind: Kind) -> list[Object]:
        return copy.deepcopy(list(self._objects[kind].values()))

    # --- as torpor.kube.Cluster ----------------------------------------------------------------------------------

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        chosen = [obj for obj in self.all(kind) if _fits(obj, labels) and _is_named(obj, namespace, fields)]
        return chosen, str(next(self._versions))

    async def watch(
        self, kind: Kind, resource_version: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> AsyncGenerator[tuple[str, Object]]:
        queue: asyncio.Queue[tuple[str, Object]] = asyncio.Queue()
        self._watches[kind].append(queue)
        try:
            while True:
                type_, obj = await queue.get()
                new = int(obj["metadata"]["resourceVersion"]) > int(resource_version)
                if new and _fits(obj, labels) and _is_named(obj, namespace, fields):
                    yield type_, obj
        finally:
            self._watches[kind].remove(queue)

    async def get(self, kind: Kind, name: str, namespace: str | None = None, sub: str | None = None) -> Object:
        return copy.deepcopy(self._find(kind, name, namespace or ""))

    async def create(self, kind: Kind, obj: Object) -> Object:
        if key_of(obj) in self._objects[kind]:
            raise errors.ConflictError(f"{obj['metadata']['name']} exists already")
        return self.put(kind, obj)

    async def replace(self, kind: Kind, obj: Object, sub: str | None = None) -> Object:
        """As the real API: what is not the newest is refused, and a status is apart from all else."""
        namespace, name = key_of(obj)
        self.replaces.append((kind.kind, name, sub or ""))
        await asyncio.sleep(0)
        known = self._find(kind, name, namespace)
        if obj["metadata"].get("resourceVersion") != known["metadata"]["resourceVersion"]:
            raise errors.ConflictError(f"{name} was changed by somebody else")
        if sub == "status":
            made = {**known, "status": obj["status"]}
        else:
            made = {**obj, **({"status": known["status"]} if "status" in known else {})}
            if made.get("spec") != known.get("spec"):
                generation = known["metadata"].get("generation", 0) + 1
                made["metadata"] = made["metadata"] | {"generation": generation}
        if made == known:
            return copy.deepcopy(known)
        return self.put(kind, made)

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        body: Any,
        *,
        how: Patch = Patch.MERGE,
        sub: str | None = None,
        manager: str = "torpor",
        force: bool = False,
    ) -> Object:
        assert how is Patch.MERGE, "other patches are the real API's business"
        self.patches.append((kind.kind, name, body))
        await asyncio.sleep(0)  # a request is never answered within the same turn of the loop
        if self.before_patch is not None:
            self.before_patch()
        patched = self.change(kind, name, namespace or "", body)
        if self.held is not None:
            await self.held.wait()
        if sub != "scale":
            return patched
        metadata = {name: patched["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
        return {"kind": "Scale", "metadata": metadata, "spec": {"replicas": patched["spec"]["replicas"]}}

    async def delete(
        self, kind: Kind, name: str, namespace: str | None = None, *, uid: str | None = None, **_: Any
    ) -> Object:
        gone = self._find(kind, name, namespace or "")
        if uid not in {None, gone["metadata"]["uid"]}:
            raise errors.ConflictError(f"{name} is another one by now")
        self.remove(kind, name, namespace or "")
        return gone

    def _find(self, kind: Kind, name: str, namespace: str) -> Object:
        try:
            return self._objects[kind][namespace, name]
        except KeyError:
            raise errors.NotFoundError(f'{kind.plural} "{name}" not found') from None

    def _tell(self, kind: Kind, type_: str, obj: Object) -> None:
        self._written += 1
        for queue in self._watches[kind]:
            queue.put_nowait((type_, copy.deepcopy(obj)))


def _is_named(obj: Object, namespace: str | None, fields: str) -> bool:
    assert not fields or fields.startswith("metadata.name="), "other selectors are the real API's business"
    metadata = obj["metadata"]
    fits = namespace is None or metadata.get("namespace", "") == namespace
    return fits and (not fields or fields == f"metadata.name={metadata['name']}")


def _fits(obj: Object, label: str) -> bool:
    return not label or label in (obj["metadata"].get("labels") or {})


def _merge(into: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(into) if isinstance(into, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged

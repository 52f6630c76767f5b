"""`metadata.managedFields`: who set which field, and what a write changes about that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from torpor.local.apiserver.patch.fields import FieldSet, Path, decode, differences, encode
from torpor.local.apiserver.schema.node import Node
from torpor.spec.kinds import Object

Operation = Literal["Apply", "Update"]

_METADATA = ("name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields")
NOBODYS: frozenset[Path] = frozenset(
    {
        (),
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        ("f:metadata", "f:resourceVersion"),
        ("f:metadata", "f:deletionTimestamp"),
        ("f:metadata", "f:deletionGracePeriodSeconds"),
        *(("f:metadata", f"f:{name}") for name in _METADATA),
    }
)
"""What the server itself looks after."""


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes, how, and through which subresource: three parts of one name."""

    name: str
    operation: Operation
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """The fields of one manager."""

    manager: Manager
    api_version: str
    time: str
    fields: FieldSet


def ownable(fields: Iterable[Path]) -> FieldSet:
    """Leave out what nobody owns."""
    return frozenset(
        path
        for path in fields
        # managedFields and the like may have paths below them
        if path not in NOBODYS and path[:2] not in NOBODYS and path[:1] not in {("f:apiVersion",), ("f:kind",)}
    )


def read_entries(managed: Any) -> tuple[Entry, ...] | None:
    """Read `metadata.managedFields`; None if it is not what it should be."""
    if not isinstance(managed, list):
        return None
    try:
        return tuple(
            Entry(
                Manager(item["manager"], item["operation"], item.get("subresource", "")),
                item["apiVersion"],
                item.get("time", ""),
                decode(item.get("fieldsV1") or {}),
            )
            for item in managed
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def write_entries(entries: Iterable[Entry]) -> list[Object]:
    """Return `metadata.managedFields`: those who apply first, then by time and name, as Kubernetes sorts them."""
    ordered = sorted(entries, key=lambda entry: (entry.manager.operation, entry.time, entry.manager.name))
    return [
        {
            "manager": entry.manager.name,
            "operation": entry.manager.operation,
            "apiVersion": entry.api_version,
            **({"time": entry.time} if entry.time else {}),
            "fieldsType": "FieldsV1",
            "fieldsV1": encode(entry.fields),
            **({"subresource": entry.manager.subresource} if entry.manager.subresource else {}),
        }
        for entry in ordered
        if entry.fields
    ]


def after_update(
    schema: Node,
    old: Object,
    new: Object,
    entries: tuple[Entry, ...],
    manager: Manager,
    now: str,
) -> tuple[Entry, ...]:
    """Return who owns what after `manager` turned `old` into `new` by a write that is not an apply.

    What it changed is its own now and nobody else's; what it removed is nobody's.
    """
    changed, removed = differences(schema, old, new)
    changed, removed = ownable(changed), ownable(removed)
    if not changed and not removed:
        return entries
    api_version = new["apiVersion"]
    lost = changed | removed
    kept: list[Entry] = []
    own: FieldSet = frozenset()
    for entry in entries:
        if entry.manager == manager:
            own = entry.fields
            if own | changed == own and not own & removed:
                changed = frozenset()
                kept.append(entry)
                own = frozenset()
        else:
            kept.append(replace(entry, fields=entry.fields - lost) if entry.fields & lost else entry)
    mine = (own | changed) - removed
    if mine:
        kept.append(Entry(manager, api_version, now, mine))
    return tuple(entry for entry in kept if entry.fields)

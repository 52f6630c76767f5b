"""Server-side apply: merge what a manager wants, refuse what others own, take away what it no longer wants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torpor.local.apiserver.patch.fields import (
    FieldSet,
    Path,
    associative,
    differences,
    item_element,
    paths,
    shown,
)
from torpor.local.apiserver.patch.managers import Entry, Manager, ownable
from torpor.local.apiserver.patch.order import joined
from torpor.local.apiserver.schema.node import ANYTHING, Node
from torpor.local.apiserver.status import ApiError, Cause
from torpor.spec.kinds import Object


@dataclass(frozen=True, slots=True)
class Applied:
    """The object as it shall be, and who owns what of it."""

    obj: Object
    entries: tuple[Entry, ...]


def apply(
    schema: Node,
    live: Object,
    config: Object,
    entries: tuple[Entry, ...],
    manager: Manager,
    now: str,
    *,
    force: bool,
    mine: Path = (),
) -> Applied:
    """Apply `config` to `live` (both without managedFields) for one manager.

    `mine` is the part of the object that this request may touch: all of it, or `("f:status",)`. Raises a 409 that
    names each field that another manager set to another value.
    """
    merged = merge(schema, live, config)
    wanted = ownable(path for path in paths(schema, config) if path[: len(mine)] == mine)
    changed, _ = differences(schema, live, merged)
    others = [entry for entry in entries if entry.manager != manager]
    conflicts = [(entry, entry.fields & changed & wanted) for entry in others]
    conflicts = [(entry, fields) for entry, fields in conflicts if fields]
    if conflicts and not force:
        raise _conflict(conflicts)
    taken = frozenset(path for _, fields in conflicts for path in fields)
    others = [replace(entry, fields=entry.fields - taken) for entry in others]
    before = next((entry for entry in entries if entry.manager == manager), None)
    if before is not None:
        kept = wanted.union(*(entry.fields for entry in others))
        merged = _without(schema, merged, before.fields - kept, kept)
    own = Entry(manager, config["apiVersion"], now, wanted)
    if before is not None and before.fields == wanted:
        own = before  # applied again: nothing is new, not even the time
    return Applied(merged, tuple(entry for entry in (*others, own) if entry.fields))


def merge(schema: Node, live: Any, config: Any) -> Any:
    """Return `live` with everything that `config` says; lists of type map and set merge item by item."""
    if isinstance(config, dict) and isinstance(live, dict) and not schema.atomic:
        merged = dict(live)
        for name, value in config.items():
            merged[name] = merge(schema.child(name) or ANYTHING, live[name], value) if name in live else value
        return merged
    if (
        isinstance(config, list)
        and isinstance(live, list)
        and associative(schema, config)
        and associative(schema, live)
    ):
        before = {item_element(schema, item): item for item in live}
        wanted = {item_element(schema, item): item for item in config}
        items = schema.items or ANYTHING
        both = {key: merge(items, before[key], item) if key in before else item for key, item in wanted.items()}
        return [both[key] if key in both else before[key] for key in joined(list(before), list(wanted))]
    return config


def _without(schema: Node, value: Any, gone: FieldSet, kept: FieldSet) -> Any:
    """Return `value` without the paths in `gone`; what lies on the way to a path in `kept` stays."""
    if not gone:
        return value
    # Every beginning of a path that stays: an item or map that holds something of somebody's is not removed.
    alive = frozenset(path[:length] for path in kept for length in range(1, len(path) + 1))
    return _prune(schema, value, (), gone, alive)


_GONE = object()


def _prune(schema: Node, value: Any, path: Path, gone: FieldSet, alive: FieldSet) -> Any:
    if path in gone and path not in alive:
        return _GONE
    if isinstance(value, dict) and value and not schema.atomic:
        pruned = {
            name: left
            for name, each in value.items()
            if (left := _prune(schema.child(name) or ANYTHING, each, (*path, f"f:{name}"), gone, alive)) is not _GONE
        }
        # What became empty by this goes too, unless somebody wants it empty; the object itself stays.
        return pruned if pruned or not path or path in alive else _GONE
    if isinstance(value, list) and value and associative(schema, value):
        items = schema.items or ANYTHING
        left_items = [(item, _prune(items, item, (*path, item_element(schema, item)), gone, alive)) for item in value]
        # What identifies an item stays as long as the item does.
        pruned_items = [
            {key: item[key] for key in schema.keys if key in item} | left if isinstance(left, dict) else left
            for item, left in left_items
            if left is not _GONE
        ]
        return pruned_items if pruned_items or path in alive else _GONE
    return value


def _conflict(conflicts: list[tuple[Entry, FieldSet]]) -> ApiError:
    causes = [
        Cause(shown(path), "FieldManagerConflict", f"conflict with {_who(entry)}")
        for entry, fields in conflicts
        for path in sorted(fields)
    ]
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}"
    else:
        parts = [
            f"conflicts with {_who(entry)}:\n" + "\n".join(f"- {shown(path)}" for path in sorted(fields))
            for entry, fields in conflicts
        ]
        text = f"Apply failed with {len(causes)} conflicts: " + "\n".join(parts)
    return ApiError(409, "Conflict", text, causes=causes)


def _who(entry: Entry) -> str:
    sub = f" with subresource {entry.manager.subresource!r}" if entry.manager.subresource else ""
    return f'"{entry.manager.name}"{sub} using {entry.api_version}'

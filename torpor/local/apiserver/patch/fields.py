"""Sets of fields, as `metadata.managedFields` has them: which paths an object has, and which differ between two.

A path is a tuple of elements in FieldsV1 notation: `f:name` a field, `k:{"name":"x"}` an item of a list by its keys,
`v:"x"` a member of a set.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from torpor.local.apiserver.schema.node import ANYTHING, Node

Path = tuple[str, ...]
FieldSet = frozenset[Path]


def item_element(schema: Node, item: Any) -> str:
    """Return the element that names an item of a list of type map or set."""
    if schema.list_type == "set":
        return "v:" + orjson.dumps(item).decode()
    keys: dict[str, Any] = {}
    for key in schema.keys:
        value = item.get(key)
        if value is None and schema.items is not None and key in schema.items.fields:
            value = schema.items.fields[key].default
        if value is not None:
            keys[key] = value
    return "k:" + orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()


def associative(schema: Node, value: Any) -> bool:
    """Tell whether a list is merged item by item; one whose items do not fit the schema is not."""
    if schema.list_type == "set":
        return True
    return schema.list_type == "map" and all(isinstance(item, dict) for item in value)


def paths(schema: Node, value: Any, prefix: Path = ()) -> FieldSet:
    """Return the paths of everything that `value` says."""
    found: set[Path] = set()
    _walk(schema, value, prefix, found)
    return frozenset(found)


def _walk(schema: Node, value: Any, prefix: Path, found: set[Path]) -> None:
    if isinstance(value, dict) and value and not schema.atomic:
        for name, each in value.items():
            path = (*prefix, f"f:{name}")
            if name not in schema.fields:  # the key of a map is a thing said in itself
                found.add(path)
            _walk(schema.child(name) or ANYTHING, each, path, found)
    elif isinstance(value, list) and value and associative(schema, value):
        for item in value:
            path = (*prefix, item_element(schema, item))
            found.add(path)
            if schema.list_type == "map":
                _walk(schema.items or ANYTHING, item, path, found)
    else:
        found.add(prefix)


def differences(schema: Node, old: Any, new: Any) -> tuple[FieldSet, FieldSet]:
    """Return (paths that are new or have another value, paths that are gone)."""
    changed: set[Path] = set()
    removed: set[Path] = set()
    _compare(schema, old, new, (), changed, removed)
    return frozenset(changed), frozenset(removed)


def _compare(schema: Node, old: Any, new: Any, prefix: Path, changed: set[Path], removed: set[Path]) -> None:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict) and not schema.atomic and (old and new):
        parts = [(f"f:{name}", schema.child(name) or ANYTHING, old.get(name), new.get(name)) for name in old | new]
        if any(name not in schema.fields for name in old | new):
            changed |= {(*prefix, f"f:{name}") for name in new if name not in schema.fields and name not in old}
            removed |= {(*prefix, f"f:{name}") for name in old if name not in schema.fields and name not in new}
    elif isinstance(old, list) and isinstance(new, list) and old and new and _both(schema, old, new):
        before = {item_element(schema, item): item for item in old}
        after = {item_element(schema, item): item for item in new}
        changed |= {(*prefix, each) for each in after if each not in before}
        removed |= {(*prefix, each) for each in before if each not in after}
        if schema.list_type == "set":
            return
        items = schema.items or ANYTHING
        parts = [(each, items, before.get(each), after.get(each)) for each in before | after]
    else:
        before_paths = frozenset() if old is None else paths(schema, old, prefix)
        after_paths = frozenset() if new is None else paths(schema, new, prefix)
        changed |= after_paths
        removed |= before_paths - after_paths
        return
    for element, child, was, is_ in parts:
        _compare(child, was, is_, (*prefix, element), changed, removed)


def _both(schema: Node, old: list[Any], new: list[Any]) -> bool:
    return associative(schema, old) and associative(schema, new)


def encode(fields: FieldSet) -> dict[str, Any]:
    """Return FieldsV1: a tree in which "." says that the path itself belongs to the set."""
    root: dict[str, Any] = {}
    for path in sorted(fields):
        place = root
        for element in path:
            place = place.setdefault(element, {})
        place["."] = {}
    _drop_lonely_dots(root)
    return root


def _drop_lonely_dots(tree: dict[str, Any]) -> None:
    for child in tree.values():
        if set(child) == {"."}:
            del child["."]
        else:
            _drop_lonely_dots(child)


def decode(tree: Any) -> FieldSet:
    """Read FieldsV1; raises ValueError if it is none."""
    found: set[Path] = set()
    _decode(tree, (), found)
    return frozenset(found)


def _decode(tree: Any, prefix: Path, found: set[Path]) -> None:
    if not isinstance(tree, dict):
        raise ValueError("fieldsV1 is a tree of objects")  # noqa: TRY004  # wrong content, not a wrong call
    for element, child in tree.items():
        if element == ".":
            found.add(prefix)
        elif element[:2] in {"f:", "k:", "v:", "i:"}:
            path = (*prefix, element)
            if child == {}:
                found.add(path)
            else:
                _decode(child, path, found)
        else:
            raise ValueError(f"fieldsV1 has no element {element!r}")


def within(fields: Iterable[Path], prefix: Path) -> FieldSet:
    """Return the paths at or below a prefix."""
    return frozenset(path for path in fields if path[: len(prefix)] == prefix)


def shown(path: Path) -> str:
    """Return a path as messages show it: `.spec.containers[name="x"].image`."""
    text = ""
    for element in path:
        sort, rest = element[:2], element[2:]
        if sort == "f:":
            text += f".{rest}"
        elif sort == "k:":
            keys = orjson.loads(rest)
            text += "[" + ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in keys.items()) + "]"
        else:
            text += f"[={rest}]"
    return text

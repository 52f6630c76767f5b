"""Strategic merge patch: lists merge item by item where their schema names a key, and directives say the rest."""

from __future__ import annotations

from typing import Any

from torpor.local.apiserver.patch.order import interleave
from torpor.local.apiserver.schema.node import ANYTHING, Node
from torpor.local.apiserver.status import bad_request

DIRECTIVE = "$patch"
RETAIN = "$retainKeys"
ORDER = "$setElementOrder/"
DELETE = "$deleteFromPrimitiveList/"


def strategic_merge(schema: Node, target: dict[str, Any], patch: Any) -> dict[str, Any]:
    """Return `target` with `patch` in it; neither is changed. Raises a 400 where a directive makes no sense."""
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: a strategic merge patch is an object")
    return _merge_map(schema, target, patch)


def _merge_map(schema: Node, target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    match patch.get(DIRECTIVE, "merge"):
        case "replace":
            return _merge_map(schema, {}, {key: value for key, value in patch.items() if key != DIRECTIVE})
        case "delete":
            return {}
        case "merge":
            pass
        case other:
            raise bad_request(f"Unknown patch type found: {other}")
    merged = _retained(target, patch)
    for key, value in patch.items():
        if key.startswith("$"):
            _check_directive(key)
            continue
        child = schema.child(key) or ANYTHING
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            known = merged.get(key)
            if "replace" in child.strategies or not isinstance(known, dict):
                known = {}
            merged[key] = _merge_map(child, known, value)
        elif isinstance(value, list):
            merged[key] = _merge_list(child, merged.get(key), value)
        else:
            merged[key] = value
    return _arranged(schema, target, merged, patch)


def _retained(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    keep = patch.get(RETAIN)
    if keep is None:
        return dict(target)
    given = [key for key, value in patch.items() if not key.startswith("$") and value is not None]
    if not isinstance(keep, list) or any(key not in keep for key in given):
        raise bad_request(f"{RETAIN} directive must contain all keys that the patch sets: {', '.join(given)}")
    return {key: value for key, value in target.items() if key in keep}


def _check_directive(key: str) -> None:
    if key not in {DIRECTIVE, RETAIN} and not key.startswith((ORDER, DELETE)):
        raise bad_request(f"unknown directive in the patch: {key}")


def _merge_list(schema: Node, target: Any, patch: list[Any]) -> list[Any]:
    known = target if isinstance(target, list) else []
    items = schema.items or ANYTHING
    if "merge" not in schema.strategies:
        return [_clean(items, item) for item in patch]
    if not schema.merge_key:
        return known + [item for index, item in enumerate(patch) if item not in known and item not in patch[:index]]
    return _merge_items(schema, items, known, patch)


def _merge_items(schema: Node, items: Node, known: list[Any], patch: list[Any]) -> list[Any]:
    """Merge lists of objects by their key; items may say that they delete or replace."""
    key = schema.merge_key
    for item in patch:
        if not isinstance(item, dict) or (key not in item and item != {DIRECTIVE: "replace"}):
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
    if any(item.get(DIRECTIVE) == "replace" for item in patch):
        rest = [{name: value for name, value in item.items() if name != DIRECTIVE} for item in patch]
        return [_clean(items, item) for item in rest if item]
    merged = list(known)
    for item in patch:
        places = [index for index, each in enumerate(merged) if isinstance(each, dict) and each.get(key) == item[key]]
        if item.get(DIRECTIVE) == "delete":
            merged = [each for index, each in enumerate(merged) if index not in places]
        elif places:
            merged[places[0]] = _merge_map(items, merged[places[0]], item)
        else:
            merged.append(_merge_map(items, {}, item))
    return merged


def _arranged(schema: Node, target: dict[str, Any], merged: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Follow the directives that stand beside a list: what to take out of it, and in which order it shall be."""
    for directive, value in patch.items():
        if directive.startswith(DELETE):
            name = directive.removeprefix(DELETE)
            if not isinstance(value, list):
                raise bad_request(f"{directive} must be a list")
            if isinstance(merged.get(name), list):
                merged[name] = [item for item in merged[name] if item not in value]
    for directive, value in patch.items():
        if directive.startswith(ORDER):
            name = directive.removeprefix(ORDER)
            if not isinstance(value, list):
                raise bad_request(f"{directive} must be a list")
            if isinstance(merged.get(name), list):
                key = (schema.child(name) or ANYTHING).merge_key
                merged[name] = _ordered(key, merged[name], value, target.get(name))
    return merged


def _ordered(key: str, merged: list[Any], order: list[Any], before: Any) -> list[Any]:
    def identity(item: Any) -> Any:
        value = item.get(key) if key and isinstance(item, dict) else item
        return repr(value)  # 8080 and "8080" are two keys; a dict is no key at all

    by_identity = {identity(item): item for item in merged}
    wanted = [each for each in dict.fromkeys(identity(item) for item in order) if each in by_identity]
    others = [each for each in by_identity if each not in set(wanted)]
    was = [identity(item) for item in before] if isinstance(before, list) else []
    return [by_identity[each] for each in interleave(wanted, others, was)]


def _clean(schema: Node, value: Any) -> Any:
    """Return a value that goes in where nothing was: its directives have nothing to act on."""
    return _merge_map(schema, {}, value) if isinstance(value, dict) else value

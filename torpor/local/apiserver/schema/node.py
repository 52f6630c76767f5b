"""Schemas compiled from the JSON files: references resolved, the words of Kubernetes' extensions read once."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

FILES = ("kubernetes.json", "knative.json", "kserve.json")
REFERENCE = "#/components/schemas/"


@dataclass(slots=True, eq=False)
class Node:
    """One place in an object. Built once, then only read; it may contain itself."""

    type: str = ""
    """object, array, string, integer, number, boolean; empty: anything."""
    fields: dict[str, Node] = field(default_factory=dict)
    values: Node | None = None
    """What a map holds."""
    items: Node | None = None
    required: tuple[str, ...] = ()
    format: str = ""
    default: Any = None
    preserve: bool = False
    """Unknown fields stay."""
    int_or_string: bool = False
    quantity: bool = False
    list_type: str = "atomic"
    """atomic, set or map."""
    keys: tuple[str, ...] = ()
    """What identifies an item of a list of type map."""
    atomic: bool = False
    """A map that is owned and replaced as a whole."""
    strategies: frozenset[str] = frozenset()
    """Of strategic merge patch: merge, replace, retainKeys."""
    merge_key: str = ""

    def child(self, name: str) -> Node | None:
        """Return the node of a field or of a map's value; None where the schema says nothing."""
        return self.fields.get(name) or self.values


ANYTHING = Node(preserve=True)
"""Where there is no schema: maps merge field by field, lists are atomic."""


@functools.cache
def definitions() -> dict[str, Any]:
    """Return every definition as the files have it; OpenAPI documents are made of these."""
    folder = Path(__file__).parent
    found: dict[str, Any] = {}
    for file in FILES:
        found |= orjson.loads((folder / file).read_bytes())
    return found


@functools.cache
def node(name: str) -> Node:
    """Return the compiled schema of a definition."""
    compiled = _COMPILED.get(name)
    if compiled is None:
        compiled = _COMPILED[name] = Node()  # before it is filled: a definition may refer to itself
        _fill(compiled, definitions()[name])
    return compiled


_COMPILED: dict[str, Node] = {}


def _compile(schema: dict[str, Any]) -> Node:
    target = schema.get("$ref")
    if target is None:
        compiled = Node()
        _fill(compiled, schema)
        return compiled
    base = node(target.removeprefix(REFERENCE))
    if not any(key.startswith("x-kubernetes") for key in schema):
        return base
    # The same type, with words of its own about how it merges here.
    compiled = Node(**{name: getattr(base, name) for name in Node.__slots__})
    _fill_extensions(compiled, schema)
    return compiled


def _fill(target: Node, schema: dict[str, Any]) -> None:
    target.type = schema.get("type", "")
    target.format = schema.get("format", "")
    target.default = schema.get("default")
    target.required = tuple(schema.get("required", ()))
    target.fields = {name: _compile(each) for name, each in schema.get("properties", {}).items()}
    if "additionalProperties" in schema:
        target.values = _compile(schema["additionalProperties"])
    if "items" in schema:
        target.items = _compile(schema["items"])
    _fill_extensions(target, schema)


def _fill_extensions(target: Node, schema: dict[str, Any]) -> None:
    def word(name: str, default: Any) -> Any:
        return schema.get(f"x-kubernetes-{name}", default)

    target.preserve = word("preserve-unknown-fields", target.preserve)
    target.int_or_string = word("int-or-string", target.int_or_string)
    target.quantity = word("quantity", target.quantity)
    target.list_type = word("list-type", target.list_type)
    target.keys = tuple(word("list-map-keys", target.keys))
    target.atomic = word("map-type", "atomic" if target.atomic else "") == "atomic"
    strategy = word("patch-strategy", "")
    target.strategies = frozenset(strategy.split(",")) if strategy else target.strategies
    target.merge_key = word("patch-merge-key", target.merge_key)

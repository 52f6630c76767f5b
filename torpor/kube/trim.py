"""Keep of objects only what is read, and one copy of what many of them have in common (client-go: SetTransform)."""

from __future__ import annotations

import enum
import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from torpor.spec.kinds import Object

POOLED = 1024
"""Values in common that are remembered; those that are used least go first, and are then kept once more."""


class Leaf(enum.Enum):
    """How a value is kept as a whole."""

    OWN = "own"
    """Each object has another."""
    COMMON = "common"
    """A text that other objects have too: it is kept once for all."""


@dataclass(frozen=True, slots=True)
class Once:
    """A part, cut to this shape, that is the same in many objects: it is kept once for all, and so never changed."""

    shape: Shape | Leaf


Shape: TypeAlias = "Mapping[str, Shape | Leaf | Once]"
"""What is kept of a mapping, by name; of a list: of each of its items. A name that ends in "/" stands for all that
begin so. What is no mapping is kept as it is."""
Part: TypeAlias = "Shape | Leaf | Once"


def trimmer(shape: Shape) -> Callable[[Object], Object]:
    """Return what makes an object of those parts alone, in memory of its own."""

    def trimmed(obj: Object) -> Object:
        # Copied: a text that stays would hold the memory around it, where all that goes was read from the wire.
        kept: Object = _shared(orjson.loads(orjson.dumps(_cut(obj, shape))), shape)
        return kept

    return trimmed


def kept_of(shape: Shape, name: str) -> Part | None:
    """Return how much is kept of what has this name; None: nothing."""
    prefix, slash, _ = name.partition("/")
    return shape.get(name) or shape.get(prefix + slash)


def _cut(value: Any, part: Part) -> Any:
    if isinstance(part, Once):
        return _cut(value, part.shape)
    return value if isinstance(part, Leaf) else _each(value, part, _cut)


def _shared(value: Any, part: Part) -> Any:
    if isinstance(part, Once):
        return _pooled(orjson.dumps(value))
    if isinstance(part, Leaf):
        return sys.intern(value) if part is Leaf.COMMON and isinstance(value, str) else value
    return _each(value, part, _shared)


def _each(value: Any, shape: Shape, of: Callable[[Any, Part], Any]) -> Any:
    """Return what is kept of a value, and `of` that of each of its parts."""
    if isinstance(value, list):
        return [_each(each, shape, of) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: of(each, kept) for name, each in value.items() if (kept := kept_of(shape, name)) is not None}


@functools.lru_cache(POOLED)
def _pooled(raw: bytes) -> Any:
    return orjson.loads(raw)

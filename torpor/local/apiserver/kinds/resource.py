"""What there is to know about a kind. A further kind is one more of these in `table`."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torpor.local.apiserver.schema import Node, node
from torpor.local.apiserver.status import Cause
from torpor.spec.cluster import ClusterWide
from torpor.spec.kinds import Kind, Object

Cell = str | int | bool | None
NameRule = Literal["subdomain", "label", "label1035"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`."""

    name: str
    value: Callable[[Object, datetime.datetime], Cell]
    type: str = "string"
    format: str = ""
    description: str = ""
    wide: bool = False
    """Shown by `-o wide` only."""


def _nothing(_obj: Object) -> None:
    """Most kinds need no defaults."""


def _fine(_new: Object, _old: Object | None) -> list[Cause]:
    return []


def _admitted(_new: Object, _old: Object | None, _cluster: ClusterWide) -> None:
    """Most kinds have no admission webhook."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind and its ways."""

    kind: Kind
    schema: str
    """Name of its definition."""
    columns: tuple[Column, ...]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    built_in: bool = True
    """Kubernetes' own, not a custom resource: it has strategic merge patch, and other words for some errors."""
    status: bool = False
    """`status` is a subresource: only writable there."""
    scale: bool = False
    """`scale` is a subresource, for `spec.replicas`."""
    generation: bool = False
    """metadata.generation counts the changes of what is wanted."""
    graceful: bool = False
    """Deleting asks first: the object goes when its process has."""
    name_rule: NameRule = "subdomain"
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What field selectors may ask, beside name and namespace: `status.phase` -> ("status", "phase")."""
    default: Callable[[Object], None] = _nothing
    """Fill in what clients rely on; changes the object."""
    validate: Callable[[Object, Object | None], list[Cause]] = _fine
    """(new, old) -> what is wrong beyond the schema; old is None for a creation."""
    admit: Callable[[Object, Object | None, ClusterWide], None] = _admitted
    """What an admission webhook would say, by what holds for this cluster: raises an ApiError, or changes nothing."""

    @property
    def node(self) -> Node:
        return node(self.schema)

    @property
    def singular(self) -> str:
        return self.kind.kind.lower()

    @property
    def subresources(self) -> tuple[str, ...]:
        return (*(("status",) if self.status else ()), *(("scale",) if self.scale else ()))

    def selectable(self, obj: Object) -> dict[str, str]:
        """Return what field selectors see of an object."""
        metadata = obj["metadata"]
        found = {"metadata.name": metadata["name"], "metadata.namespace": metadata.get("namespace", "")}
        for name, path in self.fields.items():
            value: Any = obj
            for step in path:
                value = value.get(step) if isinstance(value, dict) else None
            found[name] = "" if value is None else str(value)
        return found

    def selects_by(self) -> set[str]:
        return {"metadata.name", "metadata.namespace", *self.fields}

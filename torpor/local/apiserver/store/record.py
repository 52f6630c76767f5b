"""What the store holds: objects as bytes, with what selectors ask about beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from torpor.spec.kinds import Kind, Object


@dataclass(frozen=True, slots=True)
class Traits:
    """What selectors look at."""

    labels: Mapping[str, str]
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """One object at one version. The bytes are what clients get; nobody can change them by accident."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    version: int
    body: bytes
    traits: Traits
    owners: frozenset[str]
    """The uids in metadata.ownerReferences."""

    def object(self) -> Object:
        """Return the object, parsed anew: the caller may change it."""
        parsed: Object = orjson.loads(self.body)
        return parsed


@dataclass(frozen=True, slots=True)
class Change:
    """An object came, changed, or went; `before` is what selectors saw of it until then."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    stored: Stored
    before: Traits | None

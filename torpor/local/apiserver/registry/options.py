"""How a write is meant, as its query parameters and body say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Validation = Literal["Strict", "Warn", "Ignore"]
Propagation = Literal["Background", "Foreground", "Orphan"]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Of a create, update or patch."""

    manager: str = "unknown"
    """Who owns the fields that this write sets."""
    dry_run: bool = False
    force: bool = False
    """An apply may take fields from their owners."""
    validation: Validation = "Warn"
    warnings: list[str] = field(default_factory=list)
    """Filled by the write: what the client is told beside a success."""


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """Of a delete."""

    grace_s: int | None = None
    uid: str | None = None
    version: str | None = None
    """With these two, only that incarnation or version is deleted."""
    propagation: Propagation = "Background"
    dry_run: bool = False

"""Cells of `kubectl get`: where they are in an object, and how Kubernetes writes ages."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from torpor.local.apiserver.kinds.resource import Cell, Column
from torpor.spec.kinds import Object

NONE = "<none>"
UNKNOWN = "<unknown>"

Value = Callable[[Object, datetime.datetime], Cell]


def find(obj: Any, *path: str) -> Any:
    """Return what lies at a path, or None."""
    for step in path:
        obj = obj.get(step) if isinstance(obj, dict) else None
    return obj


def at(*path: str) -> Value:
    """A cell that is a value of the object."""

    def read(obj: Object, _now: datetime.datetime) -> Cell:
        value = find(obj, *path)
        return value if value is None or isinstance(value, str | int) else str(value)

    return read


def condition(type_: str, part: str) -> Value:
    """A cell that is the status or reason of a condition."""

    def read(obj: Object, _now: datetime.datetime) -> Cell:
        for item in find(obj, "status", "conditions") or ():
            if item.get("type") == type_:
                value = item.get(part)
                return None if value is None else str(value)
        return None

    return read


def since(*path: str) -> Value:
    """A cell that is how long ago something was."""

    def read(obj: Object, now: datetime.datetime) -> Cell:
        return age(find(obj, *path), now)

    return read


def age(time: str | None, now: datetime.datetime) -> str:
    """Return how long ago a time was, as kubectl writes it."""
    if not time:
        return UNKNOWN
    return human(int((now - parse_time(time)).total_seconds()))


def parse_time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))


def human(seconds: int) -> str:
    """Two units where the larger one is small: 95s, 2m30s, 45m, 3h20m, 30h, 3d4h, 20d, 2y30d."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < -1:
        return "<invalid>"
    if seconds < 120:
        return f"{max(seconds, 0)}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 2 * 365:
        return f"{days}d"
    if days < 8 * 365:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


def joined(values: Any, separator: str = ",") -> str:
    """Return values as one cell; none of them is `<none>`."""
    return separator.join(str(value) for value in values) or NONE


def labels(mapping: Any) -> str:
    """Return a selector as one cell."""
    return joined(f"{key}={value}" for key, value in sorted((mapping or {}).items()))


NAME = Column("Name", at("metadata", "name"), format="name", description="Name must be unique within a namespace.")
AGE = Column("Age", since("metadata", "creationTimestamp"), description="How long ago it was created.")
CUSTOM_AGE = Column("Age", since("metadata", "creationTimestamp"), type="date")

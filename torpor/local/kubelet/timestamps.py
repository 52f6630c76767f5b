"""Times as Kubernetes writes them."""

from __future__ import annotations

import datetime


def timestamp(wall_s: float) -> str:
    """Return seconds since 1970 as text, whole seconds as everywhere in Kubernetes."""
    return datetime.datetime.fromtimestamp(wall_s, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> float:
    """Return a timestamp as seconds since 1970."""
    return datetime.datetime.fromisoformat(text).timestamp()

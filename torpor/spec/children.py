"""How what is made for an object is called: Knative's rule, so that names fit Kubernetes' 63 characters."""

from __future__ import annotations

import hashlib

LONGEST = 63
_HASH = 32
_HEAD = LONGEST - _HASH


def child_name(parent: str, suffix: str) -> str:
    """Return `parent + suffix`; where that is too long, the parent's end becomes a hash of all of it."""
    if len(parent) + len(suffix) <= LONGEST:
        return parent + suffix
    if len(suffix) >= _HEAD:
        return parent[:_HEAD] + _digest(parent + suffix)
    return parent[: _HEAD - len(suffix)] + _digest(parent) + suffix


def deployment_name(revision: str) -> str:
    """Return the name of a revision's Deployment."""
    return child_name(revision, "-deployment")


def private_service_name(revision: str) -> str:
    """Return the name of the core Service whose endpoints are a revision's pods."""
    return child_name(revision, "-private")


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

"""The reference by which an object says which one made it, and goes with it."""

from __future__ import annotations

from torpor.spec.kinds import Object


def owned_by(owner: Object) -> Object:
    """The ownerReference of an object that `owner` controls."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }

"""What an update keeps of the object that it replaces. Pure."""

from __future__ import annotations

from typing import Any

from torpor.local.apiserver.kinds.resource import Resource
from torpor.spec.kinds import Object

_KEPT = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
)
"""Of metadata: not the client's to change."""


def wish(obj: Object) -> dict[str, Any]:
    """Return what its owner wants of an object: all but metadata and status."""
    return {key: value for key, value in obj.items() if key not in {"metadata", "status", "apiVersion", "kind"}}


def carry(resource: Resource, old: Object, new: Object, sub: str) -> Object:
    """Return the object that an update of `old` to `new` makes, before defaults; both are left as they are."""
    if sub == "status":
        # A status is written by who watches over the object; what is wanted of it is not theirs.
        carried = {key: value for key, value in old.items() if key != "status"}
        if "status" in new:
            carried["status"] = new["status"]
        return carried
    carried = {**new, "apiVersion": resource.kind.api_version, "kind": resource.kind.kind}
    metadata = {key: value for key, value in new["metadata"].items() if key not in {*_KEPT, "selfLink"}}
    before = old["metadata"]
    kept = {key: before[key] for key in _KEPT if key in before}
    carried["metadata"] = {**kept, **metadata, "resourceVersion": before["resourceVersion"]}
    if resource.status:
        carried.pop("status", None)
        if "status" in old:
            carried["status"] = old["status"]
    return carried


def same(old: Object, new: Object) -> bool:
    """Tell whether an update changes nothing but perhaps who owns it."""
    return _plain(old) == _plain(new)


def _plain(obj: Object) -> Object:
    return {**obj, "metadata": without(obj["metadata"], "managedFields", "resourceVersion")}


def without(mapping: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in names}

"""The `scale` subresource: how many pods there shall be, and nothing else. It is written often, and has to be fast."""

from __future__ import annotations

from typing import Any

from torpor.local.apiserver.kinds.resource import Resource
from torpor.local.apiserver.registry.options import WriteOptions
from torpor.local.apiserver.registry.registry import Change, Registry
from torpor.local.apiserver.status import bad_request, conflict, invalid, modified, wrong
from torpor.local.apiserver.store import Stored
from torpor.spec.kinds import Kind, Object

SCALE = Kind("autoscaling", "v1", "Scale", "scales")
MAX_REPLICAS = 2**31 - 1


class Scaling:
    """Read and write `autoscaling/v1 Scale` objects, each a view of `spec.replicas`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def read(self, stored: Stored) -> Object:
        return scale_of(stored.object())

    def change(self, resource: Resource, namespace: str, name: str, change: Change, options: WriteOptions) -> Object:
        """Write what `change` makes of the Scale; raises 409 if it names a version that is not the newest."""
        stored = self._registry.get(resource, namespace, name)
        obj = stored.object()
        before = scale_of(obj)
        wanted = change(scale_of(obj))
        _check_identity(resource, before, wanted)
        replicas = _replicas(name, wanted)
        written = self._registry.set_replicas(resource, stored, replicas, options)
        return scale_of(written)


def scale_of(obj: Object) -> Object:
    """Return the Scale of an object that has replicas."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {"replicas": status.get("replicas", 0), "selector": _selector(spec.get("selector") or {})},
    }


def _selector(selector: Any) -> str:
    """Return a label selector as text, as autoscalers take it."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for each in selector.get("matchExpressions") or ():
        key, values = each["key"], ",".join(each.get("values") or ())
        texts = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        parts.append(texts.get(each["operator"], f"!{key}"))
    return ",".join(parts)


def _check_identity(resource: Resource, before: Object, wanted: Any) -> None:
    metadata = wanted.get("metadata") if isinstance(wanted, dict) else None
    if not isinstance(wanted, dict) or not isinstance(metadata or {}, dict):
        raise bad_request("Scale: an object is needed")
    name = before["metadata"]["name"]
    for key in ("name", "namespace"):
        given = (metadata or {}).get(key)
        if given and given != before["metadata"].get(key):
            raise bad_request(f"the {key} of the object ({given}) does not match the {key} on the URL")
    version, uid = (metadata or {}).get("resourceVersion"), (metadata or {}).get("uid")
    if uid and uid != before["metadata"]["uid"]:
        raise conflict(resource.kind, name, f"Precondition failed: UID in precondition: {uid}")
    if version and version != before["metadata"]["resourceVersion"]:
        raise modified(resource.kind, name)


def _replicas(name: str, wanted: Object) -> int:
    spec = wanted.get("spec") or {}
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise bad_request(f"Scale: spec.replicas: a whole number is needed, and it is {replicas!r}")
    if not 0 <= replicas <= MAX_REPLICAS:
        text = "must be greater than or equal to 0"
        raise invalid(SCALE, name, [wrong("spec.replicas", replicas, text)])
    return replicas

"""Routes and Configurations as the API holds them."""

from __future__ import annotations

from torpor.spec.kinds import Object


def route(name: str, *traffic: Object, namespace: str = "default", url: str = "", **more: Object) -> Object:
    """Return a Route; `traffic` is its status's."""
    status: Object = {"traffic": list(traffic)} if traffic else {}
    if url:
        status["url"] = url
    return {"metadata": {"namespace": namespace, "name": name}, "status": status, **more}


def to(revision: str, percent: int = 100, **more: object) -> Object:
    """Return a line of traffic."""
    return {"revisionName": revision, "percent": percent, **more}


def configuration(name: str, newest: str = "", namespace: str = "default") -> Object:
    """Return a Configuration that made `newest` last."""
    status = {"latestCreatedRevisionName": newest} if newest else {}
    return {"metadata": {"namespace": namespace, "name": name}, "status": status}

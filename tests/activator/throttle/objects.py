"""Revisions, pods and EndpointSlices as the API holds them."""

from __future__ import annotations

from torpor.spec import names
from torpor.spec.kinds import Object

KEY = ("default", "app-1")
LABELS = {names.REVISION: KEY[1]}


def revision(name: str = KEY[1], annotations: dict[str, str] | None = None, **spec: object) -> Object:
    return {"metadata": {"namespace": KEY[0], "name": name, "annotations": annotations or {}}, "spec": spec}


def with_ready(status: str, reason: str = "", message: str = "") -> Object:
    """Return the revision with this condition."""
    condition = {"type": "Ready", "status": status, "reason": reason, "message": message}
    return revision() | {"status": {"conditions": [condition]}}


def pod(name: str, *statuses: Object, since: str | None = None, ready: bool = False, **metadata: object) -> Object:
    """Return a pod of the revision, with these container statuses, ready or not `since` then."""
    conditions = [{"type": "Ready", "status": str(ready), "lastTransitionTime": since}] if since else []
    return {
        "metadata": {"namespace": KEY[0], "name": name, "labels": LABELS, **metadata},
        "status": {"containerStatuses": list(statuses), "conditions": conditions},
    }


def container(restarts: int = 0, last: Object | None = None, **state: Object) -> Object:
    """Return a container's status; `state` is one of waiting, running, terminated."""
    status: Object = {"name": "user-container", "restartCount": restarts, "state": state}
    return status if last is None else {**status, "lastState": {"terminated": last}}


def ended(code: int = 1, message: str = "", started: str = "2026-01-01T00:00:05Z", reason: str = "Error") -> Object:
    return {"exitCode": code, "message": message, "startedAt": started, "reason": reason}


RUNNING: Object = {"startedAt": "2026-01-01T00:00:05Z"}
BACK_OFF: Object = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}


def endpoint_slice(name: str, *pods: str, labels: dict[str, str] | None = None, **conditions: bool) -> Object:
    """Return a slice with one endpoint for each pod."""
    return {
        "metadata": {
            "namespace": KEY[0],
            "name": name,
            "labels": labels or LABELS | {names.SERVICE_NAME: f"{KEY[1]}-private"},
        },
        "ports": [{"name": "http", "port": 20_001}],
        "endpoints": [
            {
                "addresses": ["127.0.0.1"],
                "conditions": conditions or {"ready": True},
                "targetRef": {"kind": "Pod", "name": each, "uid": f"uid-{each}"},
            }
            for each in pods
        ],
    }

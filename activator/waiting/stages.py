"""How far a pod is that requests wait for, in one word: from what Kubernetes and the pod itself say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torpor.spec import names
from torpor.spec.kinds import Object
from torpor.spec.revision import DEFAULT_PORT


class Stage(NamedTuple):
    """What those who wait are told."""

    name: str
    percent: int | None = None
    """Of the stage, where its length is known."""


WAKE = Stage("wake")
"""A pod was asked for, and is not there yet."""
SCHEDULE = Stage("schedule")
"""The pod is there, and none of its containers runs: it waits for a node, or its images are pulled."""
START = Stage("start")
"""It runs, and says nothing of its progress; also where it never does."""
READY = Stage("ready")
"""It says that it is ready, and is about to get requests."""
QUEUE = Stage("queue")
"""Pods are ready, and have no room."""
ANSWER = Stage("answer")
"""A pod has the request."""

_ORDER = ("wake", "schedule", "start", "resolve", "fetch", "verify", "open", "warm", "ready")


def of_pod(pod: Object | None) -> Stage:
    """Return how far a pod is by its status."""
    if pod is None:
        return WAKE
    states = [each.get("state") or {} for each in (pod.get("status") or {}).get("containerStatuses") or ()]
    return START if any("running" in state for state in states) else SCHEDULE


def of_progress(document: Mapping[str, Any]) -> Stage | None:
    """Return how far a pod is by its own report; None where it does not say."""
    if document.get("state") == "ready":
        return READY
    stages = document.get("stages")
    if not isinstance(stages, list) or not stages or not isinstance(stages[-1], Mapping):
        return None
    name = stages[-1].get("name")
    if name not in _ORDER:
        return None  # it goes on one line, and to everybody who waits
    done, total = document.get("bytes_done"), document.get("bytes_total")
    known = name == "fetch" and isinstance(done, int) and isinstance(total, int) and total > 0
    return Stage(str(name), max(0, min(100, 100 * done // total)) if known else None)  # type: ignore[operator]


def furthest(stages: Iterable[Stage]) -> Stage:
    """Return how far the first of the pods is: it is the one that ends the wait."""
    return max(stages, key=lambda stage: (_ORDER.index(stage.name), stage.percent or 0), default=WAKE)


def report_of(pod: Object) -> tuple[str, int, str] | None:
    """Return (host, port, path) of a pod's own report; None where it has none, or no address yet."""
    metadata, host = pod["metadata"], (pod.get("status") or {}).get("podIP")
    annotations = metadata.get("annotations") or {}
    path = annotations.get(names.PROGRESS_PATH)
    if not path or not host or of_pod(pod) is not START:
        return None
    declared = annotations.get(names.POD_PORT)
    if declared is not None:
        return (host, int(declared), path) if str(declared).isdecimal() else None
    containers = (pod.get("spec") or {}).get("containers") or ()
    ports = [each["containerPort"] for container in containers for each in container.get("ports") or ()]
    return host, int(ports[0]) if ports else DEFAULT_PORT, path

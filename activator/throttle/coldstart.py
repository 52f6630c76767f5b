"""Say how a cold start's time was spent."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from activator.throttle.pod import Stages
from torpor.spec.kinds import Object
from torpor.telemetry import metrics


def header(queue_s: float, first_byte_s: float, stages: Stages | None) -> bytes:
    """Return the line `Torpor-Cold-Start`; what the pod did not tell is left out."""
    parts = [f"queue={queue_s:.3f}"]
    if stages is not None:
        parts.append(f"start={stages.start_s:.3f}")
        if stages.load_s is not None:
            parts.append(f"load={stages.load_s:.3f}")
    parts.append(f"first-byte={first_byte_s:.3f}")
    metrics.ACTIVATOR_COLD_START_SECONDS.labels("queue").observe(queue_s)
    metrics.ACTIVATOR_COLD_START_SECONDS.labels("first-byte").observe(first_byte_s)
    return f"Torpor-Cold-Start: {';'.join(parts)}\r\n".encode()


def told(stages: Stages) -> None:
    """Count what a pod told of its start, once per pod."""
    metrics.ACTIVATOR_COLD_START_SECONDS.labels("start").observe(stages.start_s)
    if stages.load_s is not None:
        metrics.ACTIVATOR_COLD_START_SECONDS.labels("load").observe(stages.load_s)


def from_progress(document: Mapping[str, Any]) -> Stages | None:
    """Read a pod's own report; None where it does not say when it started and listened."""
    times = [document.get(name) for name in ("started_at", "listening_at", "ready_at")]
    started, listening, ready = (float(at) if isinstance(at, int | float) else None for at in times)
    if started is None or listening is None:
        return None
    return Stages(max(0.0, listening - started), None if ready is None else max(0.0, ready - listening))


def runs(pod: Object) -> bool:
    """Tell whether a container of a pod runs."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any((each.get("state") or {}).get("running") for each in statuses)


def from_status(pod: Object, now_s: float) -> Stages | None:
    """Return what Kubernetes knows, to the second: from the start of the containers until the pod was ready, or now."""
    status = pod.get("status") or {}
    states = [each.get("state") or {} for each in status.get("containerStatuses") or ()]
    started = [at for at in (_seconds((state.get("running") or {}).get("startedAt")) for state in states) if at]
    if not started:
        return None
    ready = [
        _seconds(item.get("lastTransitionTime"))
        for item in status.get("conditions") or ()
        if item.get("type") == "Ready" and item.get("status") == "True"
    ]
    return Stages(max(0.0, (ready[0] if ready and ready[0] else now_s) - min(started)), None)


def _seconds(time: str | None) -> float | None:
    return datetime.datetime.fromisoformat(time).timestamp() if time else None

"""Say how a cold start's time was spent."""

from __future__ import annotations

from activator.throttle.pod import Stages
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

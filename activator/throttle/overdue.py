"""Say which of a revision's times a request has overrun on its pod; the time in the queue is not counted."""

from __future__ import annotations

from torpor.spec.knative import RevisionLimits


def overdue(limits: RevisionLimits, *, age_s: float, quiet_s: float, begun: bool, endless: bool = False) -> str | None:
    """Return what the pod failed to do in time, None where it is in time.

    `age_s` is since the request got its slot, `quiet_s` since the pod last said something; `begun`: the answer has;
    `endless`: it is a tunnel, which may last.
    """
    if not begun and age_s > limits.response_start_timeout_s:
        return f"did not begin to answer within {limits.response_start_timeout_s:g} s"
    if age_s > limits.timeout_s and not endless:
        return f"did not finish its answer within {limits.timeout_s:g} s"
    if limits.idle_timeout_s is not None and quiet_s > limits.idle_timeout_s:
        return f"sent nothing for {limits.idle_timeout_s:g} s"
    return None

"""Say in one line why a revision was scaled: the log and the Kubernetes event show it."""

from __future__ import annotations

import math

from activator.autoscaler.decide import Decision, Policy, Reason, Snapshot

_WORDS = {
    Reason.NO_DATA: "not enough is known of its load",
    Reason.STABLE: "its load over the stable window",
    Reason.PANIC: "a sudden load (panic)",
    Reason.PANIC_HOLD: "a panic that is not over yet",
    Reason.SCALE_DOWN_DELAY: "the scale-down delay",
    Reason.WAITING: "requests are waiting",
    Reason.INITIAL_SCALE: "its initial scale",
    Reason.MIN_SCALE: "its min-scale",
    Reason.MAX_SCALE: "its max-scale",
    Reason.ZERO_DISABLED: "scale to zero is disabled on this cluster",
    Reason.ACTIVATING: "no load, but it is still starting",
    Reason.LINGERING: "no load, but ready for less than a stable window",
    Reason.RETAINED: "no load, within grace or retention period",
    Reason.KEPT_ALIVE: "no load, but its keep-alive expects more",
    Reason.PREWARMED: "no load, but its keep-alive expects some soon",
    Reason.SCHEDULE: "its schedule",
    Reason.IDLE: "no traffic",
    Reason.TIMED_OUT: "it never became ready, and nobody waits for it",
}


def explain(before: int, policy: Policy, seen: Snapshot, decision: Decision) -> str:
    """Return for instance `scaled from 1 to 3 pods: a sudden load (panic); stable 2.1, panic 4.2, target 1.4 ...`."""
    return (
        f"scaled from {before} to {decision.pods} pods: {_WORDS[decision.reason]}; "
        f"{policy.metric} {_number(seen.stable_load)} over {policy.scaling.stable_window_s:g} s, "
        f"{_number(seen.panic_load)} over {policy.scaling.panic_window_s:g} s, "
        f"target {_number(policy.target_per_pod)} per pod; "
        f"{seen.ready_pods} ready, {seen.waiting} requests waiting or served{_planned(seen)}"
    )


def _planned(seen: Snapshot) -> str:
    if seen.plan is None:
        return ""
    said = f"; idle for {seen.idle_s:.0f} s, kept for {seen.plan.keep_s:.0f} s"
    if math.isinf(seen.plan.again_s):
        return said
    return f"{said} and from {seen.plan.again_s:.0f} to {seen.plan.until_s:.0f} s"


def _number(load: float | None) -> str:
    return "unknown" if load is None else f"{load:.2f}"

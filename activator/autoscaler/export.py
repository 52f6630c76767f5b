"""Show the last decision about a revision as metrics."""

from __future__ import annotations

from activator.autoscaler.decide import Decision, Policy, Snapshot
from torpor.kube.informer import Key
from torpor.telemetry import metrics

_GAUGES = (
    metrics.AUTOSCALER_DESIRED_PODS,
    metrics.AUTOSCALER_READY_PODS,
    metrics.AUTOSCALER_STABLE_LOAD,
    metrics.AUTOSCALER_PANIC_LOAD,
    metrics.AUTOSCALER_TARGET_LOAD,
    metrics.AUTOSCALER_PANIC_MODE,
)

_shown: set[Key] = set()
"""Those that have series: to look for what is not there takes long, for ten thousand that sleep."""


def show(key: Key, policy: Policy, seen: Snapshot, decision: Decision) -> None:
    """Set the series of one revision."""
    _shown.add(key)
    panic = 0.0 if decision.memory.panic_since_s is None else 1.0
    target = policy.target_per_pod
    loads = (seen.stable_load or 0.0, seen.panic_load or 0.0, target, panic)
    for gauge, value in zip(_GAUGES, (decision.pods, seen.ready_pods, *loads), strict=True):
        gauge.labels(*key).set(value)


def forget(key: Key) -> None:
    """Let go of the series of a revision that sleeps or is gone: ten thousand of them would be megabytes."""
    if key not in _shown:
        return
    _shown.discard(key)
    for gauge in _GAUGES:
        gauge.remove(*key)

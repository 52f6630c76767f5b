"""Every metric Torpor exports, declared once: prefix `torpor_`, base units, few labels.

Declared here and set elsewhere, so that the list can be read, and so that no two places invent one name.
"""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

REGISTRY = CollectorRegistry()

# The autoscaler: one series per revision that is not asleep. Loads are in the unit of the revision's metric.
_REVISION = ("namespace", "revision")
AUTOSCALER_DESIRED_PODS = Gauge(
    "torpor_autoscaler_desired_pods", "Pods the autoscaler wants.", _REVISION, registry=REGISTRY
)
AUTOSCALER_READY_PODS = Gauge("torpor_autoscaler_ready_pods", "Pods that are ready.", _REVISION, registry=REGISTRY)
AUTOSCALER_STABLE_LOAD = Gauge(
    "torpor_autoscaler_stable_load", "Load over the stable window.", _REVISION, registry=REGISTRY
)
AUTOSCALER_PANIC_LOAD = Gauge(
    "torpor_autoscaler_panic_load", "Load over the panic window.", _REVISION, registry=REGISTRY
)
AUTOSCALER_TARGET_LOAD = Gauge(
    "torpor_autoscaler_target_load", "Load per pod the autoscaler aims at.", _REVISION, registry=REGISTRY
)
AUTOSCALER_PANIC_MODE = Gauge(
    "torpor_autoscaler_panic_mode", "1 while in panic, when pods are only added.", _REVISION, registry=REGISTRY
)
AUTOSCALER_DECISIONS = Counter(
    "torpor_autoscaler_decisions_total",
    "Decisions, by the rule that had the last word.",
    ("reason",),
    registry=REGISTRY,
)
AUTOSCALER_TICK_SECONDS = Gauge(
    "torpor_autoscaler_tick_seconds", "How long the last look at all revisions took.", registry=REGISTRY
)


def exposition() -> tuple[bytes, str]:
    """Return (body, content type) for `/metrics`."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST

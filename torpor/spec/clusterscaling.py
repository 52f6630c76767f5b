"""How every revision of a cluster is scaled: Knative's ConfigMap `config-autoscaler`, with its keys and rules."""

from __future__ import annotations

from collections.abc import Mapping

from torpor.errors import InvalidInputError
from torpor.spec.autoscaling import MAX_WINDOW_S, MIN_TARGET, MIN_WINDOW_S, Defaults
from torpor.spec.configmap import Page, Read, Rule, duration, number, truth, whole

NAME = "config-autoscaler"
KPA = "kpa.autoscaling.knative.dev"
CLASS = "pod-autoscaler-class"


def _share(field: str, raw: str) -> float:
    """Read a percentage; up to 1 it is a fraction, as it was in Knative's first years."""
    value: float = number(0, 100, above=True)(field, raw)
    return value / 100 if value > 1 else value


def _burst(field: str, raw: str) -> float:
    value: float = number(-1)(field, raw)
    if -1 < value < 0:
        raise InvalidInputError(field, raw, "use -1 for no limit, or a number from 0 up")
    return value


KEYS: Mapping[str, tuple[str, Read]] = {
    "container-concurrency-target-percentage": ("utilization", _share),
    "container-concurrency-target-default": ("concurrency_target", number(MIN_TARGET)),
    "requests-per-second-target-default": ("rps_target", number(MIN_TARGET)),
    "target-burst-capacity": ("target_burst_capacity", _burst),
    "stable-window": ("stable_window_s", duration(MIN_WINDOW_S, MAX_WINDOW_S, whole_seconds=True)),
    "panic-window-percentage": ("panic_window_percentage", number(1, 100)),
    "panic-threshold-percentage": ("panic_threshold", number(110, 1000, per=100)),
    "max-scale-up-rate": ("max_scale_up_rate", number(1, above=True)),
    "max-scale-down-rate": ("max_scale_down_rate", number(1, above=True)),
    "enable-scale-to-zero": ("enable_scale_to_zero", truth),
    "scale-to-zero-grace-period": ("scale_to_zero_grace_period_s", duration(MIN_WINDOW_S)),
    "scale-to-zero-pod-retention-period": ("scale_to_zero_pod_retention_s", duration(0)),
    "scale-down-delay": ("scale_down_delay_s", duration(0, MAX_WINDOW_S, whole_seconds=True)),
    "initial-scale": ("initial_scale", whole()),
    "allow-zero-initial-scale": ("allow_zero_initial_scale", truth),
    "min-scale": ("min_scale", whole()),
    "max-scale": ("max_scale", whole()),
    "max-scale-limit": ("max_scale_limit", whole()),
    "activator-capacity": ("activator_capacity", number(1)),
}
"""Key of the ConfigMap: field of Defaults, and what reads it."""


def _bounds(read: Defaults, data: Mapping[str, str]) -> InvalidInputError | None:
    limit = read.max_scale_limit
    if limit and not 1 <= read.max_scale <= limit:
        allowed = f"use a whole number from 1 to {limit}, which is max-scale-limit"
        return InvalidInputError("data[max-scale]", data.get("max-scale", read.max_scale), allowed)
    if read.max_scale and read.min_scale > read.max_scale:
        allowed = f"use at most max-scale, which is {read.max_scale}"
        return InvalidInputError("data[min-scale]", data.get("min-scale", read.min_scale), allowed)
    return None


def _initial(read: Defaults, data: Mapping[str, str]) -> InvalidInputError | None:
    if read.initial_scale == 0 and not read.allow_zero_initial_scale:
        allowed = "use a whole number from 1 up, or set allow-zero-initial-scale"
        return InvalidInputError("data[initial-scale]", data.get("initial-scale", 0), allowed)
    return None


def _target(read: Defaults, data: Mapping[str, str]) -> InvalidInputError | None:
    if read.concurrency_target * read.utilization < MIN_TARGET:
        key = "container-concurrency-target-percentage"
        allowed = f"it and container-concurrency-target-default must give a target of {MIN_TARGET} at least"
        return InvalidInputError(f"data[{key}]", data.get(key, read.utilization), allowed)
    return None


def _class(_read: Defaults, data: Mapping[str, str]) -> InvalidInputError | None:
    if (raw := data.get(CLASS, KPA)) != KPA:
        return InvalidInputError(f"data[{CLASS}]", raw, f"use {KPA}, the only autoscaler here")
    return None


SCALING = Page(
    NAME,
    Defaults(),
    KEYS,
    (
        Rule((), _class),
        Rule(("min_scale", "max_scale", "max_scale_limit"), _bounds),
        Rule(("initial_scale", "allow_zero_initial_scale"), _initial),
        Rule(("concurrency_target", "utilization"), _target),
    ),
)
"""What it is read by."""

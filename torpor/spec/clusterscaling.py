"""What holds for every revision of a cluster: Knative's ConfigMap `config-autoscaler`, with its keys and rules."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from torpor.errors import InvalidInputError
from torpor.spec.autoscaling import MAX_PODS, MAX_WINDOW_S, MIN_TARGET, MIN_WINDOW_S, Defaults
from torpor.spec.duration import SYNTAX, parse_duration

NAMESPACE, NAME = "knative-serving", "config-autoscaler"
KPA = "kpa.autoscaling.knative.dev"
CLASS = "pod-autoscaler-class"

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
_WHOLE = re.compile(r"[-+]?[0-9]{1,19}", re.ASCII)
# As Go's strconv.ParseBool has it.
_TRUE, _FALSE = (
    frozenset({"1", "t", "T", "TRUE", "true", "True"}),
    frozenset({"0", "f", "F", "FALSE", "false", "False"}),
)

Read = Callable[[str, str], Any]
"""(field as errors name it, text) to the value; raises InvalidInputError."""


def _number(least: float, most: float = math.inf, *, above: bool = False, per: float = 1.0) -> Read:
    """Return a reader of numbers from `least` (`above`: greater than it) to `most`, which divides them by `per`."""

    def read(field: str, raw: str) -> float:
        value = float(raw) if _NUMBER.fullmatch(raw) else math.nan
        if not least <= value <= most or math.isinf(value) or (above and value == least):
            lower = f"above {least:g}" if above else f"from {least:g}"
            upper = f" to {most:g}" if math.isfinite(most) else " up"
            raise InvalidInputError(field, raw, f"use a number {lower}{upper}")
        return value / per

    return read


def _share(field: str, raw: str) -> float:
    """Read a percentage; up to 1 it is a fraction, as it was in Knative's first years."""
    value: float = _number(0, 100, above=True)(field, raw)
    return value / 100 if value > 1 else value


def _burst(field: str, raw: str) -> float:
    value: float = _number(-1)(field, raw)
    if -1 < value < 0:
        raise InvalidInputError(field, raw, "use -1 for no limit, or a number from 0 up")
    return value


def _whole(field: str, raw: str) -> int:
    value = int(raw) if _WHOLE.fullmatch(raw) else -1
    if not 0 <= value <= MAX_PODS:
        raise InvalidInputError(field, raw, f"use a whole number from 0 to {MAX_PODS}")
    return value


def _truth(field: str, raw: str) -> bool:
    if raw not in _TRUE | _FALSE:
        raise InvalidInputError(field, raw, "use true or false")
    return raw in _TRUE


def _duration(least_s: float, most_s: float = math.inf, *, whole_seconds: bool = False) -> Read:
    def read(field: str, raw: str) -> float:
        value = parse_duration(field, raw)
        if not least_s <= value <= most_s:
            upper = f" to {most_s:g}s" if math.isfinite(most_s) else " up"
            raise InvalidInputError(field, raw, f"use a duration from {least_s:g}s{upper}; {SYNTAX}")
        if whole_seconds and value != int(value):
            raise InvalidInputError(field, raw, "use whole seconds")
        return value

    return read


KEYS: Mapping[str, tuple[str, Read]] = {
    "container-concurrency-target-percentage": ("utilization", _share),
    "container-concurrency-target-default": ("concurrency_target", _number(MIN_TARGET)),
    "requests-per-second-target-default": ("rps_target", _number(MIN_TARGET)),
    "target-burst-capacity": ("target_burst_capacity", _burst),
    "stable-window": ("stable_window_s", _duration(MIN_WINDOW_S, MAX_WINDOW_S, whole_seconds=True)),
    "panic-window-percentage": ("panic_window_percentage", _number(1, 100)),
    "panic-threshold-percentage": ("panic_threshold", _number(110, 1000, per=100)),
    "max-scale-up-rate": ("max_scale_up_rate", _number(1, above=True)),
    "max-scale-down-rate": ("max_scale_down_rate", _number(1, above=True)),
    "enable-scale-to-zero": ("enable_scale_to_zero", _truth),
    "scale-to-zero-grace-period": ("scale_to_zero_grace_period_s", _duration(MIN_WINDOW_S)),
    "scale-to-zero-pod-retention-period": ("scale_to_zero_pod_retention_s", _duration(0)),
    "scale-down-delay": ("scale_down_delay_s", _duration(0, MAX_WINDOW_S, whole_seconds=True)),
    "initial-scale": ("initial_scale", _whole),
    "allow-zero-initial-scale": ("allow_zero_initial_scale", _truth),
    "min-scale": ("min_scale", _whole),
    "max-scale": ("max_scale", _whole),
    "max-scale-limit": ("max_scale_limit", _whole),
    "activator-capacity": ("activator_capacity", _number(1)),
}
"""Key of the ConfigMap: field of Defaults, and what reads it."""


def read_defaults(data: Mapping[str, str], before: Defaults) -> tuple[Defaults, list[InvalidInputError]]:
    """Return what the ConfigMap says, and what of it cannot be used, which stays as it was before.

    An absent key is the built-in default; a key that is not known is left alone, as in Knative.
    """
    errors: list[InvalidInputError] = []
    values: dict[str, Any] = {}
    for key, (name, read) in KEYS.items():
        if (raw := data.get(key)) is not None:
            try:
                values[name] = read(f"data[{key}]", str(raw).strip())
            except InvalidInputError as error:
                errors.append(error)
                values[name] = getattr(before, name)
    if (raw := data.get(CLASS, KPA)) != KPA:
        errors.append(InvalidInputError(f"data[{CLASS}]", raw, f"use {KPA}, the only autoscaler here"))
    read_all = replace(Defaults(), **values)
    for names, fault in _TOGETHER:
        if (misfit := fault(read_all, data)) is not None:
            errors.append(misfit)
            read_all = replace(read_all, **{name: getattr(before, name) for name in names})
    return read_all, errors


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


# Values that must fit each other: where they do not, all of them stay as they were.
_TOGETHER: tuple[tuple[tuple[str, ...], Callable[[Defaults, Mapping[str, str]], InvalidInputError | None]], ...] = (
    (("min_scale", "max_scale", "max_scale_limit"), _bounds),
    (("initial_scale", "allow_zero_initial_scale"), _initial),
    (("concurrency_target", "utilization"), _target),
)


def differences(before: Defaults, now: Defaults) -> list[str]:
    """Return for people what has changed, by the keys of the ConfigMap."""
    keys = {name: key for key, (name, _) in KEYS.items()}
    return [
        f"{keys.get(each.name, each.name)} is {_shown(getattr(now, each.name))}"
        for each in fields(Defaults)
        if getattr(before, each.name) != getattr(now, each.name)
    ]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()

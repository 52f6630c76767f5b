"""How a revision wants to be scaled: Knative's `autoscaling.knative.dev/*` annotations, defaulted and validated."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from torpor.errors import InvalidInputError
from torpor.spec.duration import SYNTAX, parse_duration
from torpor.spec.fields import MAX_INTEGER
from torpor.spec.names import AUTOSCALING

MAX_PODS = MAX_INTEGER
MIN_TARGET = 0.01
MIN_WINDOW_S = 6.0
MAX_WINDOW_S = 3600.0

E = TypeVar("E", bound=enum.Enum)

_WHOLE = re.compile(r"[-+]?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)


class Metric(enum.Enum):
    """What is counted."""

    CONCURRENCY = "concurrency"
    RPS = "rps"


class Aggregation(enum.Enum):
    """How the seconds of a window become one number."""

    LINEAR = "linear"
    WEIGHTED_EXPONENTIAL = "weighted-exponential"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for every revision of a cluster: the names and values of Knative's ConfigMap config-autoscaler."""

    concurrency_target: float = 100.0
    """container-concurrency-target-default: for revisions without a container concurrency."""
    rps_target: float = 200.0
    """requests-per-second-target-default."""
    utilization: float = 0.7
    """container-concurrency-target-percentage, as a fraction."""
    stable_window_s: float = 60.0
    panic_window_percentage: float = 10.0
    panic_threshold: float = 2.0
    """panic-threshold-percentage, as a ratio of wanted to ready pods."""
    target_burst_capacity: float = 211.0
    max_scale_up_rate: float = 1000.0
    """At most this many times the ready pods in one decision."""
    max_scale_down_rate: float = 2.0
    """At least the ready pods divided by this in one decision."""
    enable_scale_to_zero: bool = True
    scale_to_zero_grace_period_s: float = 30.0
    """How long the last pods stay after the revision was found idle."""
    scale_to_zero_pod_retention_s: float = 0.0
    scale_down_delay_s: float = 0.0
    initial_scale: int = 1
    allow_zero_initial_scale: bool = True
    """Knative's own default is false; see decision 0007."""
    min_scale: int = 0
    max_scale: int = 0
    """0: no limit."""
    max_scale_limit: int = 0
    """The highest max-scale a revision may ask for; 0: no limit."""
    activator_capacity: float = 100.0
    """By which Knative decides how many activators stand before a revision; read and checked, without effect here."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How one revision wants to be scaled."""

    min_scale: int
    max_scale: int
    """0: no limit."""
    initial_scale: int
    """Pods before the first of them is ready; 0 means that a new revision starts asleep."""
    activation_scale: int
    """Pods at least, whenever there are any; 1: no wish."""
    metric: Metric
    target: float
    """What one pod can take, in requests at once or per second (`metric`)."""
    utilization: float
    """How much of `target` a pod shall be used to, in (0, 1]."""
    aggregation: Aggregation
    stable_window_s: float
    panic_window_percentage: float
    panic_threshold: float
    """Panic when the short window alone wants this many times the ready pods."""
    target_burst_capacity: float
    """-1: no limit. Torpor's activator is always in the path, so this changes nothing there; Knative's own reads it."""
    scale_down_delay_s: float
    scale_to_zero_pod_retention_s: float

    @property
    def panic_window_s(self) -> float:
        # A window shorter than one bucket holds no number.
        return max(1.0, self.stable_window_s * self.panic_window_percentage / 100.0)

    @property
    def target_per_pod(self) -> float:
        """The load per pod the autoscaler aims at: `target` with the headroom taken off."""
        return max(MIN_TARGET, self.target * self.utilization)


def parse_scaling(annotations: Mapping[str, str], *, concurrency: int, defaults: Defaults = Defaults()) -> Scaling:
    """Read the annotations of a revision (or its template) whose `containerConcurrency` is `concurrency`.

    Raises InvalidInputError, which names annotation, value and range. Annotations of other prefixes, and unknown
    ones of this prefix, are left alone, as Knative does.
    """
    read = _Annotations(annotations)
    read.autoscaler_class()
    metric = read.metric()
    min_scale, max_scale, activation_scale = _parse_bounds(read, defaults)
    return Scaling(
        min_scale=min_scale,
        max_scale=max_scale,
        initial_scale=read.whole(
            "initial-scale", defaults.initial_scale, minimum=0 if defaults.allow_zero_initial_scale else 1
        ),
        activation_scale=activation_scale,
        metric=metric,
        target=_parse_target(read, metric, concurrency, defaults),
        utilization=read.decimal("target-utilization-percentage", defaults.utilization * 100, 1, 100) / 100,
        aggregation=read.aggregation(),
        stable_window_s=read.duration("window", defaults.stable_window_s, MIN_WINDOW_S, whole_seconds=True),
        panic_window_percentage=read.decimal("panic-window-percentage", defaults.panic_window_percentage, 1, 100),
        panic_threshold=read.decimal("panic-threshold-percentage", defaults.panic_threshold * 100, 110, 1000) / 100,
        target_burst_capacity=read.burst_capacity(defaults.target_burst_capacity),
        scale_down_delay_s=read.duration("scale-down-delay", defaults.scale_down_delay_s, 0, whole_seconds=True),
        scale_to_zero_pod_retention_s=read.duration(
            "scale-to-zero-pod-retention-period", defaults.scale_to_zero_pod_retention_s, 0
        ),
    )


def _parse_bounds(read: _Annotations, defaults: Defaults) -> tuple[int, int, int]:
    """Return (min, max, activation) scale, which must fit each other."""
    min_scale = read.whole("min-scale", defaults.min_scale, minimum=0)
    max_scale = read.whole("max-scale", defaults.max_scale, minimum=0)
    limit = defaults.max_scale_limit
    if limit and (max_scale == 0 or max_scale > limit) and read.has("max-scale"):
        raise read.refuse("max-scale", f"use a whole number from 1 to {limit}, the limit of this cluster")
    if max_scale and max_scale < min_scale:
        if read.has("max-scale"):
            raise read.refuse("max-scale", f"use 0 for no limit, or at least min-scale, which is {min_scale}")
        raise read.refuse("min-scale", f"use at most max-scale, which is {max_scale} on this cluster")
    activation_scale = read.whole("activation-scale", 1, minimum=2)
    if max_scale and activation_scale > max_scale:
        raise read.refuse("activation-scale", f"use at most max-scale, which is {max_scale}")
    return min_scale, max_scale, activation_scale


def _parse_target(read: _Annotations, metric: Metric, concurrency: int, defaults: Defaults) -> float:
    if metric is Metric.RPS:
        return read.decimal("target", defaults.rps_target, MIN_TARGET, math.inf)
    target = read.decimal("target", concurrency or defaults.concurrency_target, MIN_TARGET, math.inf)
    # Never aim at more than a pod takes: the rest would wait while no pod is added.
    return float(min(target, concurrency)) if concurrency else target


class _Annotations:
    """Values by their name without the prefix, in either spelling; the names remembered for errors."""

    def __init__(self, annotations: Mapping[str, str]) -> None:
        self._annotations = annotations

    def _get(self, name: str) -> tuple[str, str | None]:
        """Return (key as the user wrote it, value). kebab-case wins over camelCase, as in Knative."""
        head, *tail = name.split("-")
        for spelling in (name, head + "".join(word.title() for word in tail)):
            key = AUTOSCALING + spelling
            if key in self._annotations:
                return key, self._annotations[key]
        return AUTOSCALING + name, None

    def has(self, name: str) -> bool:
        return self._get(name)[1] is not None

    def refuse(self, name: str, allowed: str) -> InvalidInputError:
        key, value = self._get(name)
        return InvalidInputError(key, value, allowed)

    def whole(self, name: str, default: int, *, minimum: int) -> int:
        _, raw = self._get(name)
        if raw is None:
            return default
        # Not int() alone, which also reads "1_000", " 5 " and other alphabets' digits.
        value = int(raw) if _WHOLE.fullmatch(raw) and len(raw) < 20 else -1
        if not minimum <= value <= MAX_PODS:
            raise self.refuse(name, f"use a whole number from {minimum} to {MAX_PODS}")
        return value

    def decimal(self, name: str, default: float, minimum: float, maximum: float) -> float:
        _, raw = self._get(name)
        if raw is None:
            return default
        value = float(raw) if _DECIMAL.fullmatch(raw) else math.nan
        if not minimum <= value <= maximum or math.isinf(value):
            upper = f" to {maximum:g}" if math.isfinite(maximum) else " up"
            raise self.refuse(name, f"use a number from {minimum:g}{upper}")
        return value

    def duration(self, name: str, default: float, minimum_s: float, *, whole_seconds: bool = False) -> float:
        key, raw = self._get(name)
        if raw is None:
            return default
        value = parse_duration(key, raw)
        if not minimum_s <= value <= MAX_WINDOW_S:
            raise self.refuse(name, f"use a duration from {minimum_s:g}s to 1h; {SYNTAX}")
        if whole_seconds and value != int(value):
            raise self.refuse(name, "use whole seconds")
        return value

    def burst_capacity(self, default: float) -> float:
        name = "target-burst-capacity"
        if self._get(name)[1] == "-1":
            return -1.0
        try:
            return self.decimal(name, default, 0, math.inf)
        except InvalidInputError as error:
            raise self.refuse(name, "use -1 for no limit, or a number from 0 up") from error

    def autoscaler_class(self) -> None:
        key, raw = self._get("class")
        if raw not in {None, "kpa.autoscaling.knative.dev"}:
            raise InvalidInputError(key, raw, "use kpa.autoscaling.knative.dev, the only autoscaler here")

    def metric(self) -> Metric:
        key, raw = self._get("metric")
        if raw in {"cpu", "memory"}:
            raise InvalidInputError(key, raw, "use concurrency or rps; cpu and memory need Kubernetes' HPA")
        return Metric.CONCURRENCY if raw is None else _member(Metric, key, raw)

    def aggregation(self) -> Aggregation:
        key, raw = self._get("metric-aggregation-algorithm")
        if raw == "weightedExponential":  # Knative takes both spellings
            return Aggregation.WEIGHTED_EXPONENTIAL
        return Aggregation.LINEAR if raw is None else _member(Aggregation, key, raw)


def _member(type_: type[E], key: str, raw: str) -> E:
    for member in type_:
        if member.value == raw:
            return member
    raise InvalidInputError(key, raw, "use one of " + ", ".join(str(member.value) for member in type_))

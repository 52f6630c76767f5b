"""Decide how many pods a revision should have, from one look at its traffic.

The algorithm is Knative's KPA (knative/serving, pkg/autoscaler/scaling and pkg/reconciler/autoscaling/kpa); decision
record 0007 lists where Torpor differs, and why.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace

from activator.autoscaler.keepalive import Plan
from torpor.spec.autoscaling import MAX_PODS, Defaults, Metric, Scaling
from torpor.spec.keepalive import BY_WINDOWS, KeepAlive
from torpor.spec.scalemetric import ScaleMetric
from torpor.spec.schedule import Hours


class Reason(enum.Enum):
    """Which rule had the last word. The value is the metric label and part of event and log line."""

    NO_DATA = "NoData"  # nothing known: hold
    STABLE = "StableLoad"
    PANIC = "PanicLoad"
    PANIC_HOLD = "PanicHold"  # the peak of this panic, above what is needed now
    SCALE_DOWN_DELAY = "ScaleDownDelay"
    WAITING = "RequestsWaiting"  # somebody is queued or being served: never zero
    INITIAL_SCALE = "InitialScale"
    MIN_SCALE = "MinScale"
    MAX_SCALE = "MaxScale"
    ZERO_DISABLED = "ScaleToZeroDisabled"
    ACTIVATING = "Activating"  # not needed, but still starting
    LINGERING = "Lingering"  # not needed, but ready for less than a stable window
    RETAINED = "Retained"  # idle, within grace or retention period
    KEPT_ALIVE = "KeptAlive"  # idle, and the keep-alive says that the next request may be near
    PREWARMED = "Prewarmed"  # idle, and the keep-alive says that the next request is due
    SCHEDULE = "Schedule"
    IDLE = "NoTraffic"
    TIMED_OUT = "TimedOut"  # never became ready, and nobody waits


class Phase(enum.Enum):
    """What Knative's condition Active of a revision says."""

    ACTIVATING = "Activating"
    ACTIVE = "Active"
    INACTIVE = "Inactive"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the owner of the revision and the owner of the cluster asked for."""

    scaling: Scaling
    cluster: Defaults
    activation_timeout_s: float = 630.0
    """Progress deadline (600 s) and the 30 s that Knative adds to let failures be reported first."""
    keep_alive: KeepAlive = BY_WINDOWS
    schedule: tuple[Hours, ...] = ()
    reported: ScaleMetric | None = None
    """What the pods report and are scaled by, instead of what is counted at the door."""

    @property
    def target_per_pod(self) -> float:
        """The load per pod that is aimed at, in the unit of the load."""
        return self.scaling.target_per_pod if self.reported is None else self.reported.target

    @property
    def metric(self) -> str:
        """Name what the load is, for people."""
        return self.scaling.metric.value if self.reported is None else self.reported.name


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was seen at `now_s`. Loads are in the unit of the metric; None is no samples, which is not no load."""

    now_s: float
    replicas: int
    """Pods asked for at present, whoever asked."""
    ready_pods: int
    stable_load: float | None
    panic_load: float | None
    waiting: int = 0
    """Requests queued or being served at this moment."""
    backlog: int = 0
    """The same number where pods have no room for some of them, else 0: load that no window needs to average."""
    reachable: bool = True
    """Whether some route leads to the revision."""
    idle_s: float = 0.0
    """For how long there has been no request; said where there is a plan."""
    plan: Plan | None = None
    """When a pod shall be there although nobody asks; None: as Knative's windows have it."""
    scheduled: int = 0
    """Pods that the hours of its schedule ask for at this moment."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The little that must outlive a tick."""

    in_path_since_s: float
    """Since when the activator has stood before this revision."""
    phase: Phase
    phase_since_s: float
    initialized: bool
    """Whether the initial scale was reached once; from then on it has no say."""
    panic_since_s: float | None = None
    peak: int = 0
    """Most pods wanted in this panic."""
    delayed: tuple[tuple[float, int], ...] = ()
    """(when, pods) wanted lately, falling: what scale-down-delay still looks back on."""

    @classmethod
    def begin(cls, seen: Snapshot, *, initialized: bool = False) -> Memory:
        """Return the memory of an autoscaler that sees the revision for the first time.

        With more than one pod it begins in panic: its windows are empty, and must not shrink what ran before.
        """
        phase = Phase.ACTIVATING if seen.replicas else Phase.INACTIVE
        if seen.ready_pods > 0:
            phase = Phase.ACTIVE
        panic_since_s = seen.now_s if seen.ready_pods > 1 else None
        return cls(seen.now_s, phase, seen.now_s, initialized, panic_since_s, seen.ready_pods)

    def enter(self, phase: Phase, now_s: float) -> Memory:
        return self if phase is self.phase else replace(self, phase=phase, phase_since_s=now_s)


@dataclass(frozen=True, slots=True)
class Decision:
    """How many pods, why, and what to hand in again at the next tick."""

    pods: int
    reason: Reason
    memory: Memory


def decide(policy: Policy, seen: Snapshot, memory: Memory) -> Decision:
    """Return the wanted pod count, the reason, and the memory for the next tick.

    What the load needs, smoothed by panic and delay, is bounded by what the owner allows; zero has rules of its own.
    """
    if not memory.initialized and seen.ready_pods >= _needed_ready(policy, seen, memory):
        memory = replace(memory, initialized=True)
    if seen.stable_load is None or seen.panic_load is None:
        return _without_data(policy, seen, memory)
    pods, reason, memory = _for_load(policy, seen, memory)
    pods, reason, memory = _after_delay(policy, seen, memory, pods, reason)
    if pods == 0 and seen.waiting > 0:
        pods, reason = 1, Reason.WAITING
    pods, reason = _as_planned(seen, pods, reason)
    pods, reason = _within_bounds(policy, seen, memory, pods, reason)
    if pods > 0:
        ready = seen.ready_pods >= _needed_ready(policy, seen, memory)
        return Decision(pods, reason, memory.enter(Phase.ACTIVE if ready else Phase.ACTIVATING, seen.now_s))
    return _towards_zero(policy, seen, memory)


def _without_data(policy: Policy, seen: Snapshot, memory: Memory) -> Decision:
    """Hold what there is; but whoever waits is proof enough that one pod is needed."""
    if seen.replicas > 0 or seen.waiting == 0:
        return Decision(seen.replicas, Reason.NO_DATA, memory)
    first = policy.scaling.activation_scale
    pods, reason = _within_bounds(policy, seen, memory, first, Reason.WAITING)
    return Decision(pods, reason, memory.enter(Phase.ACTIVATING, seen.now_s))


def _for_load(policy: Policy, seen: Snapshot, memory: Memory) -> tuple[int, Reason, Memory]:
    """Return what stable and panic window ask for; in panic the most that either asked for since it began."""
    scaling = policy.scaling
    panic_load = seen.panic_load or 0.0
    if scaling.metric is Metric.CONCURRENCY and policy.reported is None:
        panic_load = max(panic_load, float(seen.backlog))
    stable = _pods(policy, seen, seen.stable_load or 0.0)
    panic = _pods(policy, seen, panic_load)
    # A revision at zero is judged as if it had one pod: the rates multiply it.
    wanted = _unlimited(policy, panic_load)
    if wanted / max(1, seen.ready_pods) >= scaling.panic_threshold:
        memory = replace(memory, panic_since_s=seen.now_s)
    elif memory.panic_since_s is not None and memory.panic_since_s + scaling.stable_window_s < seen.now_s:
        memory = replace(memory, panic_since_s=None, peak=0)
    if memory.panic_since_s is None:
        return stable, Reason.STABLE, memory
    # The surge may have moved on into the stable window, so the larger of the two.
    pods = max(stable, panic)
    if pods < memory.peak:
        return memory.peak, Reason.PANIC_HOLD, memory
    return pods, Reason.PANIC, replace(memory, peak=pods)


def _unlimited(policy: Policy, load: float) -> int:
    # Nine digits: 2.1 / (3 * 0.7) is a hair over 1, and must not ask for two pods.
    return math.ceil(min(round(load / policy.target_per_pod, 9), MAX_PODS))


def _pods(policy: Policy, seen: Snapshot, load: float) -> int:
    """Return the pods one window asks for, within the rates of change, and never below the activation scale."""
    base = max(1, seen.ready_pods)
    # 1.1 * 2 pods must still allow a third, hence ceil; 100 / 1.1 must still give up ten, hence floor.
    most = math.ceil(policy.cluster.max_scale_up_rate * base)
    least = math.floor(base / policy.cluster.max_scale_down_rate) if seen.reachable else 0
    wanted = _unlimited(policy, load)
    pods = min(max(wanted, least), most, MAX_PODS)
    return max(pods, policy.scaling.activation_scale) if wanted > 0 else pods


def _after_delay(
    policy: Policy, seen: Snapshot, memory: Memory, pods: int, reason: Reason
) -> tuple[int, Reason, Memory]:
    """Return the most that was wanted within the scale-down delay."""
    delay_s = policy.scaling.scale_down_delay_s
    if delay_s == 0 or not seen.reachable:
        return pods, reason, replace(memory, delayed=()) if memory.delayed else memory
    # What is older than the delay, or not above what is wanted now, can never be the answer again.
    lately = [(when, was) for when, was in memory.delayed if seen.now_s - when < delay_s and was > pods]
    memory = replace(memory, delayed=(*lately, (seen.now_s, pods)))
    if lately:
        return lately[0][1], Reason.SCALE_DOWN_DELAY, memory
    return pods, reason, memory


def _as_planned(seen: Snapshot, pods: int, reason: Reason) -> tuple[int, Reason]:
    """Return one pod or none as the keep-alive has it, where nobody waits and no load asks for more than one."""
    plan = seen.plan
    if plan is None or seen.waiting > 0 or pods > 1 or not seen.reachable:
        return pods, reason
    if not plan.warm(seen.idle_s):
        return 0, Reason.IDLE
    if pods == 1:
        return pods, reason
    return 1, Reason.PREWARMED if plan.prewarms(seen.idle_s) else Reason.KEPT_ALIVE


def _floor(policy: Policy, seen: Snapshot, memory: Memory) -> tuple[int, Reason]:
    """Return the fewest pods the owner allows. Nobody can reach an unreachable revision, so it may always sleep."""
    if not seen.reachable:
        return 0, Reason.MIN_SCALE
    scaling = policy.scaling
    if not memory.initialized and scaling.initial_scale > max(1, scaling.min_scale):
        return scaling.initial_scale, Reason.INITIAL_SCALE
    if seen.scheduled > scaling.min_scale:
        return seen.scheduled, Reason.SCHEDULE
    return scaling.min_scale, Reason.MIN_SCALE


def _ceiling(policy: Policy) -> int:
    return policy.scaling.max_scale or MAX_PODS


def _within_bounds(policy: Policy, seen: Snapshot, memory: Memory, pods: int, reason: Reason) -> tuple[int, Reason]:
    least, why = _floor(policy, seen, memory)
    if pods < least:
        pods, reason = least, why
    if pods > _ceiling(policy):
        pods, reason = _ceiling(policy), Reason.MAX_SCALE
    return pods, reason


def _needed_ready(policy: Policy, seen: Snapshot, memory: Memory) -> int:
    """Return how many ready pods make the revision active."""
    least, _ = _floor(policy, seen, memory)
    return min(max(1, least), _ceiling(policy))


def _towards_zero(policy: Policy, seen: Snapshot, memory: Memory) -> Decision:
    """Return zero where the revision may sleep now, else the one pod that stays until it may."""
    now_s, scaling = seen.now_s, policy.scaling
    if not policy.cluster.enable_scale_to_zero:
        return Decision(1, Reason.ZERO_DISABLED, memory)
    if seen.replicas == 0:  # asleep already, maybe by somebody else's hand
        return Decision(0, Reason.IDLE, memory.enter(Phase.INACTIVE, now_s))
    if memory.phase is Phase.ACTIVATING:
        if seen.ready_pods >= _needed_ready(policy, seen, memory):
            memory = memory.enter(Phase.ACTIVE, now_s)
        elif now_s - memory.phase_since_s < policy.activation_timeout_s:
            return Decision(1, Reason.ACTIVATING, memory)
        else:
            return Decision(0, Reason.TIMED_OUT, memory.enter(Phase.INACTIVE, now_s))
    if seen.plan is not None:  # it knows better how long to wait than windows and periods
        return Decision(0, Reason.IDLE, memory.enter(Phase.INACTIVE, now_s))
    if memory.phase is Phase.ACTIVE:
        if now_s - memory.phase_since_s < scaling.stable_window_s:
            return Decision(1, Reason.LINGERING, memory)
        memory = memory.enter(Phase.INACTIVE, now_s)
    # The grace period is for the activator to come into the path of requests. Ours stands there always, so it
    # counts from when this activator first saw the revision, and is long over for most.
    in_path = now_s - memory.in_path_since_s >= policy.cluster.scale_to_zero_grace_period_s
    if in_path and now_s - memory.phase_since_s >= scaling.scale_to_zero_pod_retention_s:
        return Decision(0, Reason.IDLE, memory)
    return Decision(1, Reason.RETAINED, memory)

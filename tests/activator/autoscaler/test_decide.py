"""The autoscaler's decision: every branch has a row, and what must hold for all input is a property."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.autoscaler.decide import Decision, Memory, Phase, Policy, Reason, Snapshot, decide
from activator.autoscaler.keepalive import Plan
from torpor.spec.autoscaling import Defaults, Metric, parse_scaling

NOW = 10_000.0
LONG_AGO = NOW - 5000.0
ACTIVE = Memory(LONG_AGO, Phase.ACTIVE, LONG_AGO, initialized=True)
ACTIVATING = replace(ACTIVE, phase=Phase.ACTIVATING)
INACTIVE = replace(ACTIVE, phase=Phase.INACTIVE)


def policy_of(
    target: float = 10,
    *,
    up: float = 10.0,
    down: float = 10.0,
    zero: bool = True,
    grace_s: float = 30.0,
    **scaling: object,
) -> Policy:
    """Knative's own tests: target 10 without headroom, rates of 10."""
    cluster = Defaults(
        max_scale_up_rate=up, max_scale_down_rate=down, enable_scale_to_zero=zero, scale_to_zero_grace_period_s=grace_s
    )
    base = parse_scaling({}, concurrency=0, defaults=cluster)
    return Policy(replace(base, target=target, utilization=1.0, **scaling), cluster)


def seen_of(
    stable: float | None, panic: float | None, ready: int = 1, *, replicas: int | None = None, **more: object
) -> Snapshot:
    return Snapshot(NOW, ready if replicas is None else replicas, ready, stable, panic, **more)


def panicking(peak: int, since_s: float = NOW - 5, memory: Memory = ACTIVE) -> Memory:
    return replace(memory, panic_since_s=since_s, peak=peak)


# Rows whose id begins with a name of Knative's are rows of its TestAutoscalerScale and the tests beside it.
ROWS = [
    # --- load, as Knative -----------------------------------------------------------------------------------
    pytest.param(policy_of(181), seen_of(21, 26), ACTIVE, 1, Reason.STABLE, id="StableModeUnlimitedTBC"),
    pytest.param(policy_of(), seen_of(50, 49), ACTIVE, 5, Reason.PANIC, id="0TBC: four or five for one is panic"),
    pytest.param(policy_of(), seen_of(50, 50), ACTIVE, 5, Reason.PANIC, id="StableModeNoChange"),
    pytest.param(policy_of(), seen_of(50, 50, 5), ACTIVE, 5, Reason.STABLE, id="StableModeNoChangeAlreadyScaled"),
    pytest.param(policy_of(1), seen_of(50, 30, 5), panicking(5), 50, Reason.PANIC, id="PanicStableLargerThanPanic"),
    pytest.param(policy_of(1), seen_of(20, 30, 5), panicking(5), 30, Reason.PANIC, id="PanicStableLessThanPanic"),
    pytest.param(
        policy_of(1, up=1.1), seen_of(3, 3.1, 2), ACTIVE, 3, Reason.PANIC, id="StableModeIncreaseWithSmallScaleUpRate"
    ),
    pytest.param(
        policy_of(down=1.1), seen_of(1, 1, 100), ACTIVE, 90, Reason.STABLE,
        id="StableModeDecreaseWithSmallScaleDownRate",
    ),
    pytest.param(
        policy_of(down=1.1), seen_of(1, 1, 100, reachable=False), ACTIVE, 1, Reason.STABLE,
        id="StableModeDecreaseNonReachable: no rate limit downwards",
    ),
    pytest.param(policy_of(), seen_of(50, 100), ACTIVE, 10, Reason.PANIC, id="PanicModeDoublePodCount"),
    pytest.param(policy_of(), seen_of(50, 10), ACTIVE, 5, Reason.STABLE, id="StableModeIncreaseWithConcurrencyDefault"),
    pytest.param(policy_of(), seen_of(50, 50, 8), ACTIVE, 5, Reason.STABLE, id="StableModeDecrease"),
    pytest.param(policy_of(), seen_of(1000, 1001), ACTIVE, 10, Reason.PANIC, id="RateLimitScaleUp: ten for one"),
    pytest.param(policy_of(), seen_of(1000, 1001, 10), ACTIVE, 100, Reason.PANIC, id="RateLimitScaleUp: 100 for ten"),
    pytest.param(policy_of(), seen_of(1, 1, 100), ACTIVE, 10, Reason.STABLE, id="RateLimitScaleDown: ten for 100"),
    pytest.param(
        policy_of(), seen_of(1000, 888, 0), ACTIVE, 10, Reason.PANIC,
        id="UseOnePodAsMinimumIfEndpointsNotFound: rates multiply one",
    ),
    # --- load, our own --------------------------------------------------------------------------------------
    pytest.param(
        policy_of(), seen_of(0, 0, 3, replicas=8), panicking(8), 8, Reason.PANIC_HOLD, id="panic never shrinks"
    ),
    pytest.param(
        policy_of(), seen_of(10, 10, 5), panicking(8, NOW - 60), 8, Reason.PANIC_HOLD,
        id="panic lasts a whole stable window",
    ),
    pytest.param(
        policy_of(), seen_of(10, 10, 5), panicking(8, NOW - 60.1), 1, Reason.STABLE,
        id="panic ends after a stable window",
    ),
    pytest.param(
        policy_of(), seen_of(0, 0, 0, waiting=200, backlog=200), ACTIVATING, 10, Reason.PANIC,
        id="a burst at zero counts before any window knows it",
    ),
    pytest.param(
        policy_of(metric=Metric.RPS), seen_of(0, 0, 0, waiting=200, backlog=200), ACTIVATING, 1, Reason.WAITING,
        id="requests at once are no requests per second",
    ),
    pytest.param(
        policy_of(3 * 0.7), seen_of(2.1, 2.1), ACTIVE, 1, Reason.STABLE, id="a rounding error asks for no second pod"
    ),
    pytest.param(
        policy_of(activation_scale=4), seen_of(1, 1), ACTIVE, 4, Reason.STABLE, id="activation scale lifts any load"
    ),
    pytest.param(
        policy_of(activation_scale=4, stable_window_s=60), seen_of(0, 0), INACTIVE, 0, Reason.IDLE,
        id="activation scale lifts no silence",
    ),
    pytest.param(
        policy_of(activation_scale=4), seen_of(90, 90), ACTIVE, 9, Reason.PANIC, id="activation scale lowers nothing"
    ),
    # --- no data --------------------------------------------------------------------------------------------
    pytest.param(policy_of(), seen_of(None, None, 3), ACTIVE, 3, Reason.NO_DATA, id="no data holds"),
    pytest.param(policy_of(), seen_of(0, None, 3), ACTIVE, 3, Reason.NO_DATA, id="no panic data holds"),
    pytest.param(policy_of(), seen_of(None, 0, 3), ACTIVE, 3, Reason.NO_DATA, id="no stable data holds"),
    pytest.param(policy_of(), seen_of(None, None, 0), INACTIVE, 0, Reason.NO_DATA, id="no data at zero stays at zero"),
    pytest.param(
        policy_of(), seen_of(None, None, 0, waiting=1), INACTIVE, 1, Reason.WAITING, id="the first request wakes"
    ),
    pytest.param(
        policy_of(activation_scale=3), seen_of(None, None, 0, waiting=1), INACTIVE, 3, Reason.WAITING,
        id="the first request wakes to the activation scale",
    ),
    pytest.param(
        policy_of(min_scale=2), seen_of(None, None, 0, waiting=1), INACTIVE, 2, Reason.MIN_SCALE,
        id="the first request wakes to the min scale",
    ),
    pytest.param(
        policy_of(), seen_of(None, None, 0, replicas=1, waiting=9), ACTIVATING, 1, Reason.NO_DATA,
        id="without data a pod that starts is enough for now",
    ),
    # --- bounds ---------------------------------------------------------------------------------------------
    pytest.param(policy_of(min_scale=3), seen_of(0, 0, 3), ACTIVE, 3, Reason.MIN_SCALE, id="min scale"),
    pytest.param(
        policy_of(min_scale=3), seen_of(0, 0, 3, reachable=False), INACTIVE, 0, Reason.IDLE,
        id="min scale does not keep what nobody can reach",
    ),
    pytest.param(policy_of(max_scale=4), seen_of(90, 90), ACTIVE, 4, Reason.MAX_SCALE, id="max scale"),
    pytest.param(
        policy_of(max_scale=4), seen_of(10, 10, 9), panicking(9), 4, Reason.MAX_SCALE, id="max scale bounds panic too"
    ),
    pytest.param(
        policy_of(initial_scale=5), seen_of(0, 0, 2, replicas=5), replace(ACTIVATING, initialized=False), 5,
        Reason.INITIAL_SCALE, id="initial scale holds until it is reached",
    ),
    pytest.param(
        policy_of(initial_scale=5), seen_of(0, 0, 5), replace(ACTIVATING, initialized=False, phase_since_s=NOW), 1,
        Reason.LINGERING, id="initial scale reached once has no say",
    ),
    pytest.param(
        policy_of(initial_scale=5), seen_of(0, 0, 0, replicas=5, reachable=False),
        replace(ACTIVATING, initialized=False, phase_since_s=NOW), 1, Reason.ACTIVATING,
        id="initial scale does not keep what nobody can reach",
    ),
    pytest.param(
        policy_of(initial_scale=5, max_scale=3), seen_of(0, 0, 0, replicas=3),
        replace(ACTIVATING, initialized=False), 3, Reason.MAX_SCALE, id="max scale bounds the initial scale",
    ),
    pytest.param(
        policy_of(initial_scale=0), seen_of(0, 0, 0), replace(INACTIVE, initialized=False), 0, Reason.IDLE,
        id="initial scale zero starts asleep",
    ),
    # --- scale-down delay -----------------------------------------------------------------------------------
    pytest.param(
        policy_of(scale_down_delay_s=300.0), seen_of(20, 20, 4), replace(ACTIVE, delayed=((NOW - 299.9, 4),)), 4,
        Reason.SCALE_DOWN_DELAY, id="within the delay the most wanted counts",
    ),
    pytest.param(
        policy_of(scale_down_delay_s=300.0), seen_of(20, 20, 4), replace(ACTIVE, delayed=((NOW - 300.0, 4),)), 2,
        Reason.STABLE, id="after the delay it shrinks",
    ),
    pytest.param(
        policy_of(scale_down_delay_s=300.0), seen_of(20, 20, 4, reachable=False),
        replace(ACTIVE, delayed=((NOW - 1, 4),)), 2, Reason.STABLE, id="no delay for what nobody can reach",
    ),
    pytest.param(
        policy_of(scale_down_delay_s=300.0), seen_of(60, 60, 4), replace(ACTIVE, delayed=((NOW - 1, 4),)), 6,
        Reason.STABLE, id="the delay holds no growth back",
    ),
    # --- zero -----------------------------------------------------------------------------------------------
    pytest.param(
        policy_of(), seen_of(0, 0, waiting=1), INACTIVE, 1, Reason.WAITING, id="never zero under a request in flight"
    ),
    pytest.param(
        policy_of(), seen_of(0, 0, 0, waiting=1), INACTIVE, 1, Reason.WAITING, id="never zero with a request queued"
    ),
    pytest.param(policy_of(zero=False), seen_of(0, 0), INACTIVE, 1, Reason.ZERO_DISABLED, id="zero disabled"),
    pytest.param(
        policy_of(zero=False), seen_of(0, 0, 0), INACTIVE, 1, Reason.ZERO_DISABLED, id="zero disabled wakes sleepers"
    ),
    pytest.param(policy_of(), seen_of(0, 0, 0), ACTIVE, 0, Reason.IDLE, id="put to zero by hand stays there"),
    pytest.param(
        policy_of(), seen_of(0, 0, 0, replicas=1), replace(ACTIVATING, phase_since_s=NOW - 629.9), 1,
        Reason.ACTIVATING, id="unneeded, but starting",
    ),
    pytest.param(
        policy_of(), seen_of(0, 0, 0, replicas=1), replace(ACTIVATING, phase_since_s=NOW - 630.0), 0,
        Reason.TIMED_OUT, id="never became ready",
    ),
    pytest.param(
        policy_of(), seen_of(0, 0, 0, replicas=1, waiting=3, backlog=3), replace(ACTIVATING, phase_since_s=NOW - 9999),
        1, Reason.WAITING, id="never became ready, but somebody waits",
    ),
    pytest.param(
        policy_of(), seen_of(0, 0), ACTIVATING, 1, Reason.LINGERING, id="became ready just now, unneeded already"
    ),
    pytest.param(
        policy_of(), seen_of(0, 0), replace(ACTIVE, phase_since_s=NOW - 59.9), 1, Reason.LINGERING,
        id="idle, but ready for less than a stable window",
    ),
    pytest.param(
        policy_of(), seen_of(0, 0), replace(ACTIVE, phase_since_s=NOW - 60.0), 0, Reason.IDLE,
        id="idle for a stable window: zero",
    ),
    pytest.param(
        policy_of(), seen_of(0, 0), replace(INACTIVE, in_path_since_s=NOW - 29.9), 1, Reason.RETAINED,
        id="an activator that came just now waits for the grace period",
    ),
    pytest.param(
        policy_of(), seen_of(0, 0), replace(INACTIVE, in_path_since_s=NOW - 30.0), 0, Reason.IDLE,
        id="after the grace period: zero",
    ),
    pytest.param(
        policy_of(scale_to_zero_pod_retention_s=90.0), seen_of(0, 0), replace(INACTIVE, phase_since_s=NOW - 89.9), 1,
        Reason.RETAINED, id="the last pod is retained",
    ),
    pytest.param(
        policy_of(scale_to_zero_pod_retention_s=90.0), seen_of(0, 0), replace(INACTIVE, phase_since_s=NOW - 90.0), 0,
        Reason.IDLE, id="retained for long enough",
    ),
    pytest.param(
        policy_of(scale_to_zero_pod_retention_s=90.0), seen_of(0, 0), ACTIVE, 1, Reason.RETAINED,
        id="retention begins when found idle",
    ),
    pytest.param(
        policy_of(), seen_of(0, 0, 1, replicas=3, reachable=False), replace(INACTIVE, in_path_since_s=NOW), 1,
        Reason.RETAINED, id="one pod is enough to wait with",
    ),
    # --- keep-alive and schedule ----------------------------------------------------------------------------
    pytest.param(
        policy_of(), seen_of(0, 0, idle_s=200, plan=Plan(300)), ACTIVE, 1, Reason.KEPT_ALIVE, id="kept beyond windows"
    ),
    pytest.param(
        policy_of(), seen_of(0, 0, idle_s=300, plan=Plan(300)), ACTIVE, 0, Reason.IDLE, id="kept no longer than planned"
    ),
    pytest.param(
        policy_of(), seen_of(0.5, 0, idle_s=20, plan=Plan(10)), replace(ACTIVE, phase_since_s=NOW - 21), 0, Reason.IDLE,
        id="a plan may be shorter than the windows",
    ),
    pytest.param(
        policy_of(), seen_of(0.5, 0, 1, idle_s=20, plan=Plan(10), waiting=1), ACTIVE, 1, Reason.STABLE,
        id="no plan takes the pod of who waits",
    ),
    pytest.param(
        policy_of(), seen_of(11, 0, 1, idle_s=20, plan=Plan(10)), ACTIVE, 2, Reason.STABLE,
        id="no plan speaks for more than one pod",
    ),
    pytest.param(
        policy_of(), seen_of(0, 0, 0, idle_s=290, plan=Plan(10, 280, 320)), INACTIVE, 1, Reason.PREWARMED,
        id="a pod before the next request is due",
    ),
    pytest.param(
        policy_of(), seen_of(0, 0, 0, replicas=1, idle_s=320, plan=Plan(10, 280, 320)),
        replace(ACTIVATING, phase_since_s=NOW - 9), 1, Reason.ACTIVATING,
        id="a pod that starts is waited for, whatever the plan",
    ),
    pytest.param(
        policy_of(), seen_of(0, 0, 0, idle_s=100, plan=Plan(10, 280, 320)), INACTIVE, 0, Reason.IDLE,
        id="asleep between the two",
    ),
    pytest.param(
        policy_of(), seen_of(0, 0, idle_s=1, plan=Plan(300), reachable=False), ACTIVE, 0, Reason.IDLE,
        id="nothing is kept that nobody can reach",
    ),
    pytest.param(
        policy_of(zero=False), seen_of(0, 0, idle_s=300, plan=Plan(10)), ACTIVE, 1, Reason.ZERO_DISABLED,
        id="the cluster's word is the last",
    ),
    pytest.param(policy_of(), seen_of(0, 0, scheduled=2), ACTIVE, 2, Reason.SCHEDULE, id="hours of the schedule"),
    pytest.param(
        policy_of(min_scale=3), seen_of(0, 0, 3, scheduled=2), ACTIVE, 3, Reason.MIN_SCALE,
        id="the larger of schedule and min scale",
    ),
    pytest.param(
        policy_of(max_scale=1), seen_of(0, 0, scheduled=2), ACTIVE, 1, Reason.MAX_SCALE,
        id="no schedule goes beyond the max scale",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "seen", "memory", "pods", "reason"), ROWS)
def test_one_look(policy: Policy, seen: Snapshot, memory: Memory, pods: int, reason: Reason) -> None:
    """One snapshot and one memory give this count, for this reason."""
    decision = decide(policy, seen, memory)
    assert (decision.pods, decision.reason) == (pods, reason)


def test_every_reason_has_a_row() -> None:
    """No rule of the decision is without a row in the table."""
    assert {row.values[4] for row in ROWS} == set(Reason)


def run(policy: Policy, memory: Memory, *looks: tuple[float, Snapshot]) -> list[Decision]:
    """Decide for one snapshot after another, each at its own time."""
    decisions = []
    for now_s, seen in looks:
        decisions.append(decide(policy, replace(seen, now_s=now_s), memory))
        memory = decisions[-1].memory
    return decisions


def test_unpanic_after_slow_increase() -> None:
    """Panic ends although pods were added all the while (Knative's TestAutoscalerUnpanicAfterSlowIncrease)."""
    jump, half, end = run(
        policy_of(1),
        ACTIVE,
        (NOW, seen_of(11, 25, 10)),
        (NOW + 30, seen_of(30, 41, 40)),
        (NOW + 62, seen_of(50, 56, 55)),
    )
    assert (jump.pods, jump.memory.panic_since_s) == (25, NOW)
    assert (half.pods, half.memory.panic_since_s) == (41, NOW)
    assert (end.pods, end.memory.panic_since_s, end.memory.peak) == (50, None, 0)


def test_a_surge_that_goes_on_extends_panic() -> None:
    """Still over the threshold, panic begins anew (Knative's TestAutoscalerExtendPanicWindow)."""
    _, second = run(policy_of(1), ACTIVE, (NOW, seen_of(11, 25, 10)), (NOW + 30, seen_of(30, 80, 40)))
    assert (second.pods, second.memory.panic_since_s) == (80, NOW + 30)


def test_exponential_growth_is_followed_and_stabilizes() -> None:
    """Each step multiplies the load by six (Knative's TestAutoscalerPanicModeExponentialTrackAndStabilize)."""
    looks = [
        (NOW + i, seen_of(load, load, ready))
        for i, (load, ready) in enumerate([(6, 1), (36, 6), (216, 36), (1296, 216), (1296, 1296)])
    ]
    assert [decision.pods for decision in run(policy_of(1), ACTIVE, *looks)] == [6, 36, 216, 1296, 1296]


def test_panic_then_unpanic_then_scale_down() -> None:
    """What panic added stays for a stable window (Knative's TestAutoscalerPanicThenUnPanicScaleDown)."""
    decisions = run(
        policy_of(),
        ACTIVE,
        (NOW, seen_of(100, 100, 1)),
        (NOW, seen_of(100, 1000, 10)),
        (NOW + 30, seen_of(1, 1, 10)),
        (NOW + 61, seen_of(1, 1, 10)),
    )
    assert [decision.pods for decision in decisions] == [10, 100, 100, 1]


def test_scale_down_delay_is_gradual() -> None:
    """The most wanted in the last five minutes counts, step by step (Knative's TestAutoscalerScaleDownDelay)."""
    minutes = [(9, 40, 4), (10, 30, 4), (11, 0, 4), (14, 0, 3), (15, 0, 1)]
    looks = [(NOW + 60 * minute, seen_of(load, load, 1, replicas=4)) for minute, load, _ in minutes]
    policy = policy_of(scale_down_delay_s=300.0, panic_threshold=100.0)
    # The last one is zero to Knative's table; here zero is a separate step, which keeps one pod while it waits.
    memory = replace(ACTIVE, phase=Phase.INACTIVE, in_path_since_s=NOW + 900)
    assert [decision.pods for decision in run(policy, memory, *looks)] == [pods for *_, pods in minutes]


def test_without_delay_it_shrinks_at_once() -> None:
    """No delay is not a short delay (Knative's TestAutoscalerScaleDownDelayZero)."""
    policy = policy_of(panic_threshold=100.0)
    decisions = run(policy, ACTIVE, (NOW, seen_of(40, 40)), (NOW + 0.5, seen_of(20, 20)))
    assert [decision.pods for decision in decisions] == [4, 2]


@pytest.mark.parametrize(("ready", "panics"), [(0, False), (1, False), (2, True), (9, True)])
def test_begins_in_panic_with_more_than_one_pod(ready: int, panics: bool) -> None:  # noqa: FBT001
    """A restarted autoscaler knows nothing yet, and must not shrink what runs (Knative's TestStartInPanicMode)."""
    memory = Memory.begin(seen_of(None, None, ready))
    assert (memory.panic_since_s == NOW, memory.peak) == (panics, ready)
    if panics:
        assert decide(policy_of(), seen_of(0, 0, ready), memory).pods == ready


@pytest.mark.parametrize(
    ("replicas", "ready", "phase"),
    [(0, 0, Phase.INACTIVE), (1, 0, Phase.ACTIVATING), (2, 1, Phase.ACTIVE)],
)
def test_first_phase(replicas: int, ready: int, phase: Phase) -> None:
    """What a revision is doing is read from its pods when it is first seen."""
    assert Memory.begin(seen_of(None, None, ready, replicas=replicas)).phase is phase


def test_traffic_makes_it_active_again() -> None:
    """A revision found idle and then used must be ready for a whole stable window before it may sleep."""
    retained = policy_of(scale_to_zero_pod_retention_s=600.0)
    idle, used, idle_again, waits, at_last = run(
        retained,
        ACTIVE,
        (NOW, seen_of(0, 0)),
        (NOW + 10, seen_of(5, 5)),
        (NOW + 69, seen_of(0, 0)),
        (NOW + 70, seen_of(0, 0)),
        (NOW + 670, seen_of(0, 0)),
    )
    assert [d.reason for d in (idle, used, idle_again, waits)] == [
        Reason.RETAINED,
        Reason.STABLE,
        Reason.LINGERING,
        Reason.RETAINED,
    ]
    assert (used.memory.phase, used.memory.phase_since_s) == (Phase.ACTIVE, NOW + 10)
    assert at_last.pods == 0


def test_a_pod_that_dies_makes_it_activating() -> None:
    """A wanted revision without ready pods is activating, from that moment on."""
    decision = decide(policy_of(), seen_of(5, 5, 0, replicas=1), ACTIVE)
    assert (decision.memory.phase, decision.memory.phase_since_s) == (Phase.ACTIVATING, NOW)


# --- properties ---------------------------------------------------------------------------------------------

loads = st.floats(0, 1e6)
counts = st.integers(0, 500)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    low = draw(st.integers(0, 20))
    return policy_of(
        draw(st.floats(0.01, 1000)),
        up=draw(st.floats(1.01, 1000)),
        down=draw(st.floats(1.01, 100)),
        zero=draw(st.booleans()),
        min_scale=low,
        max_scale=draw(st.sampled_from([0, low + 1, low + 30])),
        initial_scale=draw(st.integers(0, 9)),
        activation_scale=draw(st.integers(1, low + 1)),
        metric=draw(st.sampled_from(Metric)),
        scale_down_delay_s=draw(st.sampled_from([0.0, 60.0])),
        scale_to_zero_pod_retention_s=draw(st.sampled_from([0.0, 60.0])),
    )


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    since = st.floats(NOW - 2000, NOW)
    falling = sorted(draw(st.sets(st.integers(0, 500), max_size=4)), reverse=True)
    when = sorted(draw(st.lists(since, min_size=len(falling), max_size=len(falling))))
    return Memory(
        draw(since),
        draw(st.sampled_from(Phase)),
        draw(since),
        draw(st.booleans()),
        draw(st.none() | since),
        draw(counts),
        tuple(zip(when, falling, strict=True)),
    )


plans = st.builds(Plan, st.floats(0, 1e5)) | st.builds(
    Plan, st.floats(0, 100), st.floats(100, 1e4), st.floats(1e4, 1e5)
)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    waiting = draw(counts)
    return Snapshot(
        NOW,
        draw(counts),
        draw(counts),
        draw(loads),
        draw(loads),
        waiting,
        draw(st.sampled_from([0, waiting])),
        draw(st.booleans()),
        draw(st.floats(0, 1e5)),
        draw(st.none() | plans),
        draw(st.sampled_from([0, 0, 3])),
    )


@given(policies(), snapshots(), memories())
def test_bounds_hold(policy: Policy, seen: Snapshot, memory: Memory) -> None:
    """Never more than max-scale; never fewer than min-scale where somebody can reach the revision."""
    pods = decide(policy, seen, memory).pods
    assert 0 <= pods <= (policy.scaling.max_scale or 2**31)
    if seen.reachable:
        assert pods >= policy.scaling.min_scale


@given(policies(), snapshots(), memories())
def test_never_zero_while_somebody_waits(policy: Policy, seen: Snapshot, memory: Memory) -> None:
    """A request that is queued or in flight keeps at least one pod, with or without data."""
    waiting = replace(seen, waiting=max(1, seen.waiting))
    assert decide(policy, waiting, memory).pods >= 1
    assert decide(policy, replace(waiting, stable_load=None), memory).pods >= 1


@given(policies(), snapshots(), memories(), loads, loads, counts)
def test_more_load_never_gives_fewer_pods(
    policy: Policy, seen: Snapshot, memory: Memory, stable: float, panic: float, waiting: int
) -> None:
    """All else equal, more load and more waiting requests give at least as many pods."""
    assert seen.stable_load is not None
    assert seen.panic_load is not None
    more = replace(
        seen,
        stable_load=seen.stable_load + stable,
        panic_load=seen.panic_load + panic,
        waiting=seen.waiting + waiting,
        backlog=seen.backlog + waiting if seen.backlog else 0,
    )
    assert decide(policy, more, memory).pods >= decide(policy, seen, memory).pods


@given(policies(), snapshots(), memories())
def test_missing_data_never_shrinks(policy: Policy, seen: Snapshot, memory: Memory) -> None:
    """Silence is not the absence of load."""
    silent = replace(seen, stable_load=None, panic_load=None)
    assert decide(policy, silent, memory).pods >= seen.replicas


@given(policies(), snapshots(), memories())
def test_same_input_same_output(policy: Policy, seen: Snapshot, memory: Memory) -> None:
    """Nothing but the arguments decides, and deciding twice at one moment is deciding once."""
    first = decide(policy, seen, memory)
    assert decide(policy, seen, memory) == first
    again = decide(policy, seen, first.memory)
    assert again.pods == first.pods

"""What a probe's answers add up to, and when to ask next."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torpor.spec.probe import Exec, Probe, Purpose

EAGER_S = 0.02
"""Between tries of a probe that waits for a container to come up. A cluster has queue-proxy to try this often for
Knative's containers; here nobody else does, and a whole period would be the longest part of a cold start."""
PATIENT_S = 0.05
"""The same, for one that takes longer than `HURRY_S`."""
COMMAND_S = 0.1
"""The same, for one that starts a process each time."""
HURRY_S = 2.0


@dataclass(frozen=True, slots=True)
class ProbeState:
    """What was answered so far."""

    passed: bool
    """Startup: it has started. Readiness: it is ready. Liveness: it lives."""
    successes: int = 0
    """In a row."""
    failures: int = 0
    """In a row, as far as they count."""
    counted_s: float | None = None
    """When the last failure that counts was; at first, when asking began."""
    ever: bool = False
    """Whether there was a success at all."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one answer changes."""

    state: ProbeState
    counts: bool
    """A failure that is to be told: eager tries between are not."""
    gave_up: bool = False
    """So many failures that the container is to be killed."""


def fresh(purpose: Purpose, now_s: float) -> ProbeState:
    """Return the state at the start of a container."""
    lives = purpose is Purpose.LIVENESS
    return ProbeState(passed=lives, counted_s=None if lives else now_s)


def first_try_s(probe: Probe, purpose: Purpose) -> float:
    """Return how long after the start of a container (or of what this probe waits for) the first try is."""
    if purpose is Purpose.LIVENESS:
        return max(probe.initial_delay_s, min(1.0, probe.period_s))  # a process that is just starting is not dead
    return probe.initial_delay_s or EAGER_S


def next_try_s(probe: Probe, purpose: Purpose, state: ProbeState, tried_for_s: float) -> float:
    """Return the pause before the next try."""
    if purpose is Purpose.LIVENESS or state.ever:
        return probe.period_s
    pause_s = EAGER_S if tried_for_s < HURRY_S else PATIENT_S
    return min(probe.period_s, COMMAND_S if isinstance(probe.action, Exec) else pause_s)


def after(probe: Probe, purpose: Purpose, state: ProbeState, *, success: bool, now_s: float) -> Outcome:
    """Return what an answer makes of the state.

    Until the first success a failure counts once per period, however often is asked: thresholds mean the same time as
    on a cluster, and a container that is just starting is no news.
    """
    if success:
        successes = state.successes + 1
        passed = state.passed or successes >= probe.success_threshold
        return Outcome(ProbeState(passed=passed, successes=successes, ever=True), counts=False)
    state = replace(state, successes=0)
    if state.counted_s is not None and not state.ever and now_s - state.counted_s < probe.period_s:
        return Outcome(state, counts=False)
    failures = state.failures + 1
    over = failures >= probe.failure_threshold
    gave_up = over and purpose is not Purpose.READINESS
    passed = state.passed and not over
    return Outcome(replace(state, passed=passed, failures=failures, counted_s=now_s), counts=True, gave_up=gave_up)

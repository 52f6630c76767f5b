"""What is learned from pauses, what is done with it, and that it is paid for."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.autoscaler.keepalive import (
    BINS,
    EDGES_S,
    LEAST_KEEP_S,
    Account,
    Gaps,
    Learner,
    Plan,
    Purse,
    bin_of,
    idle_account,
    plan,
    wake_account,
)
from tests.activator.autoscaler.world import KEY, World, world
from torpor.spec import names
from torpor.spec.kinds import REVISION

KEEP_S = 60.0


def gaps_of(*gaps: float) -> Gaps:
    made = Gaps()
    for gap in gaps:
        made.add(gap)
    return made


@given(st.floats(0, EDGES_S[-1] - 0.01))
def test_each_pause_is_in_its_bin(gap_s: float) -> None:
    """Bins leave nothing out and do not overlap."""
    number = bin_of(gap_s)
    assert EDGES_S[number] <= gap_s * (1 + 1e-6) + 1e-6
    assert gap_s <= EDGES_S[number + 1] * (1 + 1e-6)


@pytest.mark.parametrize(
    ("gaps", "known"),
    [
        pytest.param([300.0] * 7, False, id="too few"),
        pytest.param([300.0] * 8, True, id="enough"),
        pytest.param([300.0] * 8 + [20_000.0] * 9, False, id="most are beyond the range"),
        pytest.param([(a + b) / 2 for a, b in itertools.pairwise(EDGES_S)][:60], False, id="as good as level"),
    ],
)
def test_a_histogram_without_a_pattern_says_nothing(gaps: list[float], known: bool) -> None:  # noqa: FBT001
    """Then the standard holds (the paper's fallback)."""
    assert (plan(gaps_of(*gaps), 10.0, 1.0) is not None) == known


def test_a_timer_is_slept_through_and_awaited() -> None:
    """Every five minutes: asleep soon, and ready again before it is due."""
    made = plan(gaps_of(*[300.0] * 20), 15.0, 1.0)
    assert made is not None
    assert made.keep_s == LEAST_KEEP_S
    assert made.again_s <= 300 - 15
    assert made.again_s > 240
    assert 300 < made.until_s < 340
    assert [made.warm(idle_s) for idle_s in (0, 5, 100, 299, 400)] == [True, True, False, True, False]
    assert made.next_s(7.0) == made.again_s
    assert made.next_s(300.0) is None


def test_bursts_are_kept_through_and_no_longer() -> None:
    """Pauses of seconds within a burst, of an hour between: a pod stays for the former."""
    made = plan(gaps_of(*[4.0, 7.0, 10.0] * 12, 3000.0, 5000.0), 15.0, 1.0)
    assert made is not None
    assert 10 < made.keep_s < 20
    assert made.again_s == math.inf


@given(st.lists(st.floats(0, 20_000), min_size=8, max_size=80), st.floats(1, 120), st.floats(0, 50), st.floats(0, 50))
def test_more_worth_never_keeps_a_pod_for_less(gaps: list[float], start_s: float, one: float, other: float) -> None:
    """A richer budget lengthens the first window, if it changes it; plans are always in order."""
    less, more = (plan(gaps_of(*gaps), start_s, worth) for worth in sorted((one, other)))
    assert (less is None) == (more is None)
    if less is None or more is None:
        return
    for made in (less, more):
        assert LEAST_KEEP_S <= made.keep_s <= EDGES_S[-1]
        assert made.again_s == made.until_s == math.inf or made.keep_s < made.again_s < made.until_s
    if less.again_s == more.again_s == math.inf:
        assert more.keep_s >= less.keep_s


def test_old_pauses_are_forgotten() -> None:
    """After a night of long pauses a morning of short ones counts, within a few dozen requests."""
    gaps = gaps_of(*[3600.0] * 500)
    assert gaps.total <= 64
    for _ in range(150):
        gaps.add(20.0)
    assert gaps.counts[bin_of(20.0)] > 0.8 * gaps.total
    assert sum(gaps.counts) + gaps.beyond == pytest.approx(gaps.total)
    assert len(gaps.counts) == BINS


@pytest.mark.parametrize(
    ("begin", "end", "pods", "account"),
    [
        pytest.param(0, 20, True, Account(20, 20), id="both have a pod"),
        pytest.param(20, 100, True, Account(40, 80), id="ours stays longer"),
        pytest.param(20, 100, False, Account(40, 0), id="ours sleeps sooner"),
        pytest.param(100, 200, True, Account(0, 100), id="ours alone"),
        pytest.param(100, 200, False, Account(0, 0), id="neither"),
    ],
)
def test_idle_time_is_counted_for_both(begin: float, end: float, pods: bool, account: Account) -> None:  # noqa: FBT001
    """What Knative's autoscaler would have had is known without having it."""
    assert idle_account(begin, end, KEEP_S, pods=pods) == account


@pytest.mark.parametrize(
    ("gap", "ready", "account"),
    [
        pytest.param(30, True, Account(), id="both warm"),
        pytest.param(90, False, Account(), id="both cold"),
        pytest.param(90, True, Account(knatives_s=10), id="a start saved"),
        pytest.param(30, False, Account(ours_s=10), id="a start that Knative's would not have made"),
    ],
)
def test_a_start_that_only_one_makes_is_counted(gap: float, ready: bool, account: Account) -> None:  # noqa: FBT001
    """Starting pods cost replica-seconds too."""
    assert wake_account(gap, KEEP_S, 10.0, ready=ready) == account


def test_the_purse_is_spent_down_to_nothing_and_no_further() -> None:
    """Savings make waits worth more; with nothing left only what saves is done."""
    purse = Purse()
    purse.add(Account(1000, 1000 + Purse.ADVANCE_S), 1.0)
    assert (purse.left_s, purse.worth) == (0.0, 0.0)
    purse.add(Account(200, 0), 2.0)
    poor = purse.worth
    purse.add(Account(200, 0), 3.0)
    assert purse.worth >= poor > 0


def test_savings_are_not_kept_for_ever() -> None:
    """What was saved last week pays for nothing today."""
    purse = Purse()
    purse.add(Account(100_000, 0), 1.0)
    purse.add(Account(), 1.0 + 14 * Purse.HALF_LIFE_S)
    assert purse.left_s < Purse.ADVANCE_S + 10


def test_who_cannot_afford_more_keeps_no_pod_longer_than_knatives() -> None:
    """Nor starts one on suspicion."""
    learner = Learner(0.0)
    learner.start_s = 10.0
    for _ in range(20):
        learner.gaps.add(300.0)
    rich, poor = (learner.plan(20.0, KEEP_S, affordable=affordable) for affordable in (True, False))
    assert rich is not None
    assert rich.again_s < math.inf
    assert poor == Plan(LEAST_KEEP_S)


def adaptive(w: World, keep_alive: str, **more: str) -> None:
    w.deploy(0)
    annotations = {names.KEEP_ALIVE: keep_alive} | {f"torpor.dev/{name}": value for name, value in more.items()}
    w.cluster.change(REVISION, KEY[1], KEY[0], {"metadata": {"annotations": annotations}})


async def once(w: World) -> None:
    """One request, and its answer as soon as there is a pod."""
    await w.arrive(1)
    for _ in range(60):
        if not w.traffic.queued:
            break
        await w.pass_seconds(1)
    w.finish()


async def test_a_timer_finds_a_pod_after_it_was_learned() -> None:
    """Every two and a half minutes, sixteen times: then a pod is there when the request comes, and gone in between."""
    async with world(start_s=10) as w:
        adaptive(w, "adaptive")
        warm, replica_s = [], []
        for _ in range(16):
            await once(w)
            used = 0
            for _ in range(150):
                await w.pass_seconds(1)
                used += w.replicas
            warm.append(w.traffic.ready_pods > 0)
            replica_s.append(used)
        assert not any(warm[:8]), "it is not known yet"
        assert all(warm[-4:])
        assert sum(replica_s) <= 16 * (61 + 10), "no more than Knative's minute and the start, all in all"
        assert "Prewarmed" in [reason for reason, _ in w.events]


@pytest.mark.parametrize(("keep_alive", "seconds"), [("fixed:20s", 20), ("fixed:3m", 180), ("standard", 60)])
async def test_a_fixed_keep_alive_counts_from_the_last_request(keep_alive: str, seconds: int) -> None:
    """Shorter or longer than Knative's windows, to within a tick and a sample."""
    async with world(start_s=2) as w:
        adaptive(w, keep_alive)
        await once(w)
        assert seconds - 2 <= await w.until_replicas(0) <= seconds + 4


async def test_a_keep_alive_never_takes_the_pod_of_a_long_request() -> None:
    """A request that takes ten minutes is no pause."""
    async with world(start_s=2) as w:
        adaptive(w, "fixed:10s")
        await w.arrive(1)
        await w.pass_seconds(600)
        assert (w.replicas, w.traffic.in_flight) == (1, 1)


async def test_a_schedule_wakes_and_lets_sleep() -> None:
    """Pods are there when the hour comes, without a request, and go when it is over."""
    async with world(start_s=2) as w:
        # 1,800,000,000 s after 1970 is 2027-01-15 08:00:00, a Friday.
        adaptive(w, "standard", schedule="Fri 08:02-08:10 UTC=2")
        await w.pass_seconds(110)
        assert w.replicas == 0
        await w.pass_seconds(14)
        assert w.replicas == 2
        await w.pass_seconds(8 * 60 - 20)
        assert w.replicas == 2
        await w.until_replicas(0)
        reasons = [reason for reason, _ in w.events]
        assert "Schedule" in reasons

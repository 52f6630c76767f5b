"""Of several activators one decides; on what is not known nothing is taken away."""

from __future__ import annotations

import pytest

from tests.activator.autoscaler.world import KEY, world

FAST = {"window": "6s"}


class Others:
    """Fits `activator.autoscaler.loop.Team`; tests set what is so."""

    def __init__(self, *, leads: bool = True) -> None:
        self.leads = leads
        self.complete = True
        self.woken: list[tuple[str, str]] = []

    def wake(self, revision: tuple[str, str]) -> None:
        self.woken.append(revision)


async def test_who_does_not_lead_changes_nothing_and_tells_the_leader() -> None:
    team = Others(leads=False)
    async with world(concurrency=10, team=team) as w:
        w.deploy(0)
        await w.arrive(2)
        await w.pass_seconds(200)
        assert w.cluster.patches == []
        assert team.woken == [KEY] * 2


async def test_who_begins_to_lead_wakes_what_is_waited_for() -> None:
    """At once: the queue is in the counts."""
    team = Others(leads=False)
    async with world(concurrency=10, team=team) as w:
        w.deploy(0)
        await w.arrive(1)
        team.leads = True
        w.autoscaler.lead()
        w.autoscaler.poke(KEY)
        await w.settle()
        assert w.replicas == 1


async def test_a_new_leader_takes_nothing_away_for_one_stable_window() -> None:
    """Its windows are empty: that a second was quiet says nothing of the minute before."""
    team = Others()
    async with world(concurrency=10, team=team) as w:
        w.deploy(5, **FAST)
        w.autoscaler.lead()
        for _ in range(5):
            await w.pass_seconds(1)
            assert w.replicas == 5
        assert await w.until_replicas(0) > 0


async def test_a_new_leader_adds_at_once() -> None:
    team = Others()
    async with world(concurrency=10, team=team) as w:
        w.deploy(1, **FAST)
        w.autoscaler.lead()
        await w.arrive(100)
        await w.pass_seconds(4)
        assert w.replicas > 5
        w.finish()


async def test_silence_takes_nothing_away() -> None:
    """Nor does it to zero, however long it lasts; when all is known again, the windows decide."""
    team = Others()
    async with world(concurrency=10, team=team) as w:
        w.deploy(3, **FAST)
        team.complete = False
        await w.pass_seconds(300)
        assert w.replicas == 3
        team.complete = True
        await w.until_replicas(0)


@pytest.mark.parametrize("every", [2, 3, 5])
async def test_counts_that_are_lost_now_and_then_make_nothing_flap(every: int) -> None:
    """The load is steady, and every so many seconds an activator is not heard."""
    team = Others()
    async with world(concurrency=10, team=team) as w:
        w.deploy(3, **FAST)
        await w.arrive(21)
        for second in range(100):
            team.complete = second % every != 0
            await w.pass_seconds(1)
            assert w.replicas == 3
        w.finish()


async def test_a_clock_that_is_set_changes_nothing() -> None:
    """Windows go by a clock that nobody can set."""
    team = Others()
    async with world(concurrency=10, team=team) as w:
        w.deploy(3, **FAST)
        await w.arrive(21)
        for step_s in (3600.0, -7200.0, 86_400.0):
            w.clock.step_wall(step_s)
            await w.pass_seconds(20)
            assert w.replicas == 3
        w.finish()

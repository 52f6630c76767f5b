"""A look at very many revisions leaves the event loop to others in between, and decides what it would in one go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from activator.autoscaler import loop
from activator.autoscaler.loop import SLICE_S, Autoscaler
from tests.activator.autoscaler.world import KEY, Traffic, World, world
from tests.support.clock import FakeClock
from torpor.spec import names
from torpor.spec.kinds import DEPLOYMENT, REVISION, ROUTE, Object
from torpor.telemetry import metrics

STEP_S = 0.001
"""What one revision takes."""
MANY = 60
Go = Callable[[Autoscaler], None]


def deploy(w: World, number: int) -> None:
    """A revision of one of six sorts: with pods or without, kept, routed or not."""
    name = f"r{number}"
    annotations = {names.AUTOSCALING + "min-scale": str(number % 3)}
    status: Object = {"conditions": [{"type": "Ready", "status": "True"}]}
    w.cluster.put(
        REVISION, {"metadata": {"name": name, "namespace": KEY[0], "annotations": annotations}, "status": status}
    )
    metadata = {"name": f"{name}-deployment", "namespace": KEY[0], "labels": {names.REVISION: name}}
    w.cluster.put(DEPLOYMENT, {"metadata": metadata, "spec": {"replicas": number % 2}, "status": {}})
    if number % 4:
        traffic = [{"revisionName": name, "percent": 100}]
        w.cluster.put(
            ROUTE, {"metadata": {"name": name, "namespace": KEY[0]}, "status": {"traffic": traffic}, "spec": {}}
        )


async def deploy_all(w: World) -> None:
    for number in range(MANY):
        deploy(w, number)
    await w.settle()


@dataclass
class Slow:
    """Each look at a revision, and each sample of one, takes STEP_S by the world's clock."""

    clock: FakeClock
    steps: int = 0

    def after(self, step: Callable[..., None]) -> Callable[..., None]:
        def slowly(*args: object, **named: object) -> None:
            self.clock.advance(STEP_S)
            self.steps += 1
            step(*args, **named)

        return slowly


@pytest.fixture
async def many(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[World, Slow]]:
    """Very many revisions, none of which has been looked at."""
    async with world() as w:
        slow = Slow(w.clock)
        monkeypatch.setattr(loop.Watch, "sample", slow.after(loop.Watch.sample))
        monkeypatch.setattr(Autoscaler, "_look_after", slow.after(Autoscaler._look_after))
        await deploy_all(w)
        yield w, slow


def stretches(clock: FakeClock, steps: Iterator[None]) -> list[float]:
    """Go through all steps; returns how long each kept the loop."""
    began_s, kept = clock.monotonic(), []
    for _ in steps:
        kept.append(clock.monotonic() - began_s)
        clock.advance(1.0)  # what others do with their turn is not counted
        began_s = clock.monotonic()
    return [*kept, clock.monotonic() - began_s]


async def test_no_stretch_is_longer_than_a_slice_and_one_revision(many: tuple[World, Slow]) -> None:
    """Samples and looks alike; and what the metric says is what was spent, not how long others took in between."""
    w, slow = many
    for steps in (w.autoscaler.ticking, w.autoscaler.sampling, w.autoscaler.ticking):
        slow.steps = 0
        kept = stretches(w.clock, steps())
        assert slow.steps > MANY / 4
        assert max(kept) <= SLICE_S + STEP_S + 1e-9
        assert sum(kept) == pytest.approx(slow.steps * STEP_S)
    told_s = metrics.REGISTRY.get_sample_value("torpor_autoscaler_tick_seconds")
    assert told_s == pytest.approx(sum(kept))


async def test_others_run_between_two_slices(many: tuple[World, Slow], monkeypatch: pytest.MonkeyPatch) -> None:
    """While `run` looks at all of them, whoever is ready to run does, within a slice."""
    monkeypatch.setattr(loop, "SAMPLE_S", 0.001)
    monkeypatch.setattr(loop, "TICK_S", 0.001)
    w, slow = many
    running = asyncio.create_task(w.autoscaler.run())
    longest_s, before_s = 0.0, w.clock.monotonic()
    async with asyncio.timeout(20):
        while slow.steps < 2 * MANY:
            await asyncio.sleep(0)
            longest_s = max(longest_s, w.clock.monotonic() - before_s)
            before_s = w.clock.monotonic()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert STEP_S < longest_s <= SLICE_S + STEP_S + 1e-9


def in_one_go(scaler: Autoscaler) -> None:
    scaler.sample()
    scaler.tick()


def by_turns(scaler: Autoscaler) -> None:
    for steps in (scaler.sampling(), scaler.ticking()):
        for _ in steps:
            pass


@pytest.mark.parametrize("seconds", [1, 2, 70])
async def test_it_decides_the_same(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of no length at all, and none: every Deployment is scaled alike, and the same ones sleep."""

    async def scaled(go: Go) -> dict[str, int]:
        async with world() as w:
            await deploy_all(w)
            for _ in range(seconds):
                w.clock.advance(1.0)
                go(w.autoscaler)
                await w.settle()
            return {each["metadata"]["name"]: each["spec"]["replicas"] for each in w.cluster.all(DEPLOYMENT)}

    wanted = await scaled(in_one_go)
    monkeypatch.setattr(loop, "SLICE_S", 0.0)
    assert await scaled(by_turns) == wanted
    assert len(set(wanted.values())) > 1


async def test_what_goes_meanwhile_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Deployment that is deleted, and the lead that is lost, between two slices."""
    monkeypatch.setattr(loop, "SLICE_S", 0.0)
    async with world() as w:
        await deploy_all(w)
        w.autoscaler.tick()
        await deploy_all(w)
        sampling = w.autoscaler.sampling()
        next(sampling)
        for number in range(0, MANY, 2):
            w.cluster.remove(DEPLOYMENT, f"r{number}-deployment", KEY[0])
        await w.settle()
        assert list(sampling), "it goes on with those that are left"
        before, ticking = len(w.cluster.patches), w.autoscaler.ticking()
        next(ticking)
        w.autoscaler._team.leads = False  # type: ignore[misc]  # nobody else is there, so it is no setting
        assert not list(ticking)
        await w.settle()
        assert len(w.cluster.patches) == before


async def test_a_wake_that_waits_for_its_turn_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was poked before the sample, and is scaled in the middle of it, is known to be asked for."""
    monkeypatch.setattr(loop, "SLICE_S", 0.0)
    async with world() as w:
        await deploy_all(w)
        for _ in range(80):  # all that are idle go to sleep
            w.clock.advance(1.0)
            w.autoscaler.sample()
            w.autoscaler.tick()
            await w.settle()
        asleep = {
            each["metadata"]["labels"][names.REVISION]
            for each in w.cluster.all(DEPLOYMENT)
            if each["spec"]["replicas"] == 0
        }
        answers, patch = asyncio.Event(), w.cluster.patch

        async def slowly(*arguments: Any, **named: Any) -> Object:
            await answers.wait()
            return await patch(*arguments, **named)

        monkeypatch.setattr(w.cluster, "patch", slowly)
        for name in asleep:
            w.throttlers.of[KEY[0], name] = Traffic(queued=1, requests=1)
            w.autoscaler.poke((KEY[0], name))
        await w.settle()  # some are at the API, the rest wait for their turn
        w.clock.advance(1.0)
        steps = w.autoscaler.sampling()
        next(steps)
        answers.set()
        await w.settle()
        for _ in steps:
            pass
        await w.settle()
        assert len(asleep) > 16
        assert {
            each["metadata"]["labels"][names.REVISION]
            for each in w.cluster.all(DEPLOYMENT)
            if each["spec"]["replicas"] == 0
        }.isdisjoint(asleep)

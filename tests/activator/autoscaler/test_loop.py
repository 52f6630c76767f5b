"""The autoscaler at work: zero, one, many, zero again; failures and races in between."""

from __future__ import annotations

import asyncio
import logging

import pytest

from activator.autoscaler import loop
from tests.activator.autoscaler.world import KEY, NAME, world
from tests.support.until import until
from torpor import errors
from torpor.aio.backoff import Backoff
from torpor.spec.autoscaling import Defaults
from torpor.spec.kinds import DEPLOYMENT, REVISION
from torpor.telemetry import metrics

FAST = {"window": "6s"}


def sample_of(name: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(name, {"namespace": KEY[0], "revision": KEY[1]})


async def test_zero_one_many_zero() -> None:
    """The life of a service: asleep, woken by a request, grown by a burst, back to sleep."""
    async with world(concurrency=10) as w:
        w.deploy(0)
        await w.settle()
        await w.pass_seconds(100)
        assert w.cluster.patches == []

        await w.arrive(1)
        assert w.replicas == 1, "the first request wakes without waiting for a tick"
        await w.pass_seconds(4)
        assert w.traffic.in_flight == 0
        await w.pass_seconds(1)
        assert (w.traffic.queued, w.traffic.in_flight) == (0, 1)

        await w.arrive(199)
        await w.pass_seconds(4)
        assert w.replicas == 29, "a queue that two samples saw is 200 requests at once, 7 per pod"
        await w.pass_seconds(10)
        assert w.traffic.in_flight == 200

        w.finish()
        await w.pass_seconds(40)
        assert w.replicas == 29, "panic holds for a stable window"
        assert await w.until_replicas(0) < 120
        assert (w.throttlers.frozen, w.traffic.frozen) == ([KEY], False)
        reasons = [reason for reason, _ in w.events]
        assert reasons[0] == "RequestsWaiting"
        assert reasons[1] == "PanicLoad"
        assert reasons[-1] == "NoTraffic"


async def test_a_burst_at_zero_is_seen_by_the_first_tick() -> None:
    """200 requests that find nothing scale out within one tick, not when a window has filled."""
    async with world(concurrency=10) as w:
        w.deploy(0, max_scale="20")
        await w.pass_seconds(61)
        await w.arrive(200)
        assert w.replicas == 1
        await w.pass_seconds(2)
        assert w.replicas == 20
        w.finish()


async def test_fifty_cycles_lose_no_wake() -> None:
    """Zero, one, zero, fifty times: each first request wakes at once."""
    async with world(start_s=1, concurrency=10) as w:
        w.deploy(0, **FAST)
        for _ in range(50):
            await w.arrive(1)
            assert w.replicas == 1
            await w.pass_seconds(3)
            assert w.traffic.in_flight == 1
            w.finish()
            await w.until_replicas(0)
            await w.pass_seconds(3)
            assert w.traffic.ready_pods == 0
        scalings = [body for kind, _, body in w.cluster.patches if kind == "Deployment"]
        assert len(scalings) == 100, "one change up and one down per cycle, no more"


async def test_a_request_while_the_last_pod_is_taken_away_wakes_again() -> None:
    """The patch to zero is on its way when a request comes: the wake is not lost, and follows at once."""
    async with world(concurrency=1) as w:
        w.deploy(1, **FAST)
        w.cluster.held = asyncio.Event()
        await w.until_replicas(0)
        assert w.traffic.frozen
        await w.arrive(1)
        assert (w.replicas, w.traffic.queued) == (0, 1), "one change at a time"
        w.cluster.held.set()
        await w.settle()
        assert (w.replicas, w.traffic.frozen) == (1, False)


async def test_a_request_that_comes_before_the_freeze_prevents_zero() -> None:
    """The decision fell on what was known; what came since counts more."""
    async with world(concurrency=1) as w:
        w.deploy(1, **FAST)
        refused = 0

        def freeze_if_idle(_: tuple[str, str]) -> bool:
            nonlocal refused
            refused += 1
            return False

        w.throttlers.freeze_if_idle = freeze_if_idle  # type: ignore[method-assign]
        await w.pass_seconds(100)
        assert refused > 0
        assert (w.replicas, w.cluster.patches) == (1, [])


async def test_an_api_that_is_down_is_asked_again_while_requests_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wake is retried with a back-off, however many requests come meanwhile, until it succeeds."""
    # Longer than a thousand requests take on a busy machine.
    monkeypatch.setattr(loop, "RETRY", Backoff(first_s=2.0))
    async with world(concurrency=1) as w:
        w.deploy(0)
        down = True

        def refuse() -> None:
            if down:
                raise errors.UnavailableError("down")

        w.cluster.before_patch = refuse
        for _ in range(20):
            await w.arrive(50)
        assert len(w.cluster.patches) == 1, "a thousand requests are one try"
        down = False
        await until(lambda: w.replicas == 1)
        assert len(w.cluster.patches) <= 3
        w.finish()


async def test_nobody_waits_any_more() -> None:
    """Clients that hung up while the API was down leave nothing to be woken."""
    async with world(concurrency=1) as w:
        w.deploy(0)
        down = True

        def refuse() -> None:
            if down:
                raise errors.UnavailableError("down")

        w.cluster.before_patch = refuse
        await w.arrive(1)
        w.finish()
        await w.pass_seconds(2)
        down = False
        await w.pass_seconds(100)
        await asyncio.wait_for(w.autoscaler._queue.idle(), 5)
        assert w.replicas == 0


async def test_a_request_before_its_deployment_wakes_it_when_it_comes() -> None:
    """A Route may lead to a revision whose Deployment the informer has not seen yet."""
    async with world() as w:
        await w.arrive(1)
        w.deploy(0, ready=False)
        await w.settle()
        assert w.replicas == 1


async def test_zero_by_hand_under_load_is_undone_at_once() -> None:
    """Somebody scales to zero while requests wait: they win, without waiting for a tick."""
    async with world(concurrency=1) as w:
        w.deploy(1)
        await w.arrive(5)
        await w.pass_seconds(2)
        w.cluster.change(DEPLOYMENT, NAME, KEY[0], {"spec": {"replicas": 0}})
        await w.settle()
        assert w.replicas >= 1


async def test_scaling_by_hand_is_the_starting_point() -> None:
    """What somebody set is reduced by the rules, not snapped back: half at most in one step, and first to one."""
    async with world(start_s=1) as w:
        w.deploy(0)
        await w.pass_seconds(10)
        w.cluster.change(DEPLOYMENT, NAME, KEY[0], {"spec": {"replicas": 8}})
        seen: list[int] = []
        for _ in range(200):
            await w.pass_seconds(1)
            if not seen or seen[-1] != w.replicas:
                seen.append(w.replicas)
        assert seen == [8, 4, 2, 1, 0]


async def test_a_new_autoscaler_does_not_shrink_what_runs() -> None:
    """After a restart nothing is known of the load: the pods stay for a stable window."""
    async with world() as w:
        w.deploy(5)
        await w.pass_seconds(58)
        assert w.replicas == 5
        assert await w.until_replicas(0) < 100


async def test_initial_scale_holds_until_reached() -> None:
    """A new revision gets its initial scale once, and then what it needs."""
    async with world(Defaults(stable_window_s=6), start_s=10) as w:
        w.deploy(3, ready=False, routed=False, initial_scale="3")
        await w.pass_seconds(9)
        assert w.replicas == 3
        await w.until_replicas(0)
        assert [reason for reason, _ in w.events][-1] == "NoTraffic"


async def test_min_scale_comes_and_goes_with_the_route() -> None:
    """A revision that no route names may sleep; one that a route comes back to stands up, unasked."""
    async with world(Defaults(stable_window_s=6), start_s=1) as w:
        w.deploy(2, min_scale="2")
        await w.pass_seconds(100)
        assert w.replicas == 2
        w.route("another")
        await w.until_replicas(0)
        await w.pass_seconds(10)
        w.route(KEY[1])
        await w.until_replicas(2, limit=3)


async def test_two_revisions_are_scaled_apart() -> None:
    """A bad one does not stop the others."""
    async with world() as w:
        w.deploy(0)
        broken = {"metadata": {"name": "b", "namespace": "default", "labels": {"serving.knative.dev/revision": "b"}}, "spec": {"replicas": "x"}}  # fmt: skip  # noqa: E501
        w.cluster.put(REVISION, {"metadata": {"name": "b", "namespace": "default"}, "spec": {}})
        w.cluster.put(DEPLOYMENT, broken)
        await w.arrive(1)
        await w.pass_seconds(4)
        assert w.replicas == 1


async def test_bad_annotations_are_told_and_defaults_used(caplog: pytest.LogCaptureFixture) -> None:
    """A revision whose annotations cannot be read still scales, and its owner is told once why not as wished."""
    async with world() as w:
        w.deploy(0, window="soon")
        await w.arrive(1)
        await w.pass_seconds(10)
        assert w.replicas == 1
        told = [message for reason, message in w.events if reason == "InvalidScaling"]
        assert len(told) == 1
        assert "autoscaling.knative.dev/window: 'soon'" in told[0]
        assert sum("defaults of the cluster" in record.message for record in caplog.records) == 1


async def test_every_change_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    """Event, log line and metrics say the reason and the numbers."""
    caplog.set_level(logging.INFO)
    async with world(start_s=1, concurrency=10) as w:
        w.deploy(0)
        await w.arrive(40)
        await w.pass_seconds(4)
        assert [message for _, message in w.events] == [
            "scaled from 0 to 1 pods: requests are waiting; concurrency unknown over 60 s, unknown over 6 s, "  # noqa: ISC004
            "target 7.00 per pod; 0 ready, 1 requests waiting or served",
            "scaled from 1 to 6 pods: a sudden load (panic); concurrency 40.00 over 60 s, 40.00 over 6 s, "  # noqa: ISC004
            "target 7.00 per pod; 1 ready, 40 requests waiting or served",
        ]
        records = [record for record in caplog.records if getattr(record, "revision", None) == KEY[1]]
        assert [record.reason for record in records] == ["RequestsWaiting", "PanicLoad"]  # type: ignore[attr-defined]
        assert "default/r1 scaled from 0 to 1 pods" in records[0].message
        assert sample_of("torpor_autoscaler_desired_pods") == 6
        assert sample_of("torpor_autoscaler_ready_pods") == 6
        assert sample_of("torpor_autoscaler_panic_mode") == 1
        assert sample_of("torpor_autoscaler_target_load") == pytest.approx(7)
        assert sample_of("torpor_autoscaler_stable_load") == pytest.approx(40)
        decisions = {"reason": "PanicLoad"}
        assert (metrics.REGISTRY.get_sample_value("torpor_autoscaler_decisions_total", decisions) or 0) > 0
        w.cluster.remove(DEPLOYMENT, NAME, KEY[0])
        await w.settle()
        assert sample_of("torpor_autoscaler_desired_pods") is None


async def test_sleepers_cost_no_tick() -> None:
    """A revision at zero is not looked at again until there is news, and keeps no series."""
    async with world() as w:
        w.deploy(0)
        await w.pass_seconds(4)
        assert w.autoscaler._awake == set()
        assert sample_of("torpor_autoscaler_desired_pods") is None


async def test_a_deployment_that_is_gone_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """Deleted while its wake was on its way: said once, and not tried again."""
    caplog.set_level(logging.INFO)
    async with world() as w:
        w.deploy(0)
        await w.settle()

        def vanish() -> None:
            w.cluster.before_patch = None
            w.cluster.remove(DEPLOYMENT, NAME, KEY[0])

        w.cluster.before_patch = vanish
        await w.arrive(1)
        await w.pass_seconds(4)
        assert len(w.cluster.patches) == 1
        assert sum("is gone" in record.message for record in caplog.records) == 1


async def test_run_samples_and_ticks_until_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop itself, on real time made short."""
    monkeypatch.setattr(loop, "SAMPLE_S", 0.001)
    monkeypatch.setattr(loop, "TICK_S", 0.002)
    async with world() as w:
        w.deploy(0, min_scale="2")
        task = asyncio.create_task(w.autoscaler.run())
        try:
            await until(lambda: w.clock.advance(1) or w.replicas == 2)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        w.cluster.change(DEPLOYMENT, NAME, KEY[0], {"spec": {"replicas": 0}})
        await w.settle()
        assert w.replicas == 0, "a stopped autoscaler changes nothing"

"""The autoscaler against the real API server: the same wake and sleep, over real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from activator.autoscaler.loop import Autoscaler
from tests.activator.autoscaler.world import KEY, NAME, FakeThrottlers, Traffic
from tests.kube.apiserver import running
from tests.support.clock import FakeClock
from tests.support.owner import owned_by
from tests.support.until import until
from torpor.kube import Informer, Recorder
from torpor.spec import names
from torpor.spec.autoscaling import Defaults
from torpor.spec.kinds import CONFIGURATION, DEPLOYMENT, EVENT, REVISION, ROUTE, Object

pytestmark = pytest.mark.slow

LABELS = {names.REVISION: KEY[1]}
CONTAINER = {"name": "user-container", "image": "none"}
CONFIGURATION_R: Object = {
    "apiVersion": "serving.knative.dev/v1",
    "kind": "Configuration",
    "metadata": {"name": "r", "namespace": KEY[0]},
    "spec": {"template": {"spec": {"containers": [CONTAINER]}}},
}
REVISION_R1: Object = {
    "apiVersion": "serving.knative.dev/v1",
    "kind": "Revision",
    "metadata": {"name": KEY[1], "namespace": KEY[0], "annotations": {names.AUTOSCALING + "window": "6s"}},
    "spec": {"containerConcurrency": 10, "containers": [CONTAINER]},
}
DEPLOYMENT_R1: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": NAME, "namespace": KEY[0], "labels": LABELS},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}},
    },
}


async def test_wake_and_sleep_over_a_server_that_dies(tmp_path: Path) -> None:
    """Poked at zero while the server is down, it wakes the moment the server is back; idle, it goes to sleep."""
    clock = FakeClock()
    throttlers = FakeThrottlers(clock)
    async with running(tmp_path) as (server, cluster):
        informers = [Informer(cluster, kind) for kind in (DEPLOYMENT, REVISION, ROUTE)]
        recorder = Recorder(cluster, "torpor-autoscaler")
        scaler = Autoscaler(cluster, *informers, loads=throttlers, recorder=recorder, clock=clock, defaults=Defaults())
        owner = await cluster.create(CONFIGURATION, CONFIGURATION_R)
        revision = REVISION_R1 | {"metadata": REVISION_R1["metadata"] | {"ownerReferences": [owned_by(owner)]}}
        await cluster.create(REVISION, revision)
        await cluster.create(DEPLOYMENT, DEPLOYMENT_R1)
        tasks = [asyncio.create_task(informer.run()) for informer in informers]
        tasks.append(asyncio.create_task(recorder.run()))
        try:
            await asyncio.wait_for(asyncio.gather(*(informer.synced() for informer in informers)), 20)

            def replicas() -> int:
                found = informers[0].get(NAME, KEY[0])
                return -1 if found is None else int(found["spec"]["replicas"])

            await server.kill()
            throttlers.of[KEY] = Traffic(queued=3)
            scaler.poke(KEY)
            await server.start()
            await until(lambda: replicas() == 1, 20)

            throttlers.of[KEY] = Traffic(in_flight=3, ready_pods=1)
            for _ in range(4):
                clock.advance(1)
                throttlers.pass_time(1)
                scaler.sample()
                scaler.tick()
            throttlers.of[KEY] = Traffic(ready_pods=1)

            def slept() -> bool:
                clock.advance(1)
                scaler.sample()
                scaler.tick()
                return replicas() == 0

            await until(slept, 20)
            events, _ = await cluster.list(EVENT, KEY[0])
            assert {event["involvedObject"]["name"] for event in events} == {NAME}
            assert {"RequestsWaiting"} <= {event["reason"] for event in events}
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

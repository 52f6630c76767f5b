"""The reconciler at work on the laptop's real API, beside Knative's own controllers, whose part the test plays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.app import working
from controller.inferenceservice.observe import RECONCILER
from controller.options import Options
from tests.controller.inferenceservice.world import NAME, SERVICE, condition, target
from tests.kube.apiserver import running
from torpor.aio.clock import SystemClock
from torpor.errors import NotFoundError
from torpor.kube import Cluster
from torpor.spec import conditions
from torpor.spec.kinds import INFERENCE_SERVICE, KSERVICE, ROUTE, SECRET, SERVICE_ACCOUNT, Kind, Object

OPTIONS = Options("localhost", 8080)
S3_MODEL = {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://models/iris"}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running(tmp_path) as (_, cluster), working((RECONCILER,), cluster, OPTIONS, SystemClock()):
        yield cluster


def isvc(predictor: dict[str, Any]) -> Object:
    metadata = {"name": NAME, "namespace": "default"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": predictor},
    }


async def seen(cluster: Cluster, kind: Kind, name: str) -> Object:
    """Return an object as soon as it is there."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await cluster.get(kind, name, "default")
            except NotFoundError:
                await asyncio.sleep(0.01)


async def ready(cluster: Cluster, status: str, reason: str = "") -> Object:
    """Return the InferenceService once its Ready says this."""
    async with asyncio.timeout(20):
        while True:
            obj = await cluster.get(INFERENCE_SERVICE, NAME, "default")
            mark = conditions.read(obj, "Ready")
            if mark is not None and (mark.status, mark.reason) == (status, reason):
                return obj
            await asyncio.sleep(0.01)


async def knative_says(cluster: Cluster, kind: Kind, obj: Object, **status: Any) -> None:
    marks = [condition(type_) | {"lastTransitionTime": "2026-01-01T00:00:00Z"} for type_ in status.pop("true")]
    observed = {"observedGeneration": obj["metadata"]["generation"], "conditions": marks}
    await cluster.replace(kind, {**obj, "status": observed | status}, "status")


async def test_from_missing_keys_to_ready_to_gone(cluster: Cluster) -> None:
    """An account and a Secret that come late make it go on; what Knative says of its objects makes it ready.

    What it owns goes with it, by owner references: nobody deletes them one by one.
    """
    await cluster.create(INFERENCE_SERVICE, isvc({"model": S3_MODEL, "serviceAccountName": "models"}))
    await ready(cluster, "False", "ServiceAccountNotFound")
    account = {"metadata": {"name": "models", "namespace": "default"}, "secrets": [{"name": "keys"}]}
    await cluster.create(SERVICE_ACCOUNT, {"apiVersion": "v1", "kind": "ServiceAccount"} | account)
    await ready(cluster, "False", "SecretNotFound")
    data = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    secret = {"metadata": {"name": "keys", "namespace": "default"}, "stringData": data}
    await cluster.create(SECRET, {"apiVersion": "v1", "kind": "Secret"} | secret)

    service = await seen(cluster, KSERVICE, SERVICE)
    env = {each["name"] for each in service["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert {"STORAGE_URI", "AWS_SECRET_ACCESS_KEY"} <= env
    route = await seen(cluster, ROUTE, NAME)
    await knative_says(
        cluster,
        KSERVICE,
        service,
        true=["Ready", "ConfigurationsReady", "RoutesReady"],
        latestCreatedRevisionName="r1",
        latestReadyRevisionName="r1",
        traffic=[target("r1", 100)],
    )
    url = f"http://{NAME}.default.localhost:8080"
    await knative_says(cluster, ROUTE, route, true=["Ready"], url=url, address={"url": url})
    obj = await ready(cluster, "True")
    assert obj["status"]["url"] == url

    # It wrote each of its objects once: nothing that the API filled in looked like a change.
    assert (await cluster.get(KSERVICE, SERVICE, "default"))["metadata"]["generation"] == 1
    assert (await cluster.get(ROUTE, NAME, "default"))["metadata"]["generation"] == 1

    await cluster.delete(INFERENCE_SERVICE, NAME, "default")
    async with asyncio.timeout(20):
        for kind in (KSERVICE, ROUTE):
            while (await cluster.list(kind, "default"))[0]:  # noqa: ASYNC110  # the server says, not an event of ours
                await asyncio.sleep(0.01)

"""`python -m controller` as a process, against the laptop's real API server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.kube.apiserver import ApiServer, running
from tests.support.manifests import knative_service
from torpor import errors
from torpor.kube import Cluster
from torpor.spec import conditions
from torpor.spec.kinds import (
    CONFIG_MAP,
    CONFIGURATION,
    CORE_SERVICE,
    DEPLOYMENT,
    EVENT,
    KSERVICE,
    REVISION,
    ROUTE,
    Kind,
    Object,
)

pytestmark = pytest.mark.slow

START_S = 30.0


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[tuple[ApiServer, Cluster]]:
    async with running(tmp_path) as pair:
        yield pair


@contextlib.asynccontextmanager
async def controller(server: ApiServer) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start it, wait for its byte, and see that SIGTERM ends it with 0."""
    reader, writer = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "controller", "--kubeconfig", str(server.data_dir / "kubeconfig")),
            *("--domain", "localhost", "--http-port", "8080", "--ready-fd", str(writer)),
            pass_fds=(writer,),
        )
    finally:
        os.close(writer)
    try:
        said = await asyncio.wait_for(asyncio.to_thread(os.read, reader, 1), START_S)
        assert said == b"1"
        yield process
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), START_S) == 0
    finally:
        os.close(reader)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until_true(fits: Callable[[], Awaitable[object]], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not await fits():  # noqa: ASYNC110  # the server says, not an event of ours
            await asyncio.sleep(0.02)


class Reader:
    """Reads objects of namespace `default`; one that is not there is empty."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def get(self, kind: Kind, name: str) -> Object:
        try:
            return await self._cluster.get(kind, name, "default")
        except errors.NotFoundError:
            return {}

    async def ready(self, kind: Kind, name: str) -> bool:
        obj = await self.get(kind, name)
        mark = conditions.read(obj, conditions.READY)
        return bool(mark and mark.is_true and obj["status"]["observedGeneration"] == obj["metadata"]["generation"])


async def run_pod(cluster: Cluster, revision: str) -> None:
    """Say of a Deployment what the kubelet will."""
    status = {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1}
    await cluster.patch(DEPLOYMENT, f"{revision}-deployment", "default", {"status": status}, sub="status")


async def test_a_service_from_create_to_delete(api: tuple[ApiServer, Cluster]) -> None:
    """Ready with URL and traffic once its pod is; a change makes a second revision; quiet when all is well."""
    server, cluster = api
    look = Reader(cluster)
    async with controller(server):
        await cluster.create(KSERVICE, knative_service("svc"))
        await until_true(lambda: look.get(CORE_SERVICE, "svc-00001-private"))
        assert not await look.ready(KSERVICE, "svc")
        await run_pod(cluster, "svc-00001")
        await until_true(lambda: look.ready(KSERVICE, "svc"))
        status = (await look.get(KSERVICE, "svc"))["status"]
        assert status["url"] == "http://svc.default.localhost:8080"
        assert status["traffic"] == [{"revisionName": "svc-00001", "latestRevision": True, "percent": 100}]
        assert (status["latestCreatedRevisionName"], status["latestReadyRevisionName"]) == ("svc-00001",) * 2

        changed = await look.get(KSERVICE, "svc")
        changed["spec"]["template"]["spec"]["timeoutSeconds"] = 7
        await cluster.replace(KSERVICE, changed)
        await until_true(lambda: look.get(DEPLOYMENT, "svc-00002-deployment"))
        await run_pod(cluster, "svc-00002")
        await until_true(lambda: look.ready(KSERVICE, "svc"))
        assert (await look.get(KSERVICE, "svc"))["status"]["traffic"][0]["revisionName"] == "svc-00002"

        async def reserve() -> bool:
            labels = (await look.get(REVISION, "svc-00001"))["metadata"]["labels"]
            return bool(labels["serving.knative.dev/routingState"] == "reserve")

        await until_true(reserve)
        await cluster.delete(KSERVICE, "svc", "default")
        for kind in (CONFIGURATION, ROUTE, REVISION, DEPLOYMENT, CORE_SERVICE):

            async def gone(kind: Kind = kind) -> bool:
                return not (await cluster.list(kind, "default"))[0]

            await until_true(gone)


async def test_what_is_there_is_taken_up_and_what_is_right_is_not_written(api: tuple[ApiServer, Cluster]) -> None:
    """A second controller on the same objects writes nothing: what the API stores is what was asked for."""
    server, cluster = api
    look = Reader(cluster)
    obj = knative_service("svc")
    obj["spec"]["template"]["spec"]["containers"][0] |= {
        "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "livenessProbe": {"tcpSocket": {"port": 8080}},
        "ports": [{"containerPort": 8080}],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }
    obj["spec"]["template"]["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}]
    obj["spec"]["traffic"] = [{"latestRevision": True, "percent": 100, "tag": "now"}]
    await cluster.create(KSERVICE, obj)
    async with controller(server):
        await until_true(lambda: look.get(CORE_SERVICE, "svc-00001-private"))
        await run_pod(cluster, "svc-00001")
        await until_true(lambda: look.ready(KSERVICE, "svc"))

        async def used() -> bool:
            labels = (await look.get(REVISION, "svc-00001"))["metadata"]["labels"]
            return bool(labels["serving.knative.dev/routingState"] == "active")

        await until_true(used)

    async def versions() -> list[str]:
        kinds = (KSERVICE, CONFIGURATION, ROUTE, REVISION, DEPLOYMENT, CORE_SERVICE, EVENT)
        lists = [await cluster.list(kind, "default") for kind in kinds]
        return [item["metadata"]["resourceVersion"] for items, _ in lists for item in items]

    before = await versions()
    async with controller(server):
        # Its byte says that every object is known; a service made now is done only after those were looked at.
        await cluster.create(KSERVICE, knative_service("later"))
        await until_true(lambda: look.get(CORE_SERVICE, "later-00001-private"))
    after = await versions()
    assert set(before) <= set(after)


async def test_the_clusters_own_limits_and_defaults(api: tuple[ApiServer, Cluster]) -> None:
    """What `config-defaults` forbids is refused when it is applied; what it gives is in the next revision."""
    server, cluster = api
    look = Reader(cluster)
    data = {"revision-timeout-seconds": "120", "max-revision-timeout-seconds": "600"}
    await cluster.create(
        CONFIG_MAP, {"metadata": {"name": "config-defaults", "namespace": "knative-serving"}, "data": data}
    )
    async with controller(server):
        long = knative_service("long")
        long["spec"]["template"]["spec"]["timeoutSeconds"] = 601
        with pytest.raises(errors.TorporError, match=r"timeoutSeconds: 601 is not allowed; .*600"):
            await cluster.create(KSERVICE, long)
        await cluster.create(KSERVICE, knative_service("svc"))
        await until_true(lambda: look.get(REVISION, "svc-00001"))
        assert (await look.get(REVISION, "svc-00001"))["spec"]["timeoutSeconds"] == 120


async def test_a_kubeconfig_that_is_none(tmp_path: Path) -> None:
    """One clear line, and status 1."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "controller", "--kubeconfig", str(tmp_path / "absent")), stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    [line] = said.decode().splitlines()
    assert line.startswith("torpor controller: kubeconfig: ")
    assert "absent" in line


async def test_an_api_that_does_not_answer_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    """It waits for the API, says so, and ends with 0 on SIGTERM."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],"
        " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {token: t}}]}"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "controller", "--kubeconfig", str(kubeconfig)), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(START_S):
        assert b"is Knative installed?" in await process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        await process.stderr.read()
        assert await process.wait() == 0

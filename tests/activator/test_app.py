"""The activator as it is put together, against the real API server, with pods that are real HTTP servers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import httpx
import orjson
import pytest

from activator.app import serve
from activator.settings import Leaving, Settings
from tests.kube.apiserver import ApiServer
from tests.support.owner import owned_by
from tests.support.ports import free_ports
from tests.support.until import until
from torpor.cli.timeline import parse_cold_start
from torpor.kube import Cluster
from torpor.spec import names
from torpor.spec.kinds import (
    CONFIGURATION,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    NAMESPACE,
    POD,
    REVISION,
    ROUTE,
    Kind,
    Object,
)

pytestmark = pytest.mark.slow

NAME = "app-00001"
LABELS = {names.REVISION: NAME}
CONTAINER: Object = {"name": "user-container", "image": "none"}
PROBE = {"User-Agent": "kube-probe/1.32"}
PROGRESS = {"state": "ready", "started_at": 100.0, "listening_at": 100.25, "ready_at": 101.0}


T = TypeVar("T")

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One API server for all of these tests: starting it takes longer than any of them."""
    server = ApiServer(tmp_path_factory.mktemp("api"))
    with asyncio.Runner() as runner:
        runner.run(server.start())
        yield server
        runner.run(server.kill())


class World:
    """A namespace with one service at zero, and the activator before it."""

    def __init__(self, server: ApiServer, cluster: Cluster) -> None:
        self.server = server
        self.cluster = cluster
        self.namespace = f"world-{next(_NUMBERS)}"
        self.stop = asyncio.Event()
        self.http_port, self.admin_port = free_ports(2)
        self.serving: asyncio.Task[None] | None = None

    def settings(self, ready_fd: int | None = None, grace_s: float = 30.0) -> Settings:
        return Settings(
            host="127.0.0.1",
            http_port=self.http_port,
            admin_port=self.admin_port,
            domain="example.test",
            token_file=self.server.data_dir / "token",
            kubeconfig=self.server.data_dir / "kubeconfig",
            ready_fd=ready_fd,
            leaving=Leaving(grace_s),
        )

    async def deploy(self, *, routed: bool) -> None:
        """Make what the controller makes; `routed`: the revision was ready once, so the Route says where it leads."""
        await self.cluster.create(NAMESPACE, {"metadata": {"name": self.namespace}})
        await self.create(CONFIGURATION, "app", spec={"template": {"spec": {"containers": [CONTAINER]}}})
        await self.create(REVISION, NAME, LABELS, spec={"containerConcurrency": 1, "containers": [CONTAINER]})
        template = {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}}
        selector = {"matchLabels": LABELS}
        await self.create(
            DEPLOYMENT, f"{NAME}-deployment", LABELS, spec={"replicas": 0, "selector": selector, "template": template}
        )
        target = {"configurationName": "app", "latestRevision": True, "percent": 100}
        await self.create(ROUTE, "app", spec={"traffic": [target]})
        if routed:
            traffic = [{"revisionName": NAME, "latestRevision": True, "percent": 100}]
            await self.say(ROUTE, "app", {"traffic": traffic})

    async def create(self, kind: Kind, name: str, labels: dict[str, str] | None = None, **rest: object) -> None:
        metadata: Object = {"namespace": self.namespace, "name": name, "labels": labels or {}}
        metadata["annotations"] = {names.PROGRESS_PATH: "/progress"} if kind is POD else {}
        if kind is REVISION:
            metadata["ownerReferences"] = [owned_by(await self.cluster.get(CONFIGURATION, "app", self.namespace))]
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **rest}
        await self.cluster.create(kind, body)

    async def say(self, kind: Kind, name: str, status: Object) -> None:
        await self.cluster.patch(kind, name, self.namespace, {"status": status}, sub="status")

    async def start_pod(self, name: str) -> None:
        """Make a pod that is not ready yet."""
        await self.create(POD, name, LABELS, spec={"containers": [CONTAINER]})

    async def show_pod(self, name: str, port: int) -> None:
        """Say that a pod is ready, as the kubelet does."""
        pod = await self.cluster.get(POD, name, self.namespace)
        endpoint = {
            "addresses": ["127.0.0.1"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {"kind": "Pod", "namespace": self.namespace, "name": name, "uid": pod["metadata"]["uid"]},
        }
        await self.create(
            ENDPOINT_SLICE,
            f"{NAME}-private-{name}",
            LABELS | {names.SERVICE_NAME: f"{NAME}-private"},
            addressType="IPv4",
            endpoints=[endpoint],
            ports=[{"name": "http", "port": port, "protocol": "TCP"}],
        )

    async def replicas(self) -> int:
        deployment = await self.cluster.get(DEPLOYMENT, f"{NAME}-deployment", self.namespace)
        return int(deployment["spec"]["replicas"])

    async def until_replicas(self, wanted: int) -> None:
        await eventually(self.replicas, lambda replicas: replicas == wanted)

    def client(self) -> httpx.AsyncClient:
        url = f"http://127.0.0.1:{self.http_port}"
        return httpx.AsyncClient(base_url=url, headers={"Host": f"app.{self.namespace}.example.test"}, timeout=30)

    async def metrics(self) -> str:
        token = (self.server.data_dir / "token").read_text().strip()
        async with httpx.AsyncClient() as http:
            url = f"http://127.0.0.1:{self.admin_port}/metrics"
            return (await http.get(url, headers={"Authorization": f"Bearer {token}"})).text

    async def until_queued(self, revision: str) -> None:
        """Wait until one request waits there."""
        labels = f'namespace="{self.namespace}",revision="{revision}"'
        await eventually(self.metrics, lambda text: f"torpor_activator_requests_queued{{{labels}}} 1.0" in text)


async def eventually(look: Callable[[], Awaitable[T]], fits: Callable[[T], bool]) -> T:
    """Look until what is seen fits: watches may be behind by a moment."""
    async with asyncio.timeout(20):
        while not fits(seen := await look()):  # noqa: ASYNC110  # nobody sets an event for what another process does
            await asyncio.sleep(0.02)
    return seen


@contextlib.asynccontextmanager
async def world(server: ApiServer, *, routed: bool = True, grace_s: float = 30.0) -> AsyncIterator[World]:
    """Run a whole activator within this process, from ready to drained."""
    async with await server.connect() as cluster:
        made = World(server, cluster)
        await made.deploy(routed=routed)
        reader, writer = os.pipe()
        made.serving = asyncio.create_task(serve(made.settings(writer, grace_s), made.stop))
        try:
            assert await asyncio.wait_for(asyncio.to_thread(os.read, reader, 1), 20) == b"1"
            yield made
            made.stop.set()
            await asyncio.wait_for(made.serving, 20)
        finally:
            os.close(reader)
            made.serving.cancel()
            await asyncio.gather(made.serving, return_exceptions=True)


class TinyPod:
    """Answers what it was asked for; `hold` keeps it from answering until it is set."""

    def __init__(self) -> None:
        self.hold = asyncio.Event()
        self.hold.set()
        self.asked = 0
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ")[1]
                if target == b"/progress":
                    body = orjson.dumps(PROGRESS)
                else:
                    self.asked += 1
                    await self.hold.wait()
                    body = target
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def tiny_pod() -> AsyncIterator[TinyPod]:
    pod = TinyPod()
    async with await asyncio.start_server(pod.handle, "127.0.0.1", 0) as server:
        pod.port = server.sockets[0].getsockname()[1]
        yield pod


async def test_a_request_wakes_its_service_and_is_answered_when_the_pod_is_ready(api: ApiServer) -> None:
    """The first poke scales from zero; the answer says how the start was spent; later ones are warm."""
    async with world(api) as made, made.client() as http, tiny_pod() as pod:
        await made.start_pod("p-1")
        first = asyncio.ensure_future(http.get("/v1/models"))
        await made.until_replicas(1)
        await made.until_queued(NAME)
        assert not first.done()
        await made.show_pod("p-1", pod.port)
        answer = await first
        assert (answer.status_code, answer.text) == (200, "/v1/models")
        parts = parse_cold_start(answer.headers["Torpor-Cold-Start"])
        assert set(parts) == {"queue", "start", "load", "first-byte"}
        assert (parts["start"], parts["load"]) == (0.25, 0.75)
        by_path = await http.get(f"/serving/{made.namespace}/app/x?y", headers={"Host": "localhost"})
        assert (by_path.status_code, by_path.text) == (200, "/x?y")
        assert "Torpor-Cold-Start" not in by_path.headers
        text = await made.metrics()
        requests = (
            f'torpor_activator_requests_total{{code_class="2xx",namespace="{made.namespace}",revision="{NAME}"}} 2.0'
        )
        assert requests in text
        assert 'torpor_activator_cold_start_seconds_count{stage="load"}' in text


async def test_an_early_request_waits_for_a_revision_that_was_never_ready_and_hears_why_it_fails(
    api: ApiServer,
) -> None:
    """Before the Route leads anywhere, and before there is a revision. While a failure is known, it is told at once."""
    async with world(api, routed=False) as made, made.client() as http, tiny_pod() as pod:
        first = asyncio.ensure_future(http.get("/"))
        await made.until_queued("route app")
        await made.say(CONFIGURATION, "app", {"latestCreatedRevisionName": NAME})
        await made.until_replicas(1)
        await made.start_pod("p-1")
        ended = {"exitCode": 1, "reason": "Error", "message": "fetch: no such bucket", "startedAt": None}
        status: Object = {"name": "user-container", "image": "none", "imageID": "", "ready": False, "restartCount": 1}
        state = {"waiting": {"reason": "CrashLoopBackOff"}}
        broken = {**status, "state": state, "lastState": {"terminated": ended}}
        await made.say(POD, "p-1", {"containerStatuses": [broken]})
        for answer in (await first, await http.get("/")):
            assert (answer.status_code, answer.json()["reason"]) == (503, "ModelLoadFailed")
            assert "fetch: no such bucket" in answer.json()["error"]
            assert "Retry-After" in answer.headers
        await made.cluster.delete(POD, "p-1", made.namespace, grace_s=0)
        again = asyncio.ensure_future(eventually(lambda: http.get("/"), lambda answer: answer.status_code != 503))
        await made.start_pod("p-2")
        await made.show_pod("p-2", pod.port)
        assert (await again).status_code == 200


async def test_a_request_waits_for_a_revision_whose_object_comes_after_the_route_that_names_it(api: ApiServer) -> None:
    """Watches of different kinds know nothing of one another."""
    async with world(api) as made, made.client() as http, tiny_pod() as pod:
        tagged = {"revisionName": "app-00002", "percent": 0, "tag": "next"}
        await made.say(ROUTE, "app", {"traffic": [{"revisionName": NAME, "percent": 100}, tagged]})
        host = {"Host": f"next-app.{made.namespace}.example.test"}
        waiting = asyncio.ensure_future(
            eventually(lambda: http.get("/", headers=host), lambda answer: answer.status_code != 404)
        )
        await made.until_queued("app-00002")
        labels = {names.REVISION: "app-00002"}
        slice_labels = labels | {names.SERVICE_NAME: "app-00002-private"}
        endpoint = {"addresses": ["127.0.0.1"], "conditions": {"ready": True}}
        ports = [{"name": "http", "port": pod.port, "protocol": "TCP"}]
        rest = {"addressType": "IPv4", "endpoints": [endpoint], "ports": ports}
        await made.create(ENDPOINT_SLICE, "s-2", slice_labels, **rest)
        await made.create(REVISION, "app-00002", labels, spec={"containers": [CONTAINER]})
        assert (await waiting).status_code == 200


async def test_a_chain_is_woken_whole_at_its_first_request(api: ApiServer) -> None:
    """The link behind is started while the first one still is, and not when that one asks it."""
    async with world(api) as made, made.client() as http:
        labels = {names.REVISION: "next-00001"}
        await made.create(REVISION, "next-00001", labels, spec={"containers": [CONTAINER]})
        template = {"metadata": {"labels": labels}, "spec": {"containers": [CONTAINER]}}
        spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
        await made.create(DEPLOYMENT, "next-00001-deployment", labels, spec=spec)
        target = {"configurationName": "next", "latestRevision": True, "percent": 100}
        await made.create(ROUTE, "next", spec={"traffic": [target]})
        await made.say(ROUTE, "next", {"traffic": [{"revisionName": "next-00001", "percent": 100}]})
        wakes = {"metadata": {"annotations": {names.WAKES: "next"}}}
        await made.cluster.patch(REVISION, NAME, made.namespace, wakes)
        await eventually(
            lambda: http.get("/", headers={"Host": f"next.{made.namespace}.example.test", **PROBE}),
            lambda answer: answer.status_code == 200,
        )

        async def ask() -> Object:
            """Let a request come and go: the watch that tells of the annotation may be behind."""
            assert (await http.get("/", headers={"Torpor-Deadline": "100ms"})).status_code == 504
            return await made.cluster.get(DEPLOYMENT, "next-00001-deployment", made.namespace)

        await eventually(ask, lambda deployment: deployment["spec"]["replicas"] == 1)
        await made.until_replicas(1)


async def test_what_is_in_flight_is_finished_and_nothing_new_is_taken(api: ApiServer) -> None:
    """After the signal; then the port is closed."""
    async with world(api) as made, made.client() as http, tiny_pod() as pod:
        await made.start_pod("p-1")
        await made.show_pod("p-1", pod.port)
        pod.hold.clear()
        in_flight = asyncio.ensure_future(http.get("/slow"))
        await until(lambda: pod.asked == 1, 20)
        made.stop.set()
        await until(lambda: _refuses(made.http_port), 20)
        assert not in_flight.done()
        pod.hold.set()
        answer = await in_flight
        assert (answer.status_code, answer.text) == (200, "/slow")
        assert answer.headers["Connection"] == "close"
        assert made.serving is not None
        await asyncio.wait_for(made.serving, 20)


def _refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def test_who_still_waits_when_the_grace_is_over_is_cut(api: ApiServer) -> None:
    """The end comes all the same."""
    async with world(api, grace_s=0.3) as made, made.client() as http:
        waiting = asyncio.ensure_future(http.get("/"))
        await made.until_replicas(1)
        made.stop.set()
        assert made.serving is not None
        await asyncio.wait_for(made.serving, 20)
        with pytest.raises(httpx.TransportError):
            await waiting


async def test_a_stop_before_the_api_answers_is_a_stop(api: ApiServer, tmp_path: Path) -> None:
    """It does not serve before it knows what there is, and does not hang when it is told to go."""
    async with await api.connect() as cluster:
        made = World(api, cluster)
        [nobody] = free_ports(1)
        config = (api.data_dir / "kubeconfig").read_text()
        (tmp_path / "kubeconfig").write_text(re.sub(r"(127\.0\.0\.1):\d+", rf"\1:{nobody}", config))
        settings = replace(made.settings(), kubeconfig=tmp_path / "kubeconfig")
        serving = asyncio.create_task(serve(settings, made.stop))
        await until(lambda: not _refuses(made.admin_port), 20)
        assert _refuses(made.http_port)
        made.stop.set()
        await asyncio.wait_for(serving, 20)


async def test_as_a_process_it_says_ready_drains_on_sigterm_and_ends_with_0(api: ApiServer) -> None:
    """And with 1 and one line where a setting is wrong."""
    [http_port] = free_ports(1)
    reader, writer = os.pipe()
    command = (sys.executable, "-m", "activator", "--kubeconfig", str(api.data_dir / "kubeconfig"))
    command += ("--token-file", str(api.data_dir / "token"), "--admin-port", "0", "--http-port", str(http_port))
    process = await asyncio.create_subprocess_exec(
        *command, "--ready-fd", str(writer), pass_fds=(writer,), stderr=asyncio.subprocess.PIPE
    )
    os.close(writer)
    try:
        assert await asyncio.wait_for(asyncio.to_thread(os.read, reader, 1), 20) == b"1"
        taken = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        _, said = await asyncio.wait_for(taken.communicate(), 20)
        assert taken.returncode == 1
        [line] = [line for line in said.decode().splitlines() if not line.startswith("{")]
        assert line.startswith(f"torpor activator: http-port: {http_port} is not allowed; a free port on 127.0.0.1")
        process.send_signal(signal.SIGTERM)
        _, said = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 0, said.decode()
        assert "Traceback" not in said.decode()
    finally:
        os.close(reader)
        if process.returncode is None:
            process.kill()
            await process.wait()

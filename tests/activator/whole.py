"""The whole activator on the real API server: what the controller and the kubelet would say is said by the tests."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import httpx
import orjson

from activator.app import serve
from activator.settings import Leaving, Settings
from tests.kube.apiserver import ApiServer
from tests.support.owner import owned_by
from tests.support.ports import free_ports
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

NAME = "app-00001"
LABELS = {names.REVISION: NAME}
CONTAINER: Object = {"name": "user-container", "image": "none"}
PROBE = {"User-Agent": "kube-probe/1.32"}
PROGRESS = {"state": "ready", "started_at": 100.0, "listening_at": 100.25, "ready_at": 101.0}


T = TypeVar("T")

_NUMBERS = itertools.count(1)


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


async def eventually(look: Callable[[], Awaitable[T]], fits: Callable[[T], bool], within_s: float = 60) -> T:
    """Look until what is seen fits: watches may be behind by a moment."""
    async with asyncio.timeout(within_s):
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

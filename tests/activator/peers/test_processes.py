"""Three activators as processes before one service, on the real API server; some of them die."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from activator.peers.team import LOCK
from tests.activator.whole import World, eventually, tiny_pod
from tests.kube.apiserver import ApiServer
from tests.support.ports import free_ports
from torpor import errors
from torpor.kube import Cluster
from torpor.spec.kinds import LEASE

pytestmark = pytest.mark.slow

NAMES = ("a", "b", "c")
START_S = 40.0


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path_factory.mktemp("api"))
    with asyncio.Runner() as runner:
        runner.run(server.start())
        yield server
        runner.run(server.kill())


@dataclass
class Doors:
    """Activators by their names."""

    server: ApiServer
    cluster: Cluster
    world: World
    log: Path
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    admin: dict[str, int] = field(default_factory=dict)

    async def start(self, name: str) -> None:
        """Return when it serves."""
        reader, writer = os.pipe()
        self.ports[name], self.admin[name] = free_ports(2)
        command = (sys.executable, "-m", "activator", "--kubeconfig", str(self.server.data_dir / "kubeconfig"))
        command += ("--token-file", str(self.server.data_dir / "token"), "--ready-fd", str(writer), "--name", name)
        command += ("--http-port", str(self.ports[name]), "--admin-port", str(self.admin[name]), "--grpc-port", "0")
        with self.log.open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *command, "--domain", "example.test", pass_fds=(writer,), stdout=log, stderr=log
            )
        os.close(writer)
        try:
            said = await asyncio.wait_for(asyncio.to_thread(os.read, reader, 1), START_S)
        finally:
            os.close(reader)
        assert said == b"1", self.log.read_text()

    async def kill(self, name: str) -> None:
        """As with kill -9."""
        process = self.processes.pop(name)
        process.kill()
        await process.wait()

    def client(self, name: str) -> httpx.AsyncClient:
        url = f"http://127.0.0.1:{self.ports[name]}"
        return httpx.AsyncClient(base_url=url, headers={"Host": f"app.{self.world.namespace}.example.test"}, timeout=60)

    async def leader(self) -> str:
        """Who leads, by the Lease; empty while nobody has."""
        try:
            lease = await self.cluster.get(LEASE, LOCK, "default")
        except errors.NotFoundError:
            return ""
        return str(lease["spec"].get("holderIdentity") or "")

    async def metric(self, name: str, metric: str) -> float:
        token = (self.server.data_dir / "token").read_text().strip()
        async with httpx.AsyncClient() as http:
            url = f"http://127.0.0.1:{self.admin[name]}/metrics"
            text = (await http.get(url, headers={"Authorization": f"Bearer {token}"})).text
        return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{metric} "))

    async def until_all_know(self) -> None:
        """Wait until everybody knows how many they are, and one leads."""
        count = len(self.processes)
        for name in self.processes:
            await eventually(lambda name=name: self.metric(name, "torpor_activator_peers"), lambda n: n == count)  # type: ignore[misc]

        async def leaders() -> float:
            return sum([await self.metric(name, "torpor_activator_leads") for name in self.processes])

        await eventually(leaders, lambda count: count == 1)


@contextlib.asynccontextmanager
async def doors(api: ApiServer, tmp_path: Path) -> AsyncIterator[Doors]:
    async with await api.connect() as cluster:
        world = World(api, cluster)
        await world.deploy(routed=True)
        made = Doors(api, cluster, world, tmp_path / "log")
        try:
            await asyncio.gather(*(made.start(name) for name in NAMES))
            await made.until_all_know()
            yield made
        finally:
            for name in list(made.processes):
                await made.kill(name)
            # Those that were killed have left theirs: the next test's have the same names.
            for name in (LOCK, *(f"torpor-activator-{name}" for name in NAMES)):
                with contextlib.suppress(errors.NotFoundError):
                    await cluster.delete(LEASE, name, "default")


async def test_a_request_at_any_door_wakes_the_service_and_the_leader_may_die_meanwhile(
    api: ApiServer, tmp_path: Path
) -> None:
    """Requests wait at the two others; the leader is killed before it could do anything; all of them are answered."""
    async with doors(api, tmp_path) as made, tiny_pod() as pod:
        await made.world.start_pod("p-1")
        leader = await made.leader()
        others = [name for name in NAMES if name != leader]
        await made.kill(leader)
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(made.client(name)) for name in others]
            waiting = [asyncio.ensure_future(each.get(f"/{number}")) for number in range(20) for each in clients]
            # Nobody leads until the dead one's Lease has run out; then the wake is made good.
            await eventually(made.world.replicas, lambda replicas: replicas >= 1)
            assert await made.leader() in others
            await made.world.show_pod("p-1", pod.port)
            answers = await asyncio.gather(*waiting)
        assert {answer.status_code for answer in answers} == {200}
        assert pod.asked == len(waiting), "none was sent twice"


async def test_an_activator_that_dies_takes_nothing_from_the_others(api: ApiServer, tmp_path: Path) -> None:
    """One that does not lead is killed with requests at it: what the others have is answered, nothing goes to zero."""
    async with doors(api, tmp_path) as made, tiny_pod() as pod:
        leader = await made.leader()
        victim, other = (name for name in NAMES if name != leader)
        await made.world.start_pod("p-1")
        async with made.client(leader) as first, made.client(other) as second, made.client(victim) as third:
            waiting = [asyncio.ensure_future(each.get("/x")) for _ in range(5) for each in (first, second)]
            lost = asyncio.ensure_future(third.get("/lost"))
            await made.world.until_replicas(1)
            await made.kill(victim)
            with pytest.raises(httpx.TransportError):
                await lost
            await made.world.show_pod("p-1", pod.port)
            answers = await asyncio.gather(*waiting)
            assert {answer.status_code for answer in answers} == {200}
            await made.until_all_know()
            assert await made.world.replicas() >= 1
            assert (await second.get("/y")).status_code == 200


async def test_who_leaves_hands_over_at_once(api: ApiServer, tmp_path: Path) -> None:
    """On SIGTERM the leader gives its Lease back: the next leads before that would have run out."""
    async with doors(api, tmp_path) as made:
        leader = await made.leader()
        process = made.processes.pop(leader)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
        assert await made.leader() != leader
        assert await eventually(made.leader, bool) in made.processes
        await made.until_all_know()

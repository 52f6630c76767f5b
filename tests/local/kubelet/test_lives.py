"""What is left of pods when the kubelet ends, is killed, and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from tests.local.kubelet.machine import (
    Machine,
    alive,
    container_status,
    deployment,
    is_ready,
    machine,
    pid_of,
    pod,
    service,
)
from tests.support.manifests import SERVER
from torpor import errors
from torpor.spec.kinds import CORE_SERVICE, DEPLOYMENT, NAMESPACE, POD, Object

FAMILY = (
    "import os, subprocess, sys, time\n"
    "sleep = [sys.executable, '-c', 'import time; time.sleep(1000)']\n"
    "child = subprocess.Popen(sleep)\n"
    "daemon = subprocess.Popen(sleep, start_new_session=True)\n"
    "bare = subprocess.Popen(sleep, start_new_session=True, env={'PATH': os.environ['PATH']})\n"
    "print(child.pid, daemon.pid, bare.pid, flush=True)\n"
    "while True: time.sleep(60)\n"
)
"""A process with a child, one that has left the group, and one that forgot the environment too."""
PORT = [{"containerPort": 8080}]
TCP = {"tcpSocket": {"port": 8080}}


pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    async with machine(tmp_path_factory.mktemp("machine")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def kubelet(shared: Machine) -> AsyncIterator[Machine]:
    """A kubelet that runs, without a pod; tests may leave it dead."""
    if shared.process is None:
        await shared.start()
    yield shared
    if shared.process is None:
        await shared.start()
    for kind in (DEPLOYMENT, POD):
        for each in (await shared.cluster.list(kind, "default"))[0]:
            with contextlib.suppress(errors.NotFoundError):
                await shared.cluster.delete(kind, each["metadata"]["name"], "default", grace_s=0)

    async def empty() -> bool:
        return not await shared.pods()

    await shared.wait(empty, "nothing is left for the next test")


async def family(kubelet: Machine, found: Object) -> list[int]:
    """The processes of a pod that runs FAMILY."""
    metadata = found["metadata"]
    folder = kubelet.data_dir / "pods" / f"default_{metadata['name']}_{metadata['uid']}"

    async def said() -> str:
        with contextlib.suppress(FileNotFoundError):
            return (folder / "main" / "0.log").read_text()
        return ""

    return [pid_of(found), *(int(pid) for pid in (await kubelet.wait(said, "it has children")).split())]


async def all_gone(kubelet: Machine, pids: list[int]) -> None:
    async def gone() -> bool:
        return not any(alive(pid) for pid in pids)

    await kubelet.wait(gone, "no process is left")


async def none_left(kubelet: Machine) -> None:
    """Not of the pods, nor of those that wait to end them."""

    async def none() -> bool:
        return not kubelet.processes()

    await kubelet.wait(none, "nobody of this machine lives")


async def test_kill_9_of_the_kubelet_leaves_no_process(kubelet: Machine) -> None:
    """Not even those that left their group, or their environment."""
    await kubelet.cluster.create(DEPLOYMENT, deployment("family", FAMILY))
    found = await kubelet.one_pod("family", is_ready, "it runs")
    pids = await family(kubelet, found)
    await kubelet.kill()
    await all_gone(kubelet, pids)
    await none_left(kubelet)


async def test_kill_9_of_kubelet_and_shim_is_cleaned_up_by_the_next_start(kubelet: Machine) -> None:
    """The kernel ends the pods' own processes; what they had started ends when there is a kubelet again."""
    await kubelet.cluster.create(DEPLOYMENT, deployment("family", FAMILY))
    found = await kubelet.one_pod("family", is_ready, "it runs")
    pids = await family(kubelet, found)
    bare = pids.pop()  # nobody can know whose this is any more
    try:
        assert kubelet.process is not None
        for shim in psutil.Process(kubelet.process.pid).children():
            shim.send_signal(signal.SIGSTOP)
            await kubelet.kill()
            shim.kill()
        await kubelet.start()
        await all_gone(kubelet, pids)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(bare).kill()


async def test_a_shim_that_is_killed_costs_restarts_and_nothing_else(kubelet: Machine) -> None:
    """Its containers end with it, are told to have been killed, and run again."""
    await kubelet.cluster.create(DEPLOYMENT, deployment("again", SERVER, ports=PORT, readinessProbe=TCP))
    before = await kubelet.one_pod("again", is_ready, "it runs")
    assert kubelet.process is not None
    (shim,) = psutil.Process(kubelet.process.pid).children()
    shim.kill()

    def restarted(pod: Object) -> bool:
        return is_ready(pod) and container_status(pod)["restartCount"] == 1

    after = await kubelet.one_pod("again", restarted, "it runs again")
    assert container_status(after)["lastState"]["terminated"]["exitCode"] == 137
    await all_gone(kubelet, [pid_of(before)])


async def test_a_new_start_replaces_the_pods_of_deployments_and_restarts_others(kubelet: Machine) -> None:
    """After kill -9: a new pod for the Deployment, in the only slice; the lone pod goes on, and counts a restart."""
    await kubelet.cluster.create(CORE_SERVICE, service("kept"))
    await kubelet.cluster.create(DEPLOYMENT, deployment("kept", SERVER, ports=PORT, readinessProbe=TCP))
    container = {"name": "main", "image": "none", "command": ["python3", "-c", "import time; time.sleep(1000)"]}
    await kubelet.cluster.create(POD, pod("lone", {"containers": [container]}))
    before = await kubelet.one_pod("kept", is_ready, "it runs")
    lone = await kubelet.one_pod("lone", is_ready, "it runs")
    await kubelet.kill()
    await kubelet.start()

    def other(pod: Object) -> bool:
        return is_ready(pod) and pod["metadata"]["uid"] != before["metadata"]["uid"]

    after = await kubelet.one_pod("kept", other, "another pod stands for it")

    async def named() -> list[str]:
        found = await kubelet.slices("kept")
        return [endpoint["targetRef"]["uid"] for each in found for endpoint in each["endpoints"]]

    async def only_new() -> bool:
        return await named() == [after["metadata"]["uid"]]

    await kubelet.wait(only_new, "the new pod alone is in a slice")

    def restarted(pod: Object) -> bool:
        return is_ready(pod) and container_status(pod)["restartCount"] == 1

    again = await kubelet.one_pod("lone", restarted, "it runs again")
    assert again["metadata"]["uid"] == lone["metadata"]["uid"]
    folders = {path.name.split("_")[1] for path in (kubelet.data_dir / "pods").iterdir()}
    assert folders == {after["metadata"]["name"], "lone"}


async def test_sigterm_ends_all_pods_and_leaves_the_objects(kubelet: Machine) -> None:
    """Exit 0, no process, and everything that was asked for is still asked for."""
    await kubelet.cluster.create(DEPLOYMENT, deployment("asked", FAMILY, 2))

    async def both() -> list[Object]:
        pods = await kubelet.pods()
        return pods if len(pods) == 2 and all(is_ready(each) for each in pods) else []

    pids = [pid for each in await kubelet.wait(both, "both run") for pid in await family(kubelet, each)]
    assert await kubelet.stop() == 0
    await all_gone(kubelet, pids)
    await none_left(kubelet)
    kept = await kubelet.get(DEPLOYMENT, "asked")
    assert kept is not None
    assert kept["spec"]["replicas"] == 2


async def test_a_namespace_goes_with_its_pods(kubelet: Machine) -> None:
    """Deleting it ends their processes, and then it is gone."""
    await kubelet.cluster.create(NAMESPACE, {"metadata": {"name": "brief"}})
    made = deployment("brief", "import time; time.sleep(1000)")
    made["metadata"]["namespace"] = "brief"
    made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
    await kubelet.cluster.create(DEPLOYMENT, made)

    async def ready() -> list[Object]:
        pods, _ = await kubelet.cluster.list(POD, "brief")
        return [each for each in pods if is_ready(each)]

    (found,) = await kubelet.wait(ready, "it runs")
    await kubelet.cluster.delete(NAMESPACE, "brief")

    async def gone() -> bool:
        namespaces, _ = await kubelet.cluster.list(NAMESPACE)
        return "brief" not in {each["metadata"]["name"] for each in namespaces}

    await kubelet.wait(gone, "the namespace is gone")
    await all_gone(kubelet, [pid_of(found)])


async def test_a_program_that_handles_no_signal_ends_by_sigterm(kubelet: Machine) -> None:
    """It gets signals as a fresh process does: nothing that the kubelet ignores is ignored for it."""
    await kubelet.cluster.create(DEPLOYMENT, deployment("plain", "import time; time.sleep(1000)"))
    await kubelet.one_pod("plain", is_ready, "it runs")
    began = time.monotonic()
    await kubelet.scale("plain", 0)
    await kubelet.no_pods("plain")
    assert time.monotonic() - began < 20, "its grace is 30 s"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(("--ready-fd", "x"), "--ready-fd", id="a-descriptor-that-is-no-number"),
        pytest.param(("--kubeconfig", "/no/such"), "kubeconfig", id="a-kubeconfig-that-is-not-there"),
    ],
)
async def test_a_wrong_setting_is_one_line(tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    """Exit 1 and a line that names it."""
    command = [sys.executable, "-m", "torpor.local.kubelet", "--data-dir", str(tmp_path), *arguments]
    started = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await started.communicate()
    line = said.decode()
    assert started.returncode == 1
    assert line.startswith("torpor kubelet: ")
    assert text in line
    assert len(line.splitlines()) == 1


async def test_sigterm_is_heard_while_the_api_is_silent(tmp_path: Path) -> None:
    """An API that takes connections and says nothing must not keep the kubelet from ending."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0)
        url, kubeconfig = f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path / "kubeconfig"
        kubeconfig.write_text(
            f"clusters: [{{name: c, cluster: {{server: '{url}'}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
            "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n"
        )
        command = [sys.executable, "-m", "torpor.local.kubelet", "--data-dir", str(tmp_path)]
        started = await asyncio.create_subprocess_exec(*command, "--kubeconfig", str(kubeconfig))
        connection, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(silent), 20)
        with connection:
            started.terminate()
            assert await asyncio.wait_for(started.wait(), 5) == 0


async def test_a_second_kubelet_on_the_same_directory_is_refused(kubelet: Machine) -> None:
    """It would end the first one's pods."""
    command = (sys.executable, "-m", "torpor.local.kubelet", "--data-dir", str(kubelet.data_dir))
    second = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await second.communicate()
    assert second.returncode == 1
    assert str(kubelet.data_dir) in said.decode()

"""A kubelet with real processes on a real API server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from tests.local.kubelet.machine import (
    Machine,
    alive,
    condition,
    container_status,
    deployment,
    deployment_of,
    is_ready,
    machine,
    pid_of,
    pod,
    service,
)
from tests.support.manifests import SERVER
from torpor.kube import Change, Informer
from torpor.local.kubelet.limits import enforced
from torpor.spec import names
from torpor.spec.kinds import CONFIG_MAP, CORE_SERVICE, DEPLOYMENT, ENDPOINT_SLICE, POD, SECRET, Object

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SLEEPER = "import time\nwhile True: time.sleep(60)"
PORT = [{"containerPort": 8080}]
TCP = {"tcpSocket": {"port": 8080}}
BURST = 50


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kubelet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    async with machine(tmp_path_factory.mktemp("machine"), TORPOR_TEST_SECRET="of the kubelet") as started:
        yield started


@contextlib.asynccontextmanager
async def created(kubelet: Machine, *objects: Object) -> AsyncIterator[None]:
    """Create objects, and delete them at the end."""
    kinds = {kind.kind: kind for kind in (CONFIG_MAP, CORE_SERVICE, DEPLOYMENT, POD, SECRET)}
    for each in objects:
        await kubelet.cluster.create(kinds[each["kind"]], each)
    try:
        yield
    finally:
        for each in objects:
            with contextlib.suppress(Exception):
                await kubelet.cluster.delete(kinds[each["kind"]], each["metadata"]["name"], "default")


def state(pod: Object, name: str, index: int = 0) -> Object | None:
    found: Object | None = (container_status(pod, index).get("state") or {}).get(name)
    return found


def log_of(kubelet: Machine, pod: Object, run: int = 0, container: str = "main") -> str:
    metadata = pod["metadata"]
    folder = f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"
    return (kubelet.data_dir / "pods" / folder / container / f"{run}.log").read_text()


async def test_a_deployment_from_nothing_to_two_pods_and_back(kubelet: Machine) -> None:
    """Each pod has its port, its process, its slice; the status counts them; at zero nothing is left of them."""
    async with created(kubelet, service("web"), deployment("web", SERVER, 0, ports=PORT, readinessProbe=TCP)):
        await kubelet.scale("web", 2)

        async def both() -> list[Object] | None:
            pods = await kubelet.pods("app=web")
            return pods if len(pods) == 2 and all(is_ready(each) for each in pods) else None

        pods = await kubelet.wait(both, "two pods are ready")
        for each in pods:
            assert each["metadata"]["name"].startswith(f"web-{each['metadata']['labels']['pod-template-hash']}-")
            assert each["status"]["podIP"] == "127.0.0.1"
            assert psutil.Process(pid_of(each)).environ()["PORT"] == each["metadata"]["annotations"][names.POD_PORT]

        async def slices() -> list[Object] | None:
            found = await kubelet.slices("web")
            return found if len(found) == 2 else None

        found = await kubelet.wait(slices, "two slices")
        ports = {each["endpoints"][0]["targetRef"]["uid"]: each["ports"][0] for each in found}
        assert ports == {
            each["metadata"]["uid"]: {
                "name": "http",
                "port": int(each["metadata"]["annotations"][names.POD_PORT]),
                "protocol": "TCP",
            }
            for each in pods
        }
        assert {each["metadata"]["labels"]["side"] for each in found} == {"left"}

        async def counted() -> Object | None:
            status = (await kubelet.get(DEPLOYMENT, "web") or {})["status"]
            return status if status.get("readyReplicas") == 2 else None

        status = await kubelet.wait(counted, "the Deployment counts two ready pods")
        assert condition({"status": status}, "Available")["reason"] == "MinimumReplicasAvailable"
        await kubelet.told("web", "ScalingReplicaSet", "from 0 to 2")
        await kubelet.told(pods[0]["metadata"]["name"], "Started", "main")

        await kubelet.scale("web", 0)
        await kubelet.no_pods("web")
        assert not any(alive(pid_of(each)) for each in pods)
        assert await kubelet.slices("web") == []

        async def zero() -> bool:
            status = (await kubelet.get(DEPLOYMENT, "web") or {})["status"]
            return not status.get("replicas") and not status.get("readyReplicas")

        await kubelet.wait(zero, "the Deployment counts none")


async def test_a_crash_is_told_with_its_message_and_restarted_with_back_off(kubelet: Machine) -> None:
    """The first restart is at once, the second waits; the last words are what was written, else the end of the log."""
    code = (
        "import os, sys\nprint('loading')\n"
        "open(os.environ['TORPOR_TERMINATION_LOG'], 'w').write('fetch: no such bucket')\nsys.exit(3)"
    )
    plain = "print('one')\nprint('two')\nraise SystemExit(1)"
    quiet = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    async with created(kubelet, deployment("crash", code), deployment("plain", plain, **quiet)):

        def waits(pod: Object) -> bool:
            return (state(pod, "waiting") or {}).get("reason") == "CrashLoopBackOff"

        for name, exit_code, message in (("crash", 3, "fetch: no such bucket"), ("plain", 1, "one\ntwo\n")):
            found = await kubelet.one_pod(name, waits, "it crashed twice")
            status = container_status(found)
            uid, pod_name = found["metadata"]["uid"], found["metadata"]["name"]
            assert status["state"]["waiting"]["message"] == (
                f"back-off 10s restarting failed container=main pod={pod_name}_default({uid})"
            )
            assert status["restartCount"] == 1
            assert status["lastState"]["terminated"]["exitCode"] == exit_code
            assert status["lastState"]["terminated"]["reason"] == "Error"
            assert status["lastState"]["terminated"]["message"] == message
            assert found["status"]["phase"] == "Running"
            assert condition(found, "Ready")["status"] == "False"
            await kubelet.told(pod_name, "BackOff", "Back-off restarting failed container main")


async def test_what_cannot_run_says_why(kubelet: Machine) -> None:
    """An image without a command, a program that is not there, a folder that is not there, a Secret that is missing."""
    secret = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "k"}}}
    cases: dict[str, tuple[Object, str, str, str]] = {
        "no-command": ({"command": None}, "waiting", "ErrImageNeverPull", "a laptop has no container engine"),
        "no-program": ({"command": ["no-such-program"]}, "lastState", "StartError", "not found in $PATH"),
        "no-folder": ({"workingDir": "/no/such"}, "lastState", "StartError", 'chdir to cwd ("/no/such") failed'),
        "no-secret": ({"env": [secret]}, "waiting", "CreateContainerConfigError", 'secret "absent" not found'),
    }
    deployments = [deployment(name, SLEEPER, **container) for name, (container, *_) in cases.items()]
    for each in deployments:
        container = each["spec"]["template"]["spec"]["containers"][0]
        container.update({key: value for key, value in container.items() if value is not None})
        if container["command"] is None:
            del container["command"]
    async with created(kubelet, *deployments):
        for name, (_, where, reason, text) in cases.items():

            def says(pod: Object, where: str = where, reason: str = reason) -> bool:
                status = container_status(pod)
                told = (status.get("lastState") or {}).get("terminated") if where == "lastState" else state(pod, where)
                return (told or {}).get("reason") == reason

            found = await kubelet.one_pod(name, says, f"{name} says {reason}")
            status = container_status(found)
            told = status["lastState"]["terminated"] if where == "lastState" else status["state"][where]
            assert text in told["message"]


async def test_what_cannot_be_started_is_tried_again_and_counted(kubelet: Machine) -> None:
    """As every other end: at once, then with back-off; between two tries it waits with Kubernetes' word for that."""
    words: set[str] = set()

    def note(change: Change) -> None:
        if change.new is not None and change.key[1].startswith("untried-"):
            words.add((state(change.new, "waiting") or {}).get("reason", ""))

    informer = Informer(kubelet.cluster, POD, note)
    watching = asyncio.ensure_future(informer.run())
    try:
        async with created(kubelet, deployment("untried", "", command=["no-such-program"])):

            def waits(pod: Object) -> bool:
                return (state(pod, "waiting") or {}).get("reason") == "CrashLoopBackOff"

            found = await kubelet.one_pod("untried", waits, "it was tried twice")
            status = container_status(found)
            assert status["restartCount"] == 1
            assert status["lastState"]["terminated"]["exitCode"] == 128
            assert found["status"]["phase"] == "Running"
            assert words <= {"", "ContainerCreating", "RunContainerError", "CrashLoopBackOff"}
        never = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none", "command": ["no-such"]}]}
        async with created(kubelet, pod("once", never)):
            found = await kubelet.one_pod("once", lambda pod: state(pod, "terminated"), "it was tried once")
            assert found["status"]["phase"] == "Failed"
            assert container_status(found)["state"]["terminated"]["reason"] == "StartError"
            assert container_status(found)["restartCount"] == 0
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_a_folder_in_the_place_of_last_words_is_an_end_like_any_other(kubelet: Machine) -> None:
    """The container has ended, is told so with what its log says, and runs again."""
    code = "import os, sys\nos.mkdir(os.environ['TORPOR_TERMINATION_LOG'])\nprint('log', flush=True)\nsys.exit(4)"
    made = deployment("odd", code, terminationMessagePolicy="FallbackToLogsOnError")
    async with created(kubelet, made):
        found = await kubelet.one_pod("odd", lambda pod: container_status(pod).get("restartCount"), "it runs again")
        ended = container_status(found)["lastState"]["terminated"]
        assert (ended["exitCode"], ended["message"]) == (4, "log\n")


async def test_a_secret_that_comes_late_starts_the_container(kubelet: Machine) -> None:
    """Its environment has what Secrets, ConfigMaps, fields and resources say, and nothing of the kubelet's own."""
    env = [
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "late", "key": "k"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "BOTH", "value": "$(KEY)-$(A_B)-$(PORT)"},
        {"name": "PORT", "value": "1"},
    ]
    code = f"import os, time\nprint('ready', flush=True)\n{SLEEPER}"
    made = deployment(
        "late", code, env=env, envFrom=[{"prefix": "A_", "configMapRef": {"name": "late"}}], args=["$(KEY)", "$$(KEY)"]
    )
    metadata = {"name": "late", "namespace": "default"}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "data": {"k": base64.b64encode(b"s3cr3t").decode()},
    }
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"B": "box"}}
    async with created(kubelet, made):
        await kubelet.one_pod(
            "late",
            lambda pod: (state(pod, "waiting") or {}).get("reason") == "CreateContainerConfigError",
            "it waits for what is missing",
        )
        async with created(kubelet, secret, config):
            found = await kubelet.one_pod("late", lambda pod: state(pod, "running"), "it runs")
            process = psutil.Process(pid_of(found))
            seen, port = process.environ(), found["metadata"]["annotations"][names.POD_PORT]
            expected = {
                "KEY": "s3cr3t",
                "POD": found["metadata"]["name"],
                "A_B": "box",
                "PORT": port,
                "BOTH": f"s3cr3t-box-{port}",
                "TORPOR_PVC_ROOT": str(kubelet.data_dir / "volumes" / "default"),
            }
            assert {key: seen.get(key) for key in expected} == expected
            assert float(seen["TORPOR_POD_STARTED_AT"]) <= time.time()
            assert process.cmdline()[-2:] == ["s3cr3t", "$(KEY)"]
            assert "TORPOR_TEST_SECRET" not in seen


async def test_a_liveness_probe_that_fails_restarts_the_container(kubelet: Machine) -> None:
    """Killed, started again, and told as Kubernetes does."""
    code = (
        "import http.server, os, time\nfrom pathlib import Path\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        sick = self.path == '/live' and not Path('../0.done').exists()\n"
        "        self.send_response(500 if sick else 200); self.end_headers()\n"
        "http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n"
    )
    live = {"httpGet": {"path": "/live", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    made = deployment("sick", code, ports=PORT, readinessProbe=TCP, livenessProbe=live)
    made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 2
    async with created(kubelet, made):
        found = await kubelet.one_pod("sick", lambda pod: container_status(pod).get("restartCount"), "it is restarted")
        name = found["metadata"]["name"]
        await kubelet.told(name, "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500")
        await kubelet.told(name, "Killing", "Container main failed liveness probe, will be restarted")


async def test_an_exec_probe_and_a_startup_probe_gate_readiness(kubelet: Machine) -> None:
    """Not started before its startup probe passes, not ready before its command succeeds."""
    code = f"import time\nfrom pathlib import Path\ntime.sleep(0.2); Path('up').touch()\n{SLEEPER}"
    up = {"exec": {"command": ["sh", "-c", "test -e up || { echo not yet; exit 1; }"]}}
    ready = {"exec": {"command": ["sh", "-c", "test -e ready || { echo no file; exit 1; }"]}, "periodSeconds": 1}
    async with created(kubelet, deployment("gated", code, startupProbe=up, readinessProbe=ready)):
        found = await kubelet.one_pod("gated", lambda pod: container_status(pod).get("started"), "it has started")
        assert container_status(found)["ready"] is False
        await kubelet.told(found["metadata"]["name"], "Unhealthy", "Readiness probe failed: no file")
        await asyncio.to_thread(Path(psutil.Process(pid_of(found)).cwd(), "ready").touch)
        await kubelet.one_pod("gated", is_ready, "it is ready")


async def test_sigterm_then_sigkill_and_grandchildren_too(kubelet: Machine) -> None:
    """One that ignores SIGTERM gets its grace and no more; a daemon it left in a session of its own ends with it."""
    code = (
        "import os, signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "daemon = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'], start_new_session=True)\n"
        f"print('daemon', daemon.pid, flush=True)\n{SLEEPER}"
    )
    spec = {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": "none", "command": ["python3", "-u", "-c", code]}],
    }
    await kubelet.cluster.create(POD, pod("stubborn", spec))
    found = await kubelet.one_pod("stubborn", is_ready, "it runs")

    async def said() -> str:
        return log_of(kubelet, found)

    text: str = await kubelet.wait(said, "it has started its daemon")
    daemon = int(text.split()[1])
    assert alive(daemon)
    began = time.monotonic()
    await kubelet.cluster.delete(POD, "stubborn", "default")
    await kubelet.no_pods("stubborn")
    assert time.monotonic() - began >= 1
    assert not alive(pid_of(found))
    assert not alive(daemon)


async def test_a_pod_leaves_its_slice_before_it_is_told_to_stop(kubelet: Machine) -> None:
    """What SIGTERM finds is a pod that no slice names any more."""
    code = (
        "import os, signal, socket, sys, time\n"
        "def stop(*_):\n"
        "    print(time.time(), flush=True); time.sleep(0.3); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "server = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
        "while True: server.accept()[0].close()\n"
    )
    gone: list[float] = []

    def note(change: Change) -> None:
        if change.new is None and change.key[1].startswith("polite-"):
            gone.append(time.time())

    informer = Informer(kubelet.cluster, ENDPOINT_SLICE, note)
    watching = asyncio.ensure_future(informer.run())
    try:
        async with created(kubelet, service("polite"), deployment("polite", code, ports=PORT, readinessProbe=TCP)):
            found = await kubelet.one_pod("polite", is_ready, "it is ready")

            async def listed() -> list[Object]:
                return await kubelet.slices("polite")

            await kubelet.wait(listed, "it is in a slice")
            log = kubelet.data_dir / "pods"
            await kubelet.scale("polite", 0)
            told = None
            async with asyncio.timeout(20):
                while told is None:
                    for path in log.glob("default_polite-*/main/0.log"):
                        with contextlib.suppress(FileNotFoundError):
                            told = next((float(line) for line in path.read_text().split()), None)
                    await asyncio.sleep(0.005)
            assert gone, "the slice was still there when SIGTERM came"
            assert gone[0] < told
            await kubelet.no_pods("polite")
            assert found["metadata"]["uid"]
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_a_changed_template_replaces_pods_without_a_gap(kubelet: Machine) -> None:
    """The old pod goes only after the new one is ready."""
    made = deployment("rolls", SERVER, ports=PORT, readinessProbe=TCP, env=[{"name": "VERSION", "value": "1"}])
    ready: list[int] = []
    pods: dict[str, bool] = {}

    def note(change: Change) -> None:
        obj = change.new or change.old
        if obj is None or obj["metadata"]["labels"].get("app") != "rolls":
            return
        pods[obj["metadata"]["uid"]] = change.new is not None and is_ready(change.new)
        ready.append(sum(pods.values()))

    async with created(kubelet, made):
        old = await kubelet.one_pod("rolls", is_ready, "it is ready")
        informer = Informer(kubelet.cluster, POD, note)
        watching = asyncio.ensure_future(informer.run())
        await informer.synced()
        made["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "2"
        await kubelet.cluster.replace(DEPLOYMENT, made)

        def replaced(pod: Object) -> bool:
            return is_ready(pod) and pod["metadata"]["uid"] != old["metadata"]["uid"]

        found = await kubelet.one_pod("rolls", replaced, "another pod has taken over")
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        assert psutil.Process(pid_of(found)).environ()["VERSION"] == "2"
        assert min(ready) == 1
        assert max(ready) == 2


async def test_init_containers_run_first_and_volumes_have_their_files(kubelet: Machine) -> None:
    """In order, each to its end; a ConfigMap and an emptyDir are folders that the environment names."""
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "files", "namespace": "default"},
        "data": {"a.txt": "from the map"},
    }
    mounts = [{"name": "files", "mountPath": "/files"}, {"name": "scratch", "mountPath": "/scratch"}]

    def container(name: str, code: str) -> Object:
        return {"name": name, "image": "none", "command": ["python3", "-c", code], "volumeMounts": mounts}

    copy = (
        "import os, shutil\n"
        "shutil.copy(os.environ['TORPOR_VOLUME_FILES'] + '/a.txt', os.environ['TORPOR_VOLUME_SCRATCH'] + '/b.txt')"
    )
    show = "import os\nprint(open(os.environ['TORPOR_VOLUME_SCRATCH'] + '/b.txt').read())"
    spec = {
        "restartPolicy": "Never",
        "volumes": [{"name": "files", "configMap": {"name": "files"}}, {"name": "scratch", "emptyDir": {}}],
        "initContainers": [container("copy", copy)],
        "containers": [container("main", show)],
    }
    async with created(kubelet, config, pod("staged", spec)):

        def over(pod: Object) -> bool:
            return pod["status"].get("phase") in {"Succeeded", "Failed"}

        found = await kubelet.one_pod("staged", over, "it is over")
        assert found["status"]["phase"] == "Succeeded", found["status"]
        assert found["status"]["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
        assert container_status(found)["state"]["terminated"]["exitCode"] == 0
        assert log_of(kubelet, found) == "from the map\n"
        await kubelet.told("staged", "VolumesNotMounted", "$TORPOR_VOLUME_FILES")


async def test_of_several_containers_one_serves(kubelet: Machine) -> None:
    """Only that one has PORT; the pod is ready when both are."""
    side = {"name": "side", "image": "none", "command": ["python3", "-c", SLEEPER]}
    main = {"name": "main", "image": "none", "command": ["python3", "-c", SERVER], "ports": PORT, "readinessProbe": TCP}
    async with created(kubelet, deployment_of("pair", {"containers": [side, main]})):
        found = await kubelet.one_pod("pair", is_ready, "both run")
        by_name = {status["name"]: index for index, status in enumerate(found["status"]["containerStatuses"])}
        assert "PORT" not in psutil.Process(pid_of(found, by_name["side"])).environ()
        assert "PORT" in psutil.Process(pid_of(found, by_name["main"])).environ()


async def test_a_process_that_is_killed_is_started_again_at_once(kubelet: Machine) -> None:
    """Out of the slice, restarted in place, back in it; the count says so, and what the kernel did."""
    async with created(kubelet, service("mortal"), deployment("mortal", SERVER, ports=PORT, readinessProbe=TCP)):
        before = await kubelet.one_pod("mortal", is_ready, "it is ready")
        os.kill(pid_of(before), signal.SIGKILL)

        def again(pod: Object) -> bool:
            return is_ready(pod) and bool(container_status(pod)["restartCount"])

        after = await kubelet.one_pod("mortal", again, "it is ready again")
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        ended: dict[str, Any] = container_status(after)["lastState"]["terminated"]
        assert (ended["exitCode"], ended["signal"], ended["reason"]) == (137, 9, "Error")
        assert after["metadata"]["annotations"][names.POD_PORT] == before["metadata"]["annotations"][names.POD_PORT]


async def test_too_much_memory_is_oom_killed_or_the_limit_is_said_not_to_hold(kubelet: Machine) -> None:
    """Where the machine has control groups for us, the kernel ends the container; elsewhere an event says so."""
    code = f"import time\nwaste = bytearray(500_000_000)\n{SLEEPER}"
    made = deployment("greedy", code, resources={"limits": {"memory": "60Mi", "cpu": "500m"}})
    with enforced() as limits:
        enforceable = "memory" in limits.trees
    async with created(kubelet, made):
        if enforceable:

            def ended(pod: Object) -> Any:
                return (container_status(pod).get("lastState") or {}).get("terminated")

            found = await kubelet.one_pod("greedy", ended, "it was ended")
            assert ended(found)["reason"] == "OOMKilled"
            assert ended(found)["exitCode"] == 137
        else:
            found = await kubelet.one_pod("greedy", is_ready, "it runs")
            await kubelet.told(found["metadata"]["name"], "LimitsNotEnforced", "memory")


async def test_a_burst_of_pods_is_served_in_order_and_leaves_nothing(kubelet: Machine) -> None:
    """Fifty at once: each gets a port of its own and one slice, all become ready and are counted, all go."""
    code = "import os, socket\nserver = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
    code += "while True: server.accept()[0].close()"
    made = deployment("burst", code, 0, ports=PORT, readinessProbe=TCP)
    async with created(kubelet, service("burst"), made):
        await kubelet.scale("burst", BURST)

        async def all_ready() -> list[Object]:
            pods = await kubelet.pods("app=burst")
            return pods if sum(is_ready(each) for each in pods) == BURST else []

        pods = await kubelet.wait(all_ready, "all are ready", 60)
        assert len({each["metadata"]["annotations"][names.POD_PORT] for each in pods}) == BURST
        assert {container_status(each)["restartCount"] for each in pods} == {0}

        async def settled() -> bool:
            found = await kubelet.slices("burst")
            uids = {endpoint["targetRef"]["uid"] for each in found for endpoint in each["endpoints"]}
            status = (await kubelet.get(DEPLOYMENT, "burst") or {})["status"]
            told = [status.get(name) for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
            return told == [BURST] * 4 and len(found) == BURST and uids == {each["metadata"]["uid"] for each in pods}

        await kubelet.wait(settled, "all are counted, each in one slice")
        assert len(await kubelet.pods("app=burst")) == BURST
        await kubelet.scale("burst", 0)
        await kubelet.no_pods("burst", 60)
        assert not any(alive(pid_of(each)) for each in pods)

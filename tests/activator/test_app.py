"""The activator as it is put together, against the real API server, with pods that are real HTTP servers."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from activator.app import serve
from tests.activator.whole import CONTAINER, NAME, PROBE, World, eventually, tiny_pod, world
from tests.kube.apiserver import ApiServer
from tests.support.ports import free_ports
from tests.support.until import until
from torpor.cli.timeline import parse_cold_start
from torpor.spec import names
from torpor.spec.kinds import (
    CONFIGURATION,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    POD,
    REVISION,
    ROUTE,
    Object,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One API server for all of these tests: starting it takes longer than any of them."""
    server = ApiServer(tmp_path_factory.mktemp("api"))
    with asyncio.Runner() as runner:
        runner.run(server.start())
        yield server
        runner.run(server.kill())


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

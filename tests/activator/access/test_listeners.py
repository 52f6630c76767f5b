"""A whole activator beside a real API server: locks follow objects as they are, and keys are for inference alone."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import yaml

from tests.activator.access.gate import ENTRIES, GOOD, KEYS
from tests.activator.test_app import NAME, ApiServer, World, eventually, tiny_pod, world
from torpor.spec import names
from torpor.spec.kinds import EVENT, NAMESPACE, ROUTE, SECRET, Object

BEARER = {"Authorization": f"Bearer {GOOD}"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path_factory.mktemp("api"))
    with asyncio.Runner() as runner:
        runner.run(server.start())
        yield server
        runner.run(server.kill())


@pytest.fixture
async def made(api: ApiServer) -> AsyncIterator[World]:
    async with world(api) as running:
        yield running


async def annotate(made: World, policy: str | None) -> None:
    body = {"metadata": {"annotations": {names.ACCESS: policy}}}
    await made.cluster.patch(ROUTE, "app", made.namespace, body)


def keys(made: World, entries: dict[str, str]) -> Object:
    metadata = {"name": KEYS, "namespace": made.namespace, "labels": {names.ACCESS: "keys"}}
    data = {id_: base64.b64encode(text.encode()).decode() for id_, text in entries.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


async def test_locks_follow_the_cluster(made: World) -> None:
    """A Route's policy, a Secret, a Namespace's policy: each holds as soon as it is seen, and is told of."""
    async with made.client() as http, tiny_pod() as pod:
        await made.start_pod("p-1")
        await made.show_pod("p-1", pod.port)

        async def statuses() -> tuple[int, int]:
            return (await http.get("/")).status_code, (await http.get("/", headers=BEARER)).status_code

        assert await statuses() == (200, 200)
        await annotate(made, f"keys={KEYS}")
        assert await eventually(statuses, lambda seen: seen != (200, 200)) == (401, 503)

        async def told() -> list[str]:
            events, _ = await made.cluster.list(EVENT, made.namespace)
            return [each["message"] for each in events if each["reason"] == "AccessPolicyUnusable"]

        [said] = await eventually(told, bool)
        assert f"Secret {KEYS} with its keys is not there" in said
        await made.cluster.create(SECRET, keys(made, ENTRIES))
        await eventually(statuses, lambda seen: seen == (401, 200))
        await made.cluster.patch(SECRET, KEYS, made.namespace, {"data": dict.fromkeys(ENTRIES)})
        await eventually(statuses, lambda seen: seen == (401, 401))
        await annotate(made, None)
        await eventually(statuses, lambda seen: seen == (200, 200))
        policy = {"metadata": {"annotations": {names.ACCESS: f"keys={KEYS}"}}}
        await made.cluster.patch(NAMESPACE, made.namespace, None, policy)
        await eventually(statuses, lambda seen: seen == (401, 401))
        labels = f'namespace="{made.namespace}",result="unauthorized",route="app"'
        assert f"torpor_activator_access_total{{{labels}}}" in await made.metrics()


async def test_a_locked_service_stays_at_zero(made: World) -> None:
    """Whoever has no key starts no pod; whoever has one does."""
    await made.cluster.create(SECRET, keys(made, ENTRIES))
    await annotate(made, f"keys={KEYS}")
    async with made.client() as http, tiny_pod() as pod:

        async def status(path: str = "/") -> int:
            return (await http.get(path, headers={"Authorization": "Bearer wrong"})).status_code

        # Asking for an answer that is nowhere wakes nobody, with a lock or without.
        await eventually(lambda: status("/.torpor/requests/x"), lambda seen: seen == 401)
        for _ in range(20):
            assert await status() == 401
        assert await made.replicas() == 0
        waiting = asyncio.ensure_future(http.get("/", headers=BEARER))
        await made.until_queued(NAME)
        await made.until_replicas(1)
        await made.start_pod("p-1")
        await made.show_pod("p-1", pod.port)
        assert (await waiting).status_code == 200


async def test_keys_are_for_inference_alone(made: World) -> None:
    """Neither the admin port nor the Kubernetes API takes one; nor does the door take their token."""
    await made.cluster.create(SECRET, keys(made, ENTRIES))
    token = (made.server.data_dir / "token").read_text().strip()
    tls = ssl.create_default_context(cafile=str(made.server.data_dir / "pki/ca.crt"))
    api_url = yaml.safe_load((made.server.data_dir / "kubeconfig").read_text())["clusters"][0]["cluster"]["server"]
    async with httpx.AsyncClient(verify=tls) as http:
        for path in ("/metrics", "/metrics?api_key=" + GOOD):
            for headers in ({}, BEARER, {"X-API-Key": GOOD}):
                answer = await http.get(f"http://127.0.0.1:{made.admin_port}{path}", headers=headers)
                assert answer.status_code == 401
        for path in (
            "/api",
            "/api/v1/namespaces",
            f"/api/v1/namespaces/{made.namespace}/secrets/{KEYS}",
            "/openapi/v2",
        ):
            for headers in (BEARER, {"X-API-Key": GOOD}):
                for method in ("GET", "POST", "DELETE"):
                    answer = await http.request(method, api_url + path, headers=headers)
                    assert answer.status_code == 401, (method, path)
                    assert GOOD not in answer.text
    await annotate(made, f"keys={KEYS}")
    async with made.client() as http:

        async def status() -> int:
            return (await http.get("/.torpor/requests/x", headers={"Authorization": f"Bearer {token}"})).status_code

        await eventually(status, lambda seen: seen == 401)

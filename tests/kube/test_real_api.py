"""The shared bones against the real API server, which dies and comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kube.apiserver import ApiServer, running
from tests.support.until import until
from torpor import errors
from torpor.aio.backoff import Backoff
from torpor.kube import Change, Cluster, Informer, Patch, Recorder
from torpor.spec.kinds import CONFIG_MAP, DEPLOYMENT, EVENT, Object

pytestmark = pytest.mark.slow

SOON = Backoff(first_s=0.01, limit_s=0.2)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[tuple[ApiServer, Cluster]]:
    async with running(tmp_path) as pair:
        yield pair


@contextlib.asynccontextmanager
async def task_of(coroutine: object) -> AsyncIterator[None]:
    task = asyncio.ensure_future(coroutine)  # type: ignore[arg-type]
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def config_map(name: str, value: str = "1") -> Object:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": value}}


def deployment(replicas: int) -> Object:
    labels = {"app": "d"}
    container = {"name": "c", "image": "none"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


async def test_an_informer_outlives_its_server(api: tuple[ApiServer, Cluster]) -> None:
    """Killed with -9 and started again on the same data: nothing that was written is lost, and changes go on."""
    server, cluster = api
    told: list[str] = []

    def tell(change: Change) -> None:
        sign = "+" if change.old is None else "-" if change.new is None else "~"
        told.append(sign + change.key[1])

    await cluster.create(CONFIG_MAP, config_map("stays"))
    await cluster.create(CONFIG_MAP, config_map("changes"))
    await cluster.create(CONFIG_MAP, config_map("goes"))
    informer = Informer(cluster, CONFIG_MAP, tell, namespace="default", backoff=SOON)
    async with task_of(informer.run()):
        await until(lambda: {"+stays", "+changes", "+goes"} <= set(told), 20)
        told.clear()
        await server.kill()
        await server.start()
        await cluster.patch(CONFIG_MAP, "changes", "default", {"data": {"key": "2"}})
        await cluster.delete(CONFIG_MAP, "goes", "default")
        await cluster.create(CONFIG_MAP, config_map("comes"))
        await until(lambda: {"~changes", "-goes", "+comes"} <= set(told), 20)
        assert "-stays" not in told
        items, _ = await cluster.list(CONFIG_MAP, "default")
        assert {key: obj["data"] for key, obj in informer.items.items()} == {
            ("default", obj["metadata"]["name"]): obj.get("data") for obj in items
        }


async def test_scale_is_a_subresource(api: tuple[ApiServer, Cluster]) -> None:
    """What the autoscaler relies on: a merge patch of `scale`, whose answer says the new version."""
    _, cluster = api
    await cluster.create(DEPLOYMENT, deployment(0))
    body = {"spec": {"replicas": 3}}
    scale = await cluster.patch(DEPLOYMENT, "d", "default", body, how=Patch.MERGE, sub="scale")
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 3)
    stored = await cluster.get(DEPLOYMENT, "d", "default")
    assert stored["spec"]["replicas"] == 3
    assert stored["metadata"]["resourceVersion"] == scale["metadata"]["resourceVersion"]
    with pytest.raises(errors.NotFoundError):
        await cluster.patch(DEPLOYMENT, "absent", "default", body, sub="scale")


async def test_conflict_and_precondition(api: tuple[ApiServer, Cluster]) -> None:
    """Writing over what somebody else wrote, creating what exists, deleting another incarnation: all are conflicts."""
    _, cluster = api
    first = await cluster.create(CONFIG_MAP, config_map("a"))
    await cluster.replace(CONFIG_MAP, first | {"data": {"key": "2"}})
    with pytest.raises(errors.ConflictError):
        await cluster.replace(CONFIG_MAP, first | {"data": {"key": "3"}})
    with pytest.raises(errors.ConflictError):
        await cluster.create(CONFIG_MAP, config_map("a"))
    with pytest.raises(errors.ConflictError):
        await cluster.delete(CONFIG_MAP, "a", "default", uid="00000000-0000-0000-0000-000000000000")


async def test_events_are_counted(api: tuple[ApiServer, Cluster]) -> None:
    """The same three times is one Event with count three."""
    _, cluster = api
    about = await cluster.create(DEPLOYMENT, deployment(0))
    recorder = Recorder(cluster, "tester")

    async def counts() -> list[int]:
        items, _ = await cluster.list(EVENT, "default", fields="involvedObject.name=d")
        return [item["count"] for item in items]

    async with task_of(recorder.run()):
        for _ in range(3):
            recorder.emit(about, "Normal", "Reason", "message")
        async with asyncio.timeout(20):
            while await counts() != [3]:  # noqa: ASYNC110  # the server says, not an event of ours
                await asyncio.sleep(0.01)


async def test_wrong_token(api: tuple[ApiServer, Cluster], tmp_path: Path) -> None:
    """Even on loopback nobody is let in without the token."""
    server, _ = api
    token = (server.data_dir / "token").read_text().strip()
    forged = tmp_path / "forged"
    forged.write_text((server.data_dir / "kubeconfig").read_text().replace(token, "guessed"))
    async with await Cluster.connect(forged) as stranger:
        with pytest.raises(errors.UnauthorizedError):
            await stranger.list(CONFIG_MAP, "default")


async def test_what_is_written_says_who_wrote_it(api: tuple[ApiServer, Cluster]) -> None:
    """In managedFields, whichever way it was written: the name that the client connected with."""
    server, _ = api
    async with await Cluster.connect(server.data_dir / "kubeconfig", name="tester") as cluster:
        created = await cluster.create(CONFIG_MAP, config_map("mine"))
        replaced = await cluster.replace(CONFIG_MAP, {**created, "data": {"key": "2"}})
        patched = await cluster.patch(CONFIG_MAP, "mine", "default", {"data": {"more": "3"}})
    for obj in (created, replaced, patched):
        assert {entry["manager"] for entry in obj["metadata"]["managedFields"]} == {"tester"}

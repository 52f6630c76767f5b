"""The client on a real socket: what it sends, and what it makes of the answers, torn ones too."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.kube.server import Handler, kubeconfig, served
from torpor import errors
from torpor.kube import Cluster, Patch, client
from torpor.kube.client import GoneError, StatusError
from torpor.spec.kinds import DEPLOYMENT, POD, Object


def answering(body: Any, status: int = 200, seen: list[web.Request] | None = None) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        await request.read()
        if seen is not None:
            seen.append(request)
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return web.Response(status=status, body=raw, content_type="application/json")

    return handle


def streaming(*chunks: bytes, tear: bool = False) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if tear:
            assert request.transport is not None
            request.transport.abort()
        return response

    return handle


def event(type_: str, version: int, **more: Any) -> bytes:
    return orjson.dumps({"type": type_, "object": {"metadata": {"name": "p", "resourceVersion": str(version)}, **more}})


async def watched(cluster: Cluster) -> list[tuple[str, Object]]:
    return [item async for item in cluster.watch(POD, "1")]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, errors.UnauthorizedError),
        (403, errors.ForbiddenError),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (410, GoneError),
        (422, StatusError),
        (429, errors.UnavailableError),
        (500, errors.UnavailableError),
        (503, errors.UnavailableError),
        (504, errors.UnavailableError),
    ],
)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"kind": "Status", "message": "because"}, "because"),
        ({"kind": "Status", "reason": "Why"}, "Why"),
        (b"upstream says no", "upstream says no"),
        ({}, "HTTP"),
    ],
    ids=["message", "reason", "no JSON", "nothing"],
)
async def test_a_status_becomes_an_error_that_fits(
    tmp_path: Path, status: int, expected: type[Exception], body: Any, message: str
) -> None:
    """One type per kind of failure, with the server's own words."""
    async with served(answering(body, status), tmp_path) as cluster:
        with pytest.raises(expected, match=message):
            await cluster.get(POD, "p", "default")


async def test_what_is_sent(tmp_path: Path) -> None:
    """Path, query, token and content type of a patch."""
    seen: list[web.Request] = []
    async with served(answering({}, seen=seen), tmp_path) as cluster:
        await cluster.patch(DEPLOYMENT, "d", "ns", {"spec": {}}, how=Patch.APPLY, sub="scale", manager="me", force=True)
    [request] = seen
    assert (request.method, request.path) == ("PATCH", "/apis/apps/v1/namespaces/ns/deployments/d/scale")
    assert dict(request.query) == {"fieldManager": "me", "force": "true"}
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert request.headers["Authorization"] == "Bearer secret"


async def test_delete_of_one_incarnation(tmp_path: Path) -> None:
    """Grace period and uid are in the body, as the API wants them."""
    bodies: list[Any] = []

    async def handle(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.json_response({})

    async with served(handle, tmp_path) as cluster:
        await cluster.delete(POD, "p", "ns", grace_s=0, uid="u")
    assert bodies == [{"propagationPolicy": "Background", "gracePeriodSeconds": 0, "preconditions": {"uid": "u"}}]


async def test_items_of_a_list_know_what_they_are(tmp_path: Path) -> None:
    """A list leaves kind and apiVersion out of its items; whoever reads one needs them."""
    body = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "p"}}]}
    async with served(answering(body), tmp_path) as cluster:
        items, version = await cluster.list(POD)
    assert version == "7"
    assert [(item["apiVersion"], item["kind"]) for item in items] == [("v1", "Pod")]


async def test_watch_of_large_and_split_lines(tmp_path: Path) -> None:
    """An object can be a megabyte, and a chunk ends anywhere."""
    big = event("ADDED", 2, spec={"text": "x" * 1_000_000})
    raw = big + b"\n" + event("MODIFIED", 3) + b"\n" + event("BOOKMARK", 4) + b"\n"
    pieces = [raw[at : at + 70_001] for at in range(0, len(raw), 70_001)]
    async with served(streaming(*pieces), tmp_path) as cluster:
        items = await watched(cluster)
    assert [(type_, obj["metadata"]["resourceVersion"]) for type_, obj in items] == [
        ("ADDED", "2"),
        ("MODIFIED", "3"),
        ("BOOKMARK", "4"),
    ]


@pytest.mark.parametrize("tear", [True, False], ids=["connection torn", "ended politely"])
async def test_watch_that_breaks_in_a_line(tmp_path: Path, tear: bool) -> None:  # noqa: FBT001
    """Half an object is no object, and no crash."""
    async with served(streaming(event("ADDED", 2) + b"\n", event("ADDED", 3)[:20], tear=tear), tmp_path) as cluster:
        with pytest.raises(errors.UnavailableError):
            await watched(cluster)


async def test_watch_from_a_version_that_is_gone(tmp_path: Path) -> None:
    """410 comes as an event in a stream that began with 200."""
    gone = orjson.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}})
    async with served(streaming(gone + b"\n"), tmp_path) as cluster:
        with pytest.raises(GoneError, match="too old"):
            await watched(cluster)


async def test_watch_on_a_connection_that_went_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that vanished without a word is noticed."""
    monkeypatch.setattr(client, "WATCH_TIMEOUT_S", 0.05)
    monkeypatch.setattr(client, "REQUEST_TIMEOUT_S", 0.05)
    stop = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await stop.wait()
        return response

    async with served(handle, tmp_path) as cluster:
        with pytest.raises(errors.UnavailableError):
            await watched(cluster)
        stop.set()


async def test_leaving_a_stream_early_gives_the_connection_back(tmp_path: Path) -> None:
    """Who follows a log and stops reading holds nothing any more: the server sees it go."""
    left = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"line\n")
                await asyncio.sleep(0.001)
        left.set()
        return response

    async with served(handle, tmp_path) as cluster:
        async with contextlib.aclosing(cluster.stream("/log")) as lines:
            async for line in lines:
                assert line == b"line"
                break
        await asyncio.wait_for(left.wait(), 5)


async def test_nobody_listens(tmp_path: Path) -> None:
    """The error names the address, and says that trying again may help."""
    async with await Cluster.connect(kubeconfig(tmp_path, "http://127.0.0.1:1")) as cluster:
        with pytest.raises(errors.UnavailableError, match=r"127\.0\.0\.1:1") as caught:
            await cluster.get(POD, "p", "default")
    assert caught.value.retryable


@pytest.mark.parametrize("content", [None, "", "not: [a kubeconfig", "{}"], ids=["none", "empty", "torn", "empty map"])
async def test_a_kubeconfig_that_is_none(tmp_path: Path, content: str | None) -> None:
    """A setting is wrong: said with the path, while starting."""
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(errors.SettingError, match="kubeconfig"):
        await Cluster.connect(path)


async def test_outside_a_cluster_without_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    """No service account here: a setting is missing."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(errors.SettingError, match="in-cluster"):
        await Cluster.connect()

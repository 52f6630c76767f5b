"""An API that answers the commands what a test laid down, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from tests.kube.server import kubeconfig

GROUPS = {
    "v1": [("pods", "Pod", ["po"]), ("configmaps", "ConfigMap", ["cm"])],
    "serving.knative.dev/v1": [("services", "Service", ["ksvc"])],
    "serving.kserve.io/v1beta1": [("inferenceservices", "InferenceService", ["isvc"])],
}
Answer = Callable[[web.Request], Any]


@dataclass
class Api:
    """Answers by (method, path): JSON, or a function of the request that returns JSON or a response."""

    url: str = ""
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    """(method, path, query, body) of every request that was not discovery."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        found = discovery(request.path)
        if found is None:
            self.asked.append((request.method, request.path, dict(request.query), await request.read()))
            found = self.answers.get((request.method, request.path))
            if callable(found):
                found = found(request)
            if asyncio.iscoroutine(found):
                found = await found
        if isinstance(found, web.StreamResponse):
            return found
        return web.json_response(found) if found is not None else refusal(404, f"{request.path} not found")


def refusal(code: int, message: str) -> web.Response:
    """A Status as Kubernetes answers it."""
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)


def discovery(path: str) -> dict[str, Any] | None:
    if path == "/apis":
        named = [version for version in GROUPS if "/" in version]
        return {"groups": [{"preferredVersion": {"groupVersion": version}} for version in named]}
    version = path.removeprefix("/apis/").removeprefix("/api/")
    if version not in GROUPS:
        return None
    return {
        "resources": [
            {"name": plural, "kind": kind, "singularName": kind.lower(), "namespaced": True, "shortNames": short}
            for plural, kind, short in GROUPS[version]
        ]
    }


def many(kind: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {"kind": f"{kind}List", "metadata": {"resourceVersion": "5"}, "items": list(items)}


def watched(kind: str, *items: dict[str, Any], then: tuple[dict[str, Any], ...] = ()) -> Answer:
    """A collection that lists `items`, and whose watch tells `then`, then stays open."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") != "true":
            return web.json_response(many(kind, *items))
        return await _streamed(request, [orjson.dumps(event) + b"\n" for event in then])

    return answer


def events(*documents: dict[str, Any]) -> Answer:
    """Server-sent events that stay open."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept"] == "text/event-stream"
        return await _streamed(request, [b"data: " + orjson.dumps(document) + b"\n\n" for document in documents])

    return answer


async def _streamed(request: web.Request, chunks: list[bytes]) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for chunk in chunks:
        await response.write(chunk)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(30):
            await asyncio.Event().wait()  # the client hangs up first
    return response


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[Api, Path]]:
    """Serve in a thread of its own (the commands run their own loop); gives the API and a kubeconfig for it."""
    api, loop, started = Api(), asyncio.new_event_loop(), threading.Event()

    async def serve() -> web.ServerRunner:
        runner = web.ServerRunner(web.Server(api.handle, handler_cancellation=True), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(serve())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(5)
    try:
        yield api, kubeconfig(folder, api.url)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)

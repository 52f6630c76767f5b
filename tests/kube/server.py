"""An API server that answers what a test tells it to, over a real socket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import yaml
from aiohttp import web

from torpor.kube import Cluster

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def served(handler: Handler, folder: Path) -> AsyncIterator[Cluster]:
    """Serve `handler` for every path, and give a client that was configured by a kubeconfig."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with await Cluster.connect(kubeconfig(folder, f"http://127.0.0.1:{port}")) as cluster:
            yield cluster
    finally:
        await runner.cleanup()


def kubeconfig(folder: Path, url: str) -> Path:
    """Write a kubeconfig for `url` with the token `secret`."""
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {"token": "secret"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path

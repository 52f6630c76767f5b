"""The admin port: numbers for those who bear the token, and a sign of life for everybody."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from activator.peers.counts import BODY_BYTES, Message, decode
from activator.peers.team import PATH
from torpor.errors import NotFoundError, SettingError, TooLargeError, TorporError, UnauthorizedError
from torpor.telemetry import metrics
from torpor.web.listen import listening
from torpor.web.server import Server, Times
from torpor.web.status import answer

IDLE_S = 60
"""A scraper asks more often than that, and so keeps its connection."""
DRAIN_S = 2

Handler = Callable[[Request], Awaitable[Response]]


@contextlib.asynccontextmanager
async def serving(
    token: str, host: str, port: int, collector: Collector, hear: Callable[[Message], None]
) -> AsyncIterator[int]:
    """Listen and answer while the body runs; gives the port, also where the system chose it.

    `token` is what requests must bear. `collector` adds what it knows to the metrics. `hear` takes in what another
    activator counts.
    """
    app = build(token, hear)
    with listening(host, port, host_key="--host", port_key="--admin-port") as listener:
        server = Server(app, Times(IDLE_S, DRAIN_S), signals=False)
        metrics.REGISTRY.register(collector)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            metrics.REGISTRY.unregister(collector)
            server.end()
            await task


def read_token(path: Path) -> str:
    """Return what admin requests must bear; raises SettingError where there is no such file, or nothing in it."""
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError("--token-file", str(path), f"a file with a token is needed: {error}") from error
    if not token:
        raise SettingError("--token-file", str(path), "a file with a token is needed: it is empty")
    return token


def build(token: str, hear: Callable[[Message], None]) -> Starlette:
    """Return the application."""

    async def counts(request: Request) -> Response:
        hear(decode(await _body(request)))
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/healthz", _healthz),
            Route("/metrics", _guarded(_metrics, token)),
            Route(PATH, _guarded(counts, token), methods=["POST"]),
        ],
        exception_handlers={HTTPException: _not_found, TorporError: _refuse},
    )


def _guarded(handler: Handler, token: str) -> Handler:
    expected = token.encode()

    async def checked(request: Request) -> Response:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), expected):
            raise UnauthorizedError("send the token as 'Authorization: Bearer …'; on a laptop it is in DIR/token")
        return await handler(request)

    return checked


async def _healthz(_: Request) -> Response:
    return Response("ok\n", media_type="text/plain")


async def _metrics(_: Request) -> Response:
    body, media_type = metrics.exposition()
    return Response(body, headers={"Content-Type": media_type})


async def _body(request: Request) -> bytes:
    """Return a message's body; raises TooLargeError."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES:
            raise TooLargeError(f"the body is over the limit of {BODY_BYTES} bytes")
    return bytes(body)


async def _not_found(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 404:
        return await _refuse(request, NotFoundError(f"{request.url.path} is not here; there are /healthz and /metrics"))
    return Response(status_code=error.status_code if isinstance(error, HTTPException) else 500)


async def _refuse(_: Request, error: Exception) -> Response:
    said = answer(error)
    headers = {"WWW-Authenticate": "Bearer"} if said.status == 401 else {}
    return Response(said.body, said.status, headers, "application/json")

"""How answers leave: JSON, refusals in one form, and a refusal of a body that is still on its way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from torpor.errors import MediaTypeError, MethodError, NotFoundError, TooLargeError
from torpor.web.status import answer

JSON = "application/json"
LINGER_S = 2.0
LINGER_BYTES = 4 * 1024 * 1024
"""As in the activator's own answers."""


def json(document: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type=JSON)


def refusal(error: Exception, headers: Mapping[str, str] | None = None) -> Response:
    """Return what a client is told of an error; `headers` say what it may do instead."""
    kind = Refusal if isinstance(error, TooLargeError) else Response
    told = answer(error)
    again = {} if told.retry_after_s is None else {"Retry-After": str(told.retry_after_s)}
    instead = {"Accept-Encoding": "gzip, deflate, identity"} if isinstance(error, MediaTypeError) else {}
    return kind(told.body, told.status, {**(headers or {}), **again, **instead}, JSON)


def http_refusal(request: Request, error: HTTPException) -> Response:
    """Return what a client is told of a path or method that is none; the router raises HTTPException for these."""
    if error.status_code == 404:
        return refusal(NotFoundError(f"nothing is served at {request.url.path}"))
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        text = f"{request.method} is not allowed at {request.url.path}; use {allowed}"
        return refusal(MethodError(text), {"Allow": allowed})
    return refusal(error)


class Refusal(Response):
    """An answer before the end of the request, after which the connection is closed.

    A connection that is closed while data arrives is reset, and the client may never see the answer; so what it still
    sends is read and dropped for a moment.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        self.headers["Connection"] = "close"
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await _drop(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drop(receive: Receive) -> None:
    dropped = 0
    while dropped < LINGER_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        dropped += len(message.get("body", b""))

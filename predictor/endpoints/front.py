"""The way in: inference goes straight to its endpoint, all else through the router.

To find a route among thirty, and to pass three layers of middleware, costs as much as a small model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

_V1, _PREDICT = "/v1/models/", ":predict"
_V2, _INFER, _VERSIONS = "/v2/models/", "/infer", "/versions/"

Endpoint = Callable[[Request], Awaitable[Any]]
"""Gives a response; raises nothing that a client could cause."""


class Front:
    """An ASGI application."""

    def __init__(self, predict: Endpoint, infer: Endpoint, others: ASGIApp) -> None:
        self._predict = predict
        self._infer = infer
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = None
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._found(scope, scope["path"])
        if endpoint is None:
            await self._others(scope, receive, send)
            return
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)

    def _found(self, scope: Scope, path: str) -> Endpoint | None:
        """Return the endpoint, and leave in the scope what the path says, as the router would."""
        if path.startswith(_V2) and path.endswith(_INFER):
            name, has_version, version = path[len(_V2) : -len(_INFER)].partition(_VERSIONS)
            if not _is_name(name) or "/" in version or (has_version and not version):
                return None
            scope["path_params"] = {"model": name, "version": version} if has_version else {"model": name}
            return self._infer
        if path.startswith(_V1) and path.endswith(_PREDICT):
            name = path[len(_V1) : -len(_PREDICT)]
            if not _is_name(name):
                return None
            scope["path_params"] = {"model": name}
            return self._predict
        return None


def _is_name(name: str) -> bool:
    return bool(name) and "/" not in name and ":" not in name

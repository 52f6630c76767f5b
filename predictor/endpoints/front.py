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
        target = target_of(path)
        if target is None:
            return None
        protocol, model, version = target
        scope["path_params"] = {"model": model} if version is None else {"model": model, "version": version}
        return self._infer if protocol == "v2" else self._predict


def target_of(path: str) -> tuple[str, str, str | None] | None:
    """Return (protocol, model, version) of the path of an inference by V1 or V2; None for all others."""
    if path.startswith(_V2) and path.endswith(_INFER):
        name, has_version, version = path[len(_V2) : -len(_INFER)].partition(_VERSIONS)
        if not _is_name(name) or "/" in version or (has_version and not version):
            return None
        return "v2", name, version if has_version else None
    if path.startswith(_V1) and path.endswith(_PREDICT):
        name = path[len(_V1) : -len(_PREDICT)]
        return ("v1", name, None) if _is_name(name) else None
    return None


def _is_name(name: str) -> bool:
    return bool(name) and "/" not in name and ":" not in name

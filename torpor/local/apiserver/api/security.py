"""Who may come in. A page in a browser on this machine may not: it sends an Origin, or a Host that is not ours."""

from __future__ import annotations

import hmac
import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from torpor.local.apiserver.api.answers import refusal
from torpor.local.apiserver.status import ApiError, forbidden, unauthorized

PROBES = frozenset({"/livez", "/readyz", "/healthz"})


class Guard:
    """Refuse foreign hosts and origins, then whoever does not have the token."""

    def __init__(self, app: ASGIApp, token: str, bind_host: str) -> None:
        self._app = app
        self._token = token.encode()
        self._bind_host = bind_host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refused = self._refused(scope["path"], Headers(scope=scope))
            if refused is not None:
                await refusal(refused)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refused(self, path: str, headers: Headers) -> ApiError | None:
        host = headers.get("host", "")
        if not is_ours(host, self._bind_host):
            return forbidden(f"the Host {host!r} is not this server: use 127.0.0.1 or localhost")
        if "origin" in headers:
            return forbidden("requests from web pages are refused: this one has an Origin")
        if path in PROBES:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
            return unauthorized()
        return None


def is_ours(host: str, bind_host: str) -> bool:
    """Tell whether a Host header names this server: a loopback name or address, or the one it is bound to.

    Bound to every address, any address is ours; a name is not, because anybody may let a name point here.
    """
    name = host.lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    if name in {"localhost", bind_host}:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or bind_host in {"0.0.0.0", "::"}

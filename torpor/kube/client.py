"""Requests to a Kubernetes API, whichever serves it: a laptop's, or a cluster's. Objects go in and come out as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import AsyncGenerator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import orjson

from torpor import __version__, errors
from torpor.kube.access import Access, access
from torpor.spec.kinds import Kind, Object

REQUEST_TIMEOUT_S = 30.0
# The server ends a watch after this long, so that a dead connection is noticed; the informer goes on from there.
WATCH_TIMEOUT_S = 300


class Patch(enum.Enum):
    """The four ways to say what should change, by content type."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class StatusError(errors.TorporError):
    """The API answered with a Status that has no type of its own in `torpor.errors`."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class GoneError(errors.TorporError):
    """The resourceVersion asked for is no longer known (410): list again."""

    retryable = True


class Cluster:
    """A connection to one API server. Use it as an async context manager."""

    def __init__(self, access: Access, name: str = "torpor") -> None:
        self._access = access
        self._name = name

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, *, name: str = "torpor") -> Cluster:
        """Read credentials from `kubeconfig`, or from the pod's service account where there is none.

        `name` is what we go by there: in `managedFields` it says who wrote what.
        """
        return cls(await access(kubeconfig), name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._access.close()

    # --- objects -------------------------------------------------------------------------------------------

    async def get(self, kind: Kind, name: str, namespace: str | None = None, sub: str | None = None) -> Object:
        return await self.request("GET", kind.path(namespace, name, sub))

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        """Return (objects, resourceVersion of the list)."""
        query = _present(labelSelector=labels, fieldSelector=fields)
        body = await self.request("GET", kind.path(namespace), query=query)
        items = body.get("items") or []
        for item in items:  # a list leaves these out of its items
            item.setdefault("apiVersion", kind.api_version)
            item.setdefault("kind", kind.kind)
        return items, body["metadata"]["resourceVersion"]

    async def create(self, kind: Kind, obj: Object) -> Object:
        return await self.request("POST", kind.path(obj["metadata"].get("namespace")), body=obj)

    async def replace(self, kind: Kind, obj: Object, sub: str | None = None) -> Object:
        """PUT; raises ConflictError if metadata.resourceVersion is not the newest."""
        metadata = obj["metadata"]
        return await self.request("PUT", kind.path(metadata.get("namespace"), metadata["name"], sub), body=obj)

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        body: Any,
        *,
        how: Patch = Patch.MERGE,
        sub: str | None = None,
        manager: str = "",
        force: bool = False,
    ) -> Object:
        query = {"fieldManager": manager or self._name}
        if how is Patch.APPLY and force:
            query["force"] = "true"
        return await self.request("PATCH", kind.path(namespace, name, sub), query=query, body=body, type_=how.value)

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        grace_s: int | None = None,
        uid: str | None = None,
    ) -> Object:
        """Delete; with `uid`, only that incarnation of the name (ConflictError otherwise)."""
        options: Object = {"propagationPolicy": "Background"}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        return await self.request("DELETE", kind.path(namespace, name), body=options)

    async def watch(
        self,
        kind: Kind,
        resource_version: str,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
    ) -> AsyncGenerator[tuple[str, Object]]:
        """Yield (type, object) from `resource_version` on, until the server ends the watch.

        Types: ADDED, MODIFIED, DELETED, BOOKMARK. Raises GoneError if the version is too old.
        """
        query = _present(labelSelector=labels, fieldSelector=fields) | {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_TIMEOUT_S),
        }
        # Bookmarks come every minute; a connection that is silent for longer than a whole watch is dead.
        lines = self.stream(kind.path(namespace), query, silence_s=WATCH_TIMEOUT_S + REQUEST_TIMEOUT_S)
        async with contextlib.aclosing(lines):
            async for line in lines:
                try:
                    event = orjson.loads(line)
                except orjson.JSONDecodeError as error:  # the server died in the middle of a line
                    raise errors.UnavailableError(f"the watch of {kind.plural} broke off: {error}") from error
                if event["type"] == "ERROR":
                    raise _error(event["object"].get("code", 500), event["object"])
                yield event["type"], event["object"]

    # --- the wire ------------------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        type_: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        """Send one request and return its JSON; raises a TorporError that fits the status."""
        response = await self._send(method, path, query, body, type_, accept, REQUEST_TIMEOUT_S)
        try:
            async with response, asyncio.timeout(REQUEST_TIMEOUT_S):
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise errors.UnavailableError(f"the Kubernetes API broke off {method} {path}: {error}") from error
        document: Object = _json(raw)
        if response.status >= 400:
            raise _error(response.status, document)
        return document

    async def stream(
        self,
        path: str,
        query: dict[str, str] | None = None,
        *,
        silence_s: float | None = None,
        accept: str = "*/*",
    ) -> AsyncGenerator[bytes]:
        """Yield the lines of an answer that goes on: a watch, a followed log, server-sent events.

        Close it (`contextlib.aclosing`) when leaving early: it holds a connection. After `silence_s` without a
        byte it raises UnavailableError.
        """
        response = await self._send("GET", path, query, None, "application/json", accept, silence_s)
        try:
            if response.status >= 400:
                raise _error(response.status, _json(await response.read()))
            # Own splitting: readline() refuses lines over the buffer, and an object can be a megabyte.
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line
            if rest:
                yield rest
        except (aiohttp.ClientError, TimeoutError) as error:
            raise errors.UnavailableError(f"the Kubernetes API broke off GET {path}: {error}") from error
        finally:
            response.close()

    async def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None,
        body: Any,
        type_: str,
        accept: str,
        timeout_s: float | None,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": accept, "Content-Type": type_, "User-Agent": f"{self._name}/{__version__}"}
        await self._access.authorize(headers)
        url = self._access.server + path + ("?" + urlencode(query) if query else "")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=timeout_s)
        data = None if body is None else orjson.dumps(body)
        try:
            return await self._access.session().request(method, url, data=data, headers=headers, timeout=timeout)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.UnavailableError(f"no answer from the Kubernetes API at {url}: {error}") from error


def _present(**query: str) -> dict[str, str]:
    return {key: value for key, value in query.items() if value}


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {"message": raw.decode(errors="replace")}


def _error(code: int, status: Object) -> errors.TorporError:
    message = str(status.get("message") or status.get("reason") or f"HTTP {code}")
    match code:
        case 401:
            return errors.UnauthorizedError(message)
        case 403:
            return errors.ForbiddenError(message)
        case 404:
            return errors.NotFoundError(message)
        case 409:
            return errors.ConflictError(message)
        case 410:
            return GoneError(message)
        case 429 | 500 | 503 | 504:
            return errors.UnavailableError(message)
        case _:
            return StatusError(code, message)

"""`pods/log` and `pods/proxy`: what a pod wrote, and what it answers."""

from __future__ import annotations

import asyncio
import datetime
import importlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from torpor.local.apiserver.api.answers import Streamed
from torpor.local.apiserver.api.request import Target, flag, number
from torpor.local.apiserver.kinds.reading import parse_time
from torpor.local.apiserver.podlogs import LogOptions, LogReader
from torpor.local.apiserver.registry.registry import Registry
from torpor.local.apiserver.status import bad_request, not_allowed, unavailable
from torpor.spec.kinds import POD, Object
from torpor.spec.names import POD_PORT

if TYPE_CHECKING:
    import aiohttp

CONNECT_S = 5.0
CHUNK = 64 * 1024
# Between us and the next hop only, or the credentials for us: not for the pod, and not from it.
_NOT_PASSED = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class Pods:
    """The two subresources that are not objects."""

    def __init__(self, registry: Registry, logs: LogReader) -> None:
        self._registry = registry
        self._logs = logs

    async def log(self, request: Request, target: Target) -> Response:
        if request.method not in {"GET", "HEAD"}:
            raise not_allowed()
        pod = self._registry.get(target.resource, target.namespace or "", target.name).object()
        query = request.query_params
        options = LogOptions(
            container=_container(pod, query.get("container", "")),
            follow=flag(query, "follow"),
            previous=flag(query, "previous"),
            tail_lines=number(query, "tailLines"),
            limit_bytes=number(query, "limitBytes"),
            since=_since(number(query, "sinceSeconds"), query.get("sinceTime", "")),
            timestamps=flag(query, "timestamps"),
        )
        return Streamed(self._logs.read(pod, options), "text/plain; charset=utf-8")

    async def proxy(self, request: Request, target: Target) -> Response:
        """Pass a GET on to the pod and its answer back as it comes."""
        if request.method not in {"GET", "HEAD"}:
            raise not_allowed()
        name, _, port = target.name.rpartition(":") if ":" in target.name else (target.name, "", "")
        pod = self._registry.get(target.resource, target.namespace or "", name).object()
        url = f"http://{_address(pod, port)}{target.rest or '/'}"
        if request.url.query:
            url += f"?{request.url.query}"
        # A tenth of a second, which everybody who waits for our start would pay: so it is the first proxied request.
        await asyncio.to_thread(importlib.import_module, "aiohttp")
        import aiohttp  # noqa: PLC0415

        headers = [(key, value) for key, value in request.headers.items() if key.lower() not in _NOT_PASSED]
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        try:
            upstream = await session.request(request.method, url, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            await session.close()
            raise unavailable(f"error trying to reach pod {name!r}: {error}") from error
        except BaseException:
            await session.close()
            raise
        kept = {key: value for key, value in upstream.headers.items() if key.lower() not in _NOT_PASSED}
        media_type = kept.pop("Content-Type", "application/octet-stream")
        return Streamed(_relay(session, upstream), media_type, upstream.status, kept)


async def _relay(session: aiohttp.ClientSession, upstream: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    async with session, upstream:
        async for part in upstream.content.iter_any():
            yield part


def _address(pod: Object, port: str) -> str:
    """Return host:port of a pod's process; the port may be named, or be one of the container's."""
    host = (pod.get("status") or {}).get("podIP")
    if not host:
        raise unavailable(f"pod {pod['metadata']['name']!r} has no address yet")
    real = (pod["metadata"].get("annotations") or {}).get(POD_PORT)
    ports = [each for container in pod["spec"]["containers"] for each in container.get("ports") or ()]
    declared = {str(value) for each in ports for value in (each.get("containerPort"), each.get("name")) if value}
    if real and (not port or port in declared or port == "8080"):
        # Every pod shares one address here: the process listens where it was told to, whatever the manifest says.
        port = real
    elif not port and ports:
        port = str(ports[0]["containerPort"])
    if not port.isdecimal():
        raise bad_request(f"no such port in pod {pod['metadata']['name']!r}: {port!r}")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _container(pod: Object, name: str) -> str:
    """Return the container whose log is asked for; raises a 400 where that is not clear."""
    names = [each["name"] for each in pod["spec"]["containers"]]
    names += [each["name"] for each in pod["spec"].get("initContainers") or ()]
    pod_name = pod["metadata"]["name"]
    if name:
        if name not in names:
            raise bad_request(f"container {name} is not valid for pod {pod_name}")
        return name
    if len(pod["spec"]["containers"]) > 1:
        default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
        if default in names:
            return str(default)
        listed = " ".join(names)
        raise bad_request(f"a container name must be specified for pod {pod_name}, choose one of: [{listed}]")
    return str(names[0])


def _since(seconds: int | None, time: str) -> datetime.datetime | None:
    if seconds is not None:
        return datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=min(seconds, 10**9))
    if not time:
        return None
    try:
        return parse_time(time)
    except ValueError as error:
        raise bad_request(f"sinceTime: {time!r} is no time like 2006-01-02T15:04:05Z") from error


def is_pod_stream(target: Target) -> bool:
    return target.resource.kind == POD and target.sub in {"log", "proxy"}

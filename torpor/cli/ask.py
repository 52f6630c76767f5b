"""Send one request to a service; if no pod is ready, watch and show how it wakes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from torpor import errors
from torpor.aio.clock import SystemClock
from torpor.cli.connection import Where
from torpor.cli.request import Call
from torpor.cli.services import Service
from torpor.cli.timeline import Stage, parse_cold_start
from torpor.cli.view import show_wake
from torpor.cli.wake import Wake, is_ready, watch_wake
from torpor.kube import Cluster
from torpor.spec.kinds import POD


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and how long it took."""

    status: int
    body: bytes
    seconds: float
    cold_start: dict[str, float]
    stages: tuple[Stage, ...]


async def ask(cluster: Cluster, service: Service, where: Where, call: Call, timeout_s: float) -> Answer:
    """Send the request; if no pod is ready, show the wait."""
    url = service.url()
    pods, _ = await cluster.list(POD, service.namespace, labels=service.selector)
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)))
        watched = not any(is_ready(pod) for pod in pods)
        if watched:
            wake = await stack.enter_async_context(_shown(cluster, service, clock))
        else:
            wake = Wake(clock, lambda: None)
        try:
            async with asyncio.timeout(timeout_s), send(session, url, where, call) as response:
                body = await response.read()
        except TimeoutError as error:
            raise errors.DeadlineError(f"no answer from {url} within {timeout_s:g} s") from error
        except aiohttp.ClientError as error:
            raise errors.UnavailableError(f"{url} could not be asked: {error}") from error
        wake.answered()
        if watched and response.status < 400:
            await wake.settled()
    cold = parse_cold_start(response.headers.get("Torpor-Cold-Start", ""))
    return Answer(response.status, body, wake.now_s, cold, wake.stages() if watched else ())


@contextlib.asynccontextmanager
async def _shown(cluster: Cluster, service: Service, clock: SystemClock) -> AsyncIterator[Wake]:
    """Give a wake that is watched and shown from now on."""
    with show_wake(service.name, clock) as wake:
        async with watch_wake(cluster, service, wake):
            wake.sent_at = clock.wall()  # not before the watch is ready: it would count as waiting
            yield wake


def send(
    session: aiohttp.ClientSession, url: str, where: Where, call: Call
) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """A laptop's services are where its API is: their names are for the Host header, not for a name server."""
    parts = urlsplit(url)
    headers = {"Content-Type": "application/json"}
    if call.credential:
        headers["Authorization"] = f"Bearer {call.credential}"
    target, name = url.rstrip("/") + call.path, None
    if where.is_laptop:
        headers["Host"] = parts.netloc
        port = parts.port or (443 if parts.scheme == "https" else 80)
        target = f"{parts.scheme}://{_host(where)}:{port}{call.path}"
        name = parts.hostname  # which a certificate is for; whom to trust, SSL_CERT_FILE says
    return session.request(
        call.method, target, data=call.body, headers=headers, allow_redirects=False, server_hostname=name
    )


def _host(where: Where) -> str:
    host = urlsplit(where.server).hostname or "127.0.0.1"
    return f"[{host}]" if ":" in host else host

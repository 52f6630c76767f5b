"""`torpor predict`: one request to a model, the cold start shown while it happens, then the answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import click
import orjson

from torpor import errors
from torpor.aio.clock import SystemClock
from torpor.cli.connection import Where, connected, connection_options
from torpor.cli.options import DURATION
from torpor.cli.request import Call, build_call, read_data
from torpor.cli.services import Service, find_service
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


@click.command()
@click.argument("name", metavar="NAME")
@click.option("-d", "--data", help="The JSON to send: itself, @FILE, or - for standard input.")
@click.option("--text", "texts", multiple=True, help="A text to send; may be given several times.")
@click.option("--protocol", type=click.Choice(["v1", "v2"]), default="v1", show_default=True)
@click.option("--path", help="Default: the protocol's path for the model; / for a Knative Service.")
@click.option("--timeout", type=DURATION, default="5m", show_default=True, help="How long to wait for the answer.")
@click.option("--json", "as_json", is_flag=True, help="Print status, times and answer as one line of JSON.")
@connection_options
def predict(
    name: str,
    data: str | None,
    texts: tuple[str, ...],
    protocol: str,
    path: str | None,
    timeout: float,
    as_json: bool,  # noqa: FBT001
    where: Where,
) -> int:
    """Send a request to a model and show how it wakes. NAME is an InferenceService or a Knative Service.

    \b
    Examples:
      torpor predict minilm --text "a cat" --text "a kitten"
      torpor predict iris -d '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
      torpor predict iris --protocol v2 -d @request.json
      torpor predict hello --path /
    """  # noqa: D301
    if data is not None and texts:
        raise click.UsageError("give -d or --text, not both")
    body = None if data is None else read_data(data)
    return asyncio.run(_predict(name, where, body, texts, protocol, path, timeout_s=timeout, as_json=as_json))


async def _predict(
    name: str,
    where: Where,
    body: bytes | None,
    texts: tuple[str, ...],
    protocol: str,
    path: str | None,
    *,
    timeout_s: float,
    as_json: bool,
) -> int:
    async with connected(where) as cluster:
        service = await find_service(cluster, name, where.namespace)
        call = build_call(service.name, body, texts, protocol, path, is_model=service.is_model)
        answer = await _ask(cluster, service, where, call, timeout_s)
    _print(answer, as_json=as_json)
    return 0 if answer.status < 400 else 1


async def _ask(cluster: Cluster, service: Service, where: Where, call: Call, timeout_s: float) -> Answer:
    """Send the request; if no pod is ready, show the wait."""
    url = service.url()
    pods, _ = await cluster.list(POD, service.namespace, labels=service.selector)
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        watched = not any(is_ready(pod) for pod in pods)
        if watched:
            wake = await stack.enter_async_context(_shown(cluster, service, clock))
        else:
            wake = Wake(clock, lambda: None)
        try:
            async with asyncio.timeout(timeout_s), _send(session, url, where, call) as response:
                body = await response.read()
        except TimeoutError as error:
            raise errors.DeadlineError(f"no answer from {url} within {timeout_s:g} s") from error
        except aiohttp.ClientError as error:
            raise errors.UnavailableError(f"{url} could not be asked: {error}") from error
        wake.answered()
    cold = parse_cold_start(response.headers.get("Torpor-Cold-Start", ""))
    return Answer(response.status, body, wake.now_s, cold, wake.stages() if watched else ())


@contextlib.asynccontextmanager
async def _shown(cluster: Cluster, service: Service, clock: SystemClock) -> AsyncIterator[Wake]:
    """Give a wake that is watched and shown from now on."""
    with show_wake(service.name, clock) as wake:
        async with watch_wake(cluster, service, wake):
            wake.sent_at = clock.wall()  # not before the watch is ready: it would count as waiting
            yield wake


def _send(
    session: aiohttp.ClientSession, url: str, where: Where, call: Call
) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """A laptop's services are where its API is: their names are for the Host header, not for a name server."""
    parts = urlsplit(url)
    headers = {"Content-Type": "application/json"}
    target = url.rstrip("/") + call.path
    if where.is_laptop:
        headers["Host"] = parts.netloc
        target = f"http://{_host(where)}:{parts.port or 80}{call.path}"
    return session.request(call.method, target, data=call.body, headers=headers, allow_redirects=False)


def _host(where: Where) -> str:
    host = urlsplit(where.server).hostname or "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _print(answer: Answer, *, as_json: bool) -> None:
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        document = answer.body.decode(errors="replace")
    if as_json:
        line = {
            "status": answer.status,
            "seconds": round(answer.seconds, 3),
            "cold_start": answer.cold_start or None,
            "stages": {stage.name: round(stage.seconds or 0.0, 3) for stage in answer.stages},
            "answer": document,
        }
        click.echo(orjson.dumps(line))
        return
    if answer.status >= 400:
        refused = document if isinstance(document, dict) else {"error": document}
        reason = f" {refused['reason']}" if refused.get("reason") else ""
        raise errors.TorporError(f"HTTP {answer.status}{reason}: {refused.get('error', document)}")
    click.echo(answer.body, nl=not answer.body.endswith(b"\n"))

"""`torpor predict`: one request to a model, the cold start shown while it happens, then the answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import click
import orjson

from torpor import errors
from torpor.cli.ask import Answer, ask
from torpor.cli.connection import Where, connected, connection_options
from torpor.cli.options import DURATION
from torpor.cli.request import build_call, read_data
from torpor.cli.services import find_service


@click.command()
@click.argument("name", metavar="NAME")
@click.option("-d", "--data", help="The JSON to send: itself, @FILE, or - for standard input.")
@click.option("--text", "texts", multiple=True, help="A text to send; may be given several times.")
@click.option("--protocol", type=click.Choice(["v1", "v2"]), default="v1", show_default=True)
@click.option("--path", help="Default: the protocol's path for the model; / for a Knative Service.")
@click.option("--timeout", type=DURATION, default="5m", show_default=True, help="How long to wait for the answer.")
@click.option("--json", "as_json", is_flag=True, help="Print status, times and answer as one line of JSON.")
@click.option(
    "--key",
    envvar="TORPOR_KEY",
    default="",
    help="An API key or a token for the service. Default: $TORPOR_KEY, which nobody sees in a list of processes.",
)
@connection_options
def predict(
    name: str,
    data: str | None,
    texts: tuple[str, ...],
    protocol: str,
    path: str | None,
    timeout: float,
    as_json: bool,  # noqa: FBT001
    key: str,
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
    return asyncio.run(_predict(name, where, body, texts, protocol, path, key, timeout_s=timeout, as_json=as_json))


async def _predict(
    name: str,
    where: Where,
    body: bytes | None,
    texts: tuple[str, ...],
    protocol: str,
    path: str | None,
    key: str,
    *,
    timeout_s: float,
    as_json: bool,
) -> int:
    async with connected(where) as cluster:
        service = await find_service(cluster, name, where.namespace)
        call = build_call(service.name, body, texts, protocol, path, is_model=service.is_model)
        answer = await ask(cluster, service, where, replace(call, credential=key), timeout_s)
    _print(answer, as_json=as_json)
    return 0 if answer.status < 400 else 1


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

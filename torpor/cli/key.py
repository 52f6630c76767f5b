"""`torpor key`: API keys in a Secret. A key is shown once; what is kept is by what it is recognised."""

from __future__ import annotations

import asyncio
import base64
import secrets
import string
from typing import Any

import click

from torpor import errors
from torpor.aio.clock import SystemClock
from torpor.cli.connection import Where, connected, connection_options
from torpor.cli.options import DURATION
from torpor.cli.table import Printer
from torpor.kube import Cluster
from torpor.spec import apikeys, names
from torpor.spec.access import spelled
from torpor.spec.apikeys import KeyEntry
from torpor.spec.kinds import SECRET, Object
from torpor.spec.timestamps import timestamp

ID_CHARACTERS = 8
_ALPHABET = string.ascii_lowercase + string.digits
_COLUMNS = ("Name", "Id", "Rate", "Concurrency", "Priority", "Services", "Expires")


def secret_option(command: Any) -> Any:
    return click.option("--secret", required=True, help="The Secret that a policy names: keys=SECRET.")(command)


@click.group()
def key() -> None:
    """Make, list and revoke API keys for services with `torpor.dev/access: keys=SECRET`.

    \b
    Examples:
      torpor key create alice --secret app-keys --rate 10/s --expires-in 720h
      torpor key list --secret app-keys
      torpor key revoke alice --secret app-keys
    """  # noqa: D301


@key.command()
@click.argument("name", metavar="NAME")
@secret_option
@click.option("--rate", help="Requests per second, minute or hour: 10/s, 600/m.")
@click.option("--burst", type=click.IntRange(1), help="Of these, how many may come at once.")
@click.option("--concurrency", type=click.IntRange(1), help="Requests in flight at once.")
@click.option("--priority", type=click.Choice(["interactive", "batch"]), help="The highest that its requests may have.")
@click.option(
    "--service", "services", multiple=True, help="Which it may call; may be given several times. Default: all."
)
@click.option("--expires-in", type=DURATION, help="How long it is good: 720h.")
@connection_options
def create(
    name: str,
    secret: str,
    rate: str | None,
    burst: int | None,
    concurrency: int | None,
    priority: str | None,
    services: tuple[str, ...],
    expires_in: float | None,
    where: Where,
) -> int:
    """Make a key and print it, once: it cannot be shown again.

    On standard output is the key alone, so that `KEY=$(torpor key create …)` keeps it.

    \b
    Example:
      torpor key create alice --secret app-keys --rate 10/s --service app
      curl -H "Authorization: Bearer tk_…" http://app.default.localhost:8080/
    """  # noqa: D301
    if not apikeys.is_label(name):
        raise errors.InvalidInputError("NAME", name, "use at most 63 letters, digits, '-', '_', '.' and '@'")
    id_ = "".join(secrets.choice(_ALPHABET) for _ in range(ID_CHARACTERS))
    text = apikeys.make_key(id_, secrets.token_bytes(apikeys.KEY_BYTES))
    entry = apikeys.write_key_entry(
        apikeys.digest_of(text.encode()),
        name=name,
        rate=rate,
        burst=None if burst is None else str(burst),
        concurrency=None if concurrency is None else str(concurrency),
        priority=priority,
        services=",".join(services),
        expires=None if expires_in is None else timestamp(SystemClock().wall() + expires_in),
    )
    try:
        apikeys.parse_key_entry("key", entry)
    except errors.InvalidInputError as error:
        raise click.UsageError(error.allowed) from error
    asyncio.run(_create(where, secret, name, id_, entry))
    click.echo(f"key {name} ({id_}) made in Secret {where.namespace}/{secret}; it is not shown again:", err=True)
    click.echo(text)
    return 0


@key.command("list")
@secret_option
@connection_options
def list_(secret: str, where: Where) -> int:
    """Show who has keys, and what they may. The keys themselves are nowhere.

    \b
    Example:
      torpor key list --secret app-keys
    """  # noqa: D301
    entries, unreadable = asyncio.run(_entries(where, secret))
    printer = Printer(everywhere=False, wide=False)
    columns = [{"name": name} for name in _COLUMNS]
    rows = [{"cells": _cells(id_, entry)} for id_, entry in sorted(entries.items(), key=lambda pair: pair[1].name)]
    printer.add({"columnDefinitions": columns, "rows": rows})
    printer.flush()
    for problem in unreadable:
        click.echo(f"{click.style('warning:', fg='yellow', bold=True)} nobody has this key: {problem}", err=True)
    if not entries:
        click.echo(f"Secret {where.namespace}/{secret} has no keys: nobody has one.", err=True)
    return 0


@key.command()
@click.argument("who", metavar="NAME|ID")
@secret_option
@connection_options
def revoke(who: str, secret: str, where: Where) -> int:
    """Take a key away: from this moment nobody passes with it.

    \b
    Example:
      torpor key revoke alice --secret app-keys
    """  # noqa: D301
    for id_, name in asyncio.run(_revoke(where, secret, who)):
        click.echo(f"key {name} ({id_}) revoked" if name else f"key {id_} revoked")
    return 0


async def _create(where: Where, secret: str, name: str, id_: str, entry: str) -> None:
    labels = {names.ACCESS: apikeys.LABEL}
    data = {id_: base64.b64encode(entry.encode()).decode()}
    async with connected(where) as cluster:
        there = await _find(cluster, where, secret)
        if there is None:
            metadata = {"name": secret, "namespace": where.namespace, "labels": labels}
            made = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
            await cluster.create(SECRET, made)
            return
        known, _ = _read(there)
        if any(each.name == name for each in known.values()):
            raise errors.ConflictError(f"Secret {secret} has a key {name} already; revoke it, or choose another name")
        if not _is_ours(there):
            raise errors.ConflictError(f"Secret {secret} is for something else: it has no label {names.ACCESS}: keys")
        await cluster.patch(SECRET, secret, where.namespace, {"data": data})


async def _entries(where: Where, secret: str) -> tuple[dict[str, KeyEntry], list[str]]:
    async with connected(where) as cluster:
        return _read(await _need(cluster, where, secret))


async def _revoke(where: Where, secret: str, who: str) -> list[tuple[str, str]]:
    async with connected(where) as cluster:
        there = await _need(cluster, where, secret)
        known, _ = _read(there)
        found = [(id_, entry.name) for id_, entry in known.items() if who in {id_, entry.name}]
        if not found and who in (there.get("data") or {}):  # what cannot be read can be taken out
            found = [(who, "")]
        if not found:
            raise errors.NotFoundError(
                f"Secret {where.namespace}/{secret} has no key {who}; `torpor key list` shows them"
            )
        await cluster.patch(SECRET, secret, where.namespace, {"data": {id_: None for id_, _ in found}})
        return found


async def _find(cluster: Cluster, where: Where, secret: str) -> Object | None:
    try:
        return await cluster.get(SECRET, secret, where.namespace)
    except errors.NotFoundError:
        return None


async def _need(cluster: Cluster, where: Where, secret: str) -> Object:
    there = await _find(cluster, where, secret)
    if there is None or not _is_ours(there):
        what = f"there is no Secret {where.namespace}/{secret} with label {names.ACCESS}: keys"
        raise errors.NotFoundError(f"{what}; `torpor key create NAME --secret {secret}` makes it")
    return there


def _is_ours(secret: Object) -> bool:
    return bool((secret["metadata"].get("labels") or {}).get(names.ACCESS) == apikeys.LABEL)


def _read(secret: Object) -> tuple[dict[str, KeyEntry], list[str]]:
    """Return the entries that can be read, by id, and what is wrong with the others."""
    known: dict[str, KeyEntry] = {}
    problems: list[str] = []
    for id_, raw in (secret.get("data") or {}).items():
        try:
            known[id_] = apikeys.read_entry(id_, raw)
        except errors.InvalidInputError as error:
            problems.append(str(error))
    return known, problems


def _cells(id_: str, entry: KeyEntry) -> list[str]:
    terms = entry.terms
    quota = terms.quota
    return [
        entry.name,
        id_,
        "" if quota.rate is None else spelled(quota.rate),
        "" if quota.concurrency is None else str(quota.concurrency),
        "batch" if terms.batch else "interactive",
        ",".join(sorted(terms.services)) or "all",
        "never" if entry.expires_s is None else timestamp(entry.expires_s),
    ]

"""`torpor get`: the server's own table, so that every kind shows the columns its users know."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import click
import orjson
import yaml

from torpor import errors
from torpor.cli.connection import Where, connected, connection_options
from torpor.cli.discovery import label, pick, resources
from torpor.cli.table import Printer
from torpor.kube import Cluster
from torpor.spec.kinds import Kind, Object

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
FORMATS = ("table", "wide", "yaml", "json", "name")


@click.command()
@click.argument("what", metavar="KIND[,KIND…] | KIND/NAME")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("-A", "--all-namespaces", is_flag=True, help="Of every namespace.")
@click.option("-l", "--selector", default="", help="Only objects with these labels, as in kubectl.")
@click.option("-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("-w", "--watch", is_flag=True, help="Go on showing what changes.")
@connection_options
def get(
    what: str,
    names: tuple[str, ...],
    all_namespaces: bool,  # noqa: FBT001
    selector: str,
    output: str,
    watch: bool,  # noqa: FBT001
    where: Where,
) -> int:
    """Show objects.

    \b
    Examples:
      torpor get isvc
      torpor get ksvc,revisions,pods -A
      torpor get isvc minilm -o yaml
      torpor get pods -w
    """  # noqa: D301
    if "/" in what:
        what, _, name = what.partition("/")
        names = (name, *names)
    if names and (all_namespaces or selector):
        raise click.UsageError("give names, or -A and -l, not both")
    if watch and ("," in what or len(names) > 1 or output not in {"table", "wide"}):
        raise click.UsageError("-w shows one kind, as a table")
    return asyncio.run(_get(what.split(","), names, where, output, selector, everywhere=all_namespaces, watch=watch))


async def _get(
    words: list[str],
    names: tuple[str, ...],
    where: Where,
    output: str,
    selector: str,
    *,
    everywhere: bool,
    watch: bool,
) -> int:
    async with connected(where) as cluster:
        known = await resources(cluster)
        kinds = [pick(known, word) for word in words]
        namespace = None if everywhere else where.namespace
        query = {"labelSelector": selector} if selector else {}
        if output not in {"table", "wide"}:
            objects = [obj for kind in kinds for obj in await _objects(cluster, kind, namespace, names, query)]
            _print_objects(objects, output, single=len(names) == 1)
            return 0
        empty = True
        for kind in kinds:
            printer = Printer(everywhere=everywhere and kind.namespaced, wide=output == "wide")
            if not empty:
                click.echo()  # between one kind and the next, as kubectl
            empty = await _print_tables(cluster, kind, namespace, names, query, printer, many=len(kinds) > 1) and empty
            if watch:
                await _watch(cluster, kind, namespace, names, query, printer)
        if empty:
            place = "any namespace" if everywhere else f"namespace {where.namespace!r}"
            click.echo(f"There are none in {place}.", err=True)
    return 0


async def _print_tables(
    cluster: Cluster,
    kind: Kind,
    namespace: str | None,
    names: tuple[str, ...],
    query: dict[str, str],
    printer: Printer,
    *,
    many: bool,
) -> bool:
    """Print one kind; returns whether there was nothing to print."""
    paths = [kind.path(namespace, name) for name in names] or [kind.path(namespace)]
    tables = [await cluster.request("GET", path, query=query, accept=TABLE) for path in paths]
    if not any(table.get("rows") for table in tables):
        printer.remember(tables[0])
        return True
    for table in tables:
        printer.add(table, prefix=label(kind, "") if many else "")
    printer.flush()
    return False


async def _watch(
    cluster: Cluster, kind: Kind, namespace: str | None, names: tuple[str, ...], query: dict[str, str], printer: Printer
) -> None:
    """Print a row for every change, until Ctrl-C."""
    query = query | ({"fieldSelector": f"metadata.name={names[0]}"} if names else {})
    while True:  # a server ends a watch now and then
        query |= {"watch": "true", "resourceVersion": printer.version}
        lines: AsyncGenerator[bytes] = cluster.stream(kind.path(namespace), query, accept=TABLE)
        async with contextlib.aclosing(lines):
            async for line in lines:
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise errors.UnavailableError(event["object"].get("message") or "the watch failed")
                printer.add(event["object"])
                printer.flush()


async def _objects(
    cluster: Cluster, kind: Kind, namespace: str | None, names: tuple[str, ...], query: dict[str, str]
) -> list[Object]:
    if names:
        return [await cluster.get(kind, name, namespace) for name in names]
    objects, _ = await cluster.list(kind, namespace, labels=query.get("labelSelector", ""))
    return objects


def _print_objects(objects: list[Object], output: str, *, single: bool) -> None:
    if output == "name":
        for obj in objects:
            group = obj["apiVersion"].rpartition("/")[0]
            click.echo(label(Kind(group, "", obj["kind"], ""), obj["metadata"]["name"]))
        return
    for obj in objects:
        obj["metadata"].pop("managedFields", None)  # as kubectl: nobody wants to read them
    document: Any = objects[0] if single else {"apiVersion": "v1", "kind": "List", "items": objects}
    if output == "json":
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)

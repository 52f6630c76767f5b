"""`torpor delete`: by kind and name, or everything that files name."""

from __future__ import annotations

import asyncio

import click

from torpor import errors
from torpor.cli.connection import Where, connected, connection_options
from torpor.cli.discovery import kind_of, label, pick, resources
from torpor.cli.documents import Document, read
from torpor.cli.options import DURATION
from torpor.cli.waiting import Target, wait_gone
from torpor.kube import Cluster


@click.command()
@click.argument("what", nargs=-1, metavar="KIND NAME… | KIND/NAME…")
@click.option("-f", "--filename", "sources", multiple=True, help="Delete what these files name.")
@click.option("--wait", is_flag=True, help="Return when everything is gone.")
@click.option("--timeout", type=DURATION, default="5m", show_default=True, help="How long --wait waits.")
@click.option("--ignore-not-found", is_flag=True, help="What is not there counts as deleted.")
@connection_options
def delete(
    what: tuple[str, ...],
    sources: tuple[str, ...],
    wait: bool,  # noqa: FBT001
    timeout: float,
    ignore_not_found: bool,  # noqa: FBT001
    where: Where,
) -> int:
    """Delete objects, and with them what was made for them.

    \b
    Examples:
      torpor delete isvc minilm --wait
      torpor delete -f manifests/examples/minilm.yaml
    """  # noqa: D301
    if bool(what) == bool(sources):
        raise click.UsageError("give KIND NAME, KIND/NAME, or -f FILE")
    names = words(what)
    documents = [document for source in sources for document in read(source)]
    return asyncio.run(
        _delete(names, documents, where, wait_s=timeout if wait else None, ignore_missing=ignore_not_found)
    )


def words(what: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (kind word, name) pairs from `KIND NAME…` or `KIND/NAME…`."""
    if what and "/" not in what[0]:
        if len(what) == 1:
            raise click.UsageError(f"which {what[0]}? Give its name")
        return [(what[0], name) for name in what[1:]]
    pairs = [tuple(word.split("/", 1)) for word in what]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise click.UsageError("give KIND NAME… or KIND/NAME…, not a mixture")
    return [(pair[0], pair[1]) for pair in pairs]


async def _delete(
    names: list[tuple[str, str]],
    documents: list[Document],
    where: Where,
    *,
    wait_s: float | None,
    ignore_missing: bool,
) -> int:
    missing = 0
    async with connected(where) as cluster:
        targets = await _targets(cluster, names, documents, where.namespace)
        for kind, namespace, name in targets:
            try:
                await cluster.delete(kind, name, namespace)
            except errors.NotFoundError as error:
                if not ignore_missing:
                    missing += 1
                    click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
            else:
                click.echo(f"{label(kind, name)} deleted")
        if wait_s is not None:
            await wait_gone(cluster, targets, wait_s)
    return 1 if missing else 0


async def _targets(
    cluster: Cluster, names: list[tuple[str, str]], documents: list[Document], namespace: str
) -> list[Target]:
    found: list[Target] = []
    if names:
        known = await resources(cluster)
        for word, name in names:
            kind = pick(known, word)
            found.append((kind, namespace if kind.namespaced else None, name))
    for document in reversed(documents):  # what was made first may be needed by what was made later
        kind = await kind_of(cluster, document.api_version, document.kind)
        found.append((kind, (document.namespace or namespace) if kind.namespaced else None, document.name))
    return found

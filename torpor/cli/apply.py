"""`torpor apply`: server-side apply of every object in the files given, told in kubectl's words."""

from __future__ import annotations

import asyncio
import copy

import click

from torpor import errors
from torpor.cli.connection import Where, connected, connection_options
from torpor.cli.discovery import kind_of, label
from torpor.cli.documents import Document, read
from torpor.cli.options import DURATION
from torpor.cli.waiting import wait_ready
from torpor.kube import Cluster, Patch
from torpor.spec.kinds import Kind, Object

# The server's bookkeeping: it may change without anything having been configured.
BOOKKEEPING = ("managedFields", "resourceVersion", "generation")


@click.command()
@click.option(
    "-f", "--filename", "sources", multiple=True, required=True, help="File, folder, or - for standard input."
)
@click.option("--wait", is_flag=True, help="Return when everything applied is ready.")
@click.option("--timeout", type=DURATION, default="5m", show_default=True, help="How long --wait waits.")
@click.option("--force-conflicts", is_flag=True, help="Take over fields that somebody else has set.")
@connection_options
def apply(sources: tuple[str, ...], wait: bool, timeout: float, force_conflicts: bool, where: Where) -> int:  # noqa: FBT001
    """Make the cluster match YAML files.

    \b
    Example:
      torpor apply -f manifests/examples/minilm.yaml --wait
    """  # noqa: D301
    documents = [document for source in sources for document in read(source)]
    return asyncio.run(_apply(documents, where, wait_s=timeout if wait else None, force=force_conflicts))


async def _apply(documents: list[Document], where: Where, *, wait_s: float | None, force: bool) -> int:
    """Apply all, in order; one that is refused does not keep the others from being applied."""
    refused = 0
    applied: list[tuple[Kind, str | None, str]] = []
    async with connected(where) as cluster:
        for document in documents:
            try:
                kind = await kind_of(cluster, document.api_version, document.kind)
                namespace = (document.namespace or where.namespace) if kind.namespaced else None
                word = await _apply_one(cluster, kind, namespace, document, force=force)
            except errors.UnavailableError:
                raise  # the next ones would fare no better
            except errors.TorporError as error:
                refused += 1
                click.echo(f"{click.style('error:', fg='red', bold=True)} {document.place}: {error}", err=True)
                continue
            click.echo(f"{label(kind, document.name)} {word}")
            applied.append((kind, namespace, document.name))
        if wait_s is not None and not refused:
            await wait_ready(cluster, applied, wait_s)
    return 1 if refused else 0


async def _apply_one(cluster: Cluster, kind: Kind, namespace: str | None, document: Document, *, force: bool) -> str:
    """Send one object; returns `created`, `configured` or `unchanged`."""
    try:
        before = await cluster.get(kind, document.name, namespace)
    except errors.NotFoundError:
        before = None
    query = {"fieldManager": "torpor", "fieldValidation": "Strict", "force": "true" if force else "false"}
    path = kind.path(namespace, document.name)
    after = await cluster.request("PATCH", path, query=query, body=document.object, type_=Patch.APPLY.value)
    if before is None:
        return "created"
    return "unchanged" if wishes(before) == wishes(after) else "configured"


def wishes(obj: Object) -> Object:
    """Return what people have asked for: the object without its status and the server's bookkeeping."""
    kept = copy.deepcopy({name: value for name, value in obj.items() if name != "status"})
    for name in BOOKKEEPING:
        kept["metadata"].pop(name, None)
    return kept

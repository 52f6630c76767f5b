"""`torpor logs`: of one pod, or of all pods of a service, also of those that are yet to come."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import Callable

import click

from torpor import errors
from torpor.cli.connection import Where, connected, connection_options
from torpor.cli.services import Service, find_service
from torpor.cli.waiting import observed
from torpor.kube import Cluster
from torpor.spec.kinds import POD, Object

COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "bright_red")

Write = Callable[[bytes], None]


@click.command()
@click.argument("name", metavar="NAME")
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C; of a service, also with its next pods.")
@click.option("--tail", type=click.IntRange(min=0), help="Only the last so many lines.")
@click.option("-p", "--previous", is_flag=True, help="Of the container's previous life, before it was restarted.")
@connection_options
def logs(name: str, follow: bool, tail: int | None, previous: bool, where: Where) -> int:  # noqa: FBT001
    """Show what a pod wrote. NAME is a pod, a Knative Service or an InferenceService.

    \b
    Examples:
      torpor logs minilm -f
      torpor logs minilm --tail 20
      torpor logs pod/minilm-predictor-00001-deployment-x7k2p --previous
    """  # noqa: D301
    query = {"follow": "true"} if follow else {}
    query |= {} if tail is None else {"tailLines": str(tail)}
    query |= {"previous": "true"} if previous else {}
    return asyncio.run(_logs(name, where, query))


async def _logs(name: str, where: Where, query: dict[str, str]) -> int:
    async with connected(where) as cluster:
        word, _, bare = name.rpartition("/")
        if word in {"", "po", "pod", "pods"}:
            pod = await _pod(cluster, bare, where.namespace)
            if pod is not None:
                await _copy(cluster, pod, query, _writer(""))
                return 0
            if word:
                raise errors.NotFoundError(f"there is no pod {bare!r} in namespace {where.namespace!r}")
        service = await find_service(cluster, name, where.namespace)
        if "follow" in query:
            await _follow(cluster, service, query)
        else:
            await _once(cluster, service, query)
    return 0


async def _once(cluster: Cluster, service: Service, query: dict[str, str]) -> None:
    pods, _ = await cluster.list(POD, service.namespace, labels=service.selector)
    if not pods:
        click.echo(f"{service.name} is at zero: no pod has written anything; -f waits for one", err=True)
    for pod in sorted(pods, key=lambda each: each["metadata"]["creationTimestamp"]):
        await _copy(cluster, pod, query, _writer(_prefix(pod, COLOURS[0]) if len(pods) > 1 else ""))


async def _follow(cluster: Cluster, service: Service, query: dict[str, str]) -> None:
    """Follow every pod from its first container on, until Ctrl-C."""
    colours = itertools.cycle(COLOURS)
    followed: set[str] = set()
    async with (
        observed(cluster, POD, service.namespace, labels=service.selector) as (pods, changed),
        asyncio.TaskGroup() as group,
    ):
        if not pods():
            click.echo(f"{service.name} is at zero: waiting for a pod", err=True)
        while True:
            for pod in pods():
                uid = pod["metadata"]["uid"]
                if uid not in followed and _has_started(pod):
                    followed.add(uid)
                    group.create_task(_follow_pod(cluster, pod, query, _writer(_prefix(pod, next(colours)))))
            await changed.wait()
            changed.clear()


async def _follow_pod(cluster: Cluster, pod: Object, query: dict[str, str], write: Write) -> None:
    try:
        await _copy(cluster, pod, query, write)
    except errors.TorporError as error:  # one pod that went away does not end the others
        click.echo(f"{pod['metadata']['name']}: {error}", err=True)


async def _copy(cluster: Cluster, pod: Object, query: dict[str, str], write: Write) -> None:
    path = POD.path(pod["metadata"]["namespace"], pod["metadata"]["name"], "log")
    lines = cluster.stream(path, query)
    async with contextlib.aclosing(lines):
        async for line in lines:
            write(line)


async def _pod(cluster: Cluster, name: str, namespace: str) -> Object | None:
    try:
        return await cluster.get(POD, name, namespace)
    except errors.NotFoundError:
        return None


def _writer(prefix: str) -> Write:
    """Bytes go out as they came in: a log need not be text."""

    def write(line: bytes) -> None:
        click.echo(prefix.encode() + line)

    return write


def _prefix(pod: Object, colour: str) -> str:
    mark = f"[{pod['metadata']['name'].rpartition('-')[2]}]"
    # click takes colours out for pipes only where it is given text, and this goes out as bytes.
    return (click.style(mark, fg=colour) if sys.stdout.isatty() else mark) + " "


def _has_started(pod: Object) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(status.get("restartCount") or "waiting" not in (status.get("state") or {}) for status in statuses)

"""Wait until objects are ready, or gone, and say meanwhile what they wait for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable

import click

from torpor import errors
from torpor.cli.discovery import label
from torpor.kube import Change, Cluster, Informer
from torpor.spec import conditions
from torpor.spec.conditions import Mark
from torpor.spec.kinds import CONFIGURATION, DEPLOYMENT, INFERENCE_SERVICE, KSERVICE, POD, REVISION, ROUTE, Kind, Object

# Which condition says that an object of this kind is ready. Others are ready once they exist.
READY_CONDITION = {
    (kind.group, kind.kind): "Available" if kind is DEPLOYMENT else conditions.READY
    for kind in (POD, DEPLOYMENT, KSERVICE, CONFIGURATION, REVISION, ROUTE, INFERENCE_SERVICE)
}

Target = tuple[Kind, str | None, str]
"""kind, namespace, name"""


async def wait_ready(cluster: Cluster, targets: Iterable[Target], timeout_s: float) -> None:
    """Return when all are ready; raises DeadlineError with the last thing that one of them said."""
    waited = [target for target in targets if (target[0].group, target[0].kind) in READY_CONDITION]
    last: dict[Target, Mark] = {}
    try:
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
            for target in waited:
                group.create_task(_wait_one(cluster, target, last))
    except TimeoutError as error:
        slow = next((target for target in waited if not last.get(target, conditions.UNKNOWN).is_true), waited[0])
        said = text_of(last.get(slow, conditions.UNKNOWN))
        raise errors.DeadlineError(f"{label(slow[0], slow[2])} is not ready after {timeout_s:g} s: {said}") from error


async def wait_gone(cluster: Cluster, targets: Iterable[Target], timeout_s: float) -> None:
    """Return when none of them exists any more."""
    for kind, namespace, name in targets:
        try:
            async with asyncio.timeout(timeout_s), observed(cluster, kind, namespace, name) as (items, changed):
                while items():
                    await changed.wait()
                    changed.clear()
        except TimeoutError as error:
            raise errors.DeadlineError(f"{label(kind, name)} is still there after {timeout_s:g} s") from error


@contextlib.asynccontextmanager
async def observed(
    cluster: Cluster, kind: Kind, namespace: str | None, name: str = "", labels: str = ""
) -> AsyncIterator[tuple[Callable[[], list[Object]], asyncio.Event]]:
    """Give a function that returns the objects as they are now, and an event that is set when they change."""
    changed = asyncio.Event()

    def on_change(_: Change) -> None:
        changed.set()

    fields = f"metadata.name={name}" if name else ""
    informer = Informer(cluster, kind, on_change, namespace=namespace, labels=labels, fields=fields)
    running = asyncio.create_task(informer.run())
    try:
        await informer.synced()
        yield lambda: list(informer.items.values()), changed
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def mark_of(kind: Kind, obj: Object) -> Mark:
    """Return whether an object is ready, once its controller has seen its newest generation."""
    generation = obj["metadata"].get("generation", 0)
    seen = (obj.get("status") or {}).get("observedGeneration", generation)
    mark = conditions.read(obj, READY_CONDITION[kind.group, kind.kind])
    if mark is None or seen < generation:
        return conditions.unknown("Waiting", "its controller has not looked at it yet")
    return mark


def text_of(mark: Mark) -> str:
    """Return what a condition says, in one line."""
    return ": ".join(part for part in (mark.reason, " ".join(mark.message.split())) if part) or mark.status


async def _wait_one(cluster: Cluster, target: Target, last: dict[Target, Mark]) -> None:
    kind, namespace, name = target
    async with observed(cluster, kind, namespace, name) as (items, changed):
        while True:
            mark = mark_of(kind, found[0]) if (found := items()) else conditions.unknown("Waiting", "it does not exist")
            if mark != last.get(target):
                click.echo(f"{label(kind, name)}: {'ready' if mark.is_true else text_of(mark)}", err=True)
            last[target] = mark
            if mark.is_true:
                return
            await changed.wait()
            changed.clear()

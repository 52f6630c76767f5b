"""Watches: from a version on, every change that fits, told from the store's memory.

A watch holds no queue. It reads the changes after the last one it told; one that is so slow that those are forgotten
gets a 410 and lists again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Literal

from torpor.local.apiserver.api.render import EventLines
from torpor.local.apiserver.kinds.resource import Resource
from torpor.local.apiserver.selectors import Selector
from torpor.local.apiserver.status import expired
from torpor.local.apiserver.store import Change, ExpiredError, Store, Stored

BOOKMARK_S = 60.0
SHORTEST_S = 1800.0
"""A watch without a timeout lasts this long to twice as long, as in Kubernetes."""


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What is watched, from where on, and for how long."""

    resource: Resource
    namespace: str | None
    selector: Selector
    version: int | None
    """None: begin with what there is."""
    timeout_s: float | None
    bookmarks: bool
    initial_end: bool
    """Tell when all that there is has been told."""


class Closing:
    """Whether the server is about to end, which every stream must notice."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.begun = False

    def begin(self) -> None:
        self.begun = True
        self._store.wake_watchers()


async def watch(store: Store, options: WatchOptions, lines: EventLines, closing: Closing) -> AsyncGenerator[bytes]:
    """Yield lines until the time is over, the server closes, or the changes to tell are forgotten."""
    loop = asyncio.get_running_loop()
    end = loop.time() + (options.timeout_s or SHORTEST_S * (1 + random.random()))  # noqa: S311
    bookmark_at = loop.time() + BOOKMARK_S
    with store.watching(options.resource.kind) as wake:
        position = store.version if options.version is None else options.version
        for line in _beginning(store, options, lines):
            yield line
        while not closing.begun:
            wake.clear()
            try:
                changes = store.changes(options.resource.kind, position)
            except ExpiredError as error:
                yield lines.error(expired(str(error)).status())
                return
            # Versions are global: after this the watch is as far as the store, whatever kind the last change was of.
            position = max(position, store.version)
            if batch := b"".join(_lines(options, lines, changes)):
                yield batch
            now = loop.time()
            if now >= end:
                break
            if now >= bookmark_at:
                bookmark_at = now + BOOKMARK_S
                if options.bookmarks:
                    yield lines.bookmark(position)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(end, bookmark_at) - now):
                    await wake.wait()
        if options.bookmarks:
            yield lines.bookmark(position)


def _beginning(store: Store, options: WatchOptions, lines: EventLines) -> Iterator[bytes]:
    """Tell what there is, to a client that did not list it; read in one moment, sent in many."""
    if options.version is not None:
        return
    position = store.version
    for stored in _now(store, options):
        yield lines.change("ADDED", stored)
    if options.initial_end:
        yield lines.bookmark(position, initial_end=True)


def _now(store: Store, options: WatchOptions) -> list[Stored]:
    stored = store.items(options.resource.kind, options.namespace)
    return [each for each in stored if options.selector.matches(each.traits.labels, each.traits.fields)]


def _lines(options: WatchOptions, lines: EventLines, changes: list[Change]) -> Iterator[bytes]:
    for change in changes:
        type_ = seen_as(options.selector, options.namespace, change)
        if type_ is not None:
            yield lines.change(type_, change.stored)


def seen_as(
    selector: Selector, namespace: str | None, change: Change
) -> Literal["ADDED", "MODIFIED", "DELETED"] | None:
    """Return what a change is to somebody who sees only what fits: coming into view is ADDED, leaving it DELETED."""
    stored = change.stored
    if namespace is not None and stored.namespace != namespace:
        return None
    before = change.before is not None and selector.matches(change.before.labels, change.before.fields)
    after = change.type != "DELETED" and selector.matches(stored.traits.labels, stored.traits.fields)
    if before:
        return "MODIFIED" if after else "DELETED"
    return "ADDED" if after else None

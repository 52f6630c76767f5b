"""Follow how far the pods are that requests wait for: each pod is asked once, however many want to know."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from activator.throttle.read import is_ending, revision_of
from activator.throttle.report import RevisionKey
from activator.throttle.wakes import Question
from activator.waiting import stages
from activator.waiting.stages import Stage
from torpor.aio.clock import Clock
from torpor.kube import Change
from torpor.kube.informer import Key
from torpor.spec.kinds import Object

log = logging.getLogger(__name__)

ASK_EVERY_S = 1.0
ASK_S = 1.0
"""A model that loads may hold its interpreter for longer; then what it said before holds."""
INTEREST_S = 5.0
"""So long after somebody wanted to know a revision's pods are asked."""
PODS = 4
"""Of one revision that are asked: enough to know the first."""


class Watching:
    """Call `look` as often as somebody wants to know."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pods: dict[RevisionKey, dict[Key, Object]] = {}
        self._said: dict[RevisionKey, dict[Key, Stage]] = {}
        """What pods of revisions that somebody wants to know of have reported."""
        self._wanted_s: dict[RevisionKey, float] = {}
        self._asking: dict[RevisionKey, asyncio.Task[None]] = {}

    def pod_changed(self, change: Change) -> None:
        """A Pod came, changed, or went."""
        before = None if change.old is None else revision_of(change.old)
        key = None if change.new is None or is_ending(change.new) else revision_of(change.new)
        if before is not None and before != key:
            self._forget(before, change.key)
        if key is not None and change.new is not None:
            self._pods.setdefault(key, {})[change.key] = change.new

    def look(self, revision: RevisionKey) -> Stage:
        """Return how far a revision's first pod is, as far as is known; and have it asked for a while."""
        self._wanted_s[revision] = self._clock.monotonic()
        if revision not in self._asking:
            task = asyncio.get_running_loop().create_task(self._follow(revision))
            self._asking[revision] = task
            task.add_done_callback(lambda _: self._asking.pop(revision, None))
        said = self._said.get(revision, {})
        pods = self._pods.get(revision, {})
        return stages.furthest(said.get(key) or stages.of_pod(pod) for key, pod in pods.items())

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, revision: RevisionKey) -> None:
        try:
            while self._clock.monotonic() - self._wanted_s[revision] < INTEREST_S:
                pods = list(self._pods.get(revision, {}).items())[:PODS]
                await asyncio.gather(*(self._ask(revision, key, pod) for key, pod in pods))
                await asyncio.sleep(ASK_EVERY_S)
        finally:
            self._said.pop(revision, None)
            self._wanted_s.pop(revision, None)

    async def _ask(self, revision: RevisionKey, key: Key, pod: Object) -> None:
        report = stages.report_of(pod)
        if report is None:
            return
        host, port, path = report

        def told(document: dict[str, Any]) -> None:
            stage = stages.of_progress(document)
            if stage is not None and key in self._pods.get(revision, {}):
                self._said.setdefault(revision, {})[key] = stage

        asked: Question | None = None
        try:
            async with asyncio.timeout(ASK_S):
                _, asked = await asyncio.get_running_loop().create_connection(lambda: Question(path, told), host, port)
                await asked.answered.wait()
        except (OSError, TimeoutError) as error:
            log.debug("pod %s/%s did not say how far it is: %s", *key, error or type(error).__name__)
        finally:
            if asked is not None:
                asked.transport.abort()

    def _forget(self, revision: RevisionKey, key: Key) -> None:
        for known in (self._pods, self._said):
            of: dict[Key, Any] = known.get(revision, {})
            of.pop(key, None)
            if not of:
                known.pop(revision, None)


def awaited(_: RevisionKey) -> Stage:
    """Return what is known where nobody follows the pods: that somebody waits for one."""
    return stages.WAKE

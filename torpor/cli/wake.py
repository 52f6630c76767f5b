"""Watch a service wake: its first new pod, and what the pod reports of its load."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import orjson

from torpor import errors
from torpor.aio.clock import Clock
from torpor.cli.services import Service
from torpor.cli.timeline import Progress, Stage, parse_progress, timeline
from torpor.cli.waiting import observed, text_of
from torpor.kube import Cluster
from torpor.spec import conditions, names
from torpor.spec.kinds import POD, Object

RETRY_S = 0.05
"""Between tries to read the progress of a pod whose process does not listen yet."""
SILENCE_S = 60.0
SETTLE_S = 1.0
"""How long the last report of the load may come after the answer; the two travel on different connections."""


class Wake:
    """What is known of one cold start so far."""

    def __init__(self, clock: Clock, on_change: Callable[[], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self.sent_at = clock.wall()
        self.answered_at: float | None = None
        self.note = ""
        """What the pod says, if it says anything worth reading."""
        self._pod_at: float | None = None
        self._ready_at: float | None = None
        self._progress: Progress | None = None
        self._complete = asyncio.Event()

    @property
    def now_s(self) -> float:
        return (self.answered_at or self._clock.wall()) - self.sent_at

    def stages(self) -> tuple[Stage, ...]:
        return timeline(
            self.sent_at,
            pod_at=self._pod_at,
            ready_at=self._ready_at,
            progress=self._progress,
            answered_at=self.answered_at,
        )

    def answered(self) -> None:
        """The answer is here."""
        self.answered_at = self._clock.wall()
        self._on_change()

    def nothing_more(self) -> None:
        """The last report is here, or there will never be one."""
        self._complete.set()

    async def settled(self) -> None:
        """Return when the whole load was reported, or when waiting for it is not worth it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await self._complete.wait()

    def saw_pod(self, pod: Object) -> None:
        """Take in the pod's newest state."""
        self._pod_at = self._pod_at or self._clock.wall()
        if is_ready(pod):
            self._ready_at = self._ready_at or self._clock.wall()
        self.note = pod_note(pod)
        self._on_change()

    def saw_progress(self, progress: Progress) -> None:
        """Take in a report of the predictor."""
        self._progress = progress
        self.note = progress.error or self.note
        if progress.state == "ready":
            self.nothing_more()
        self._on_change()


@contextlib.asynccontextmanager
async def watch_wake(cluster: Cluster, service: Service, wake: Wake) -> AsyncIterator[None]:
    """Keep `wake` up to date while the block runs."""
    async with observed(cluster, POD, service.namespace, labels=service.selector) as (pods, changed):
        watching = asyncio.create_task(_watch(cluster, pods, changed, wake))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def is_ready(pod: Object) -> bool:
    """Return whether Kubernetes sends requests to this pod."""
    mark = conditions.read(pod, conditions.READY)
    return mark is not None and mark.is_true and "deletionTimestamp" not in pod["metadata"]


def pod_note(pod: Object) -> str:
    """Return the pod's name and what holds it up, in one line."""
    name = pod["metadata"]["name"]
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        waiting = (status.get("state") or {}).get("waiting") or {}
        ended = (status.get("lastState") or {}).get("terminated") or {}
        if waiting.get("reason") not in {None, "ContainerCreating"} or ended:
            said = conditions.failed(
                str(waiting.get("reason") or ended.get("reason") or ""),
                str(ended.get("message") or waiting.get("message") or ""),
            )
            return f"{name}: {text_of(said)}"
    return str(name)


async def _watch(cluster: Cluster, pods: Callable[[], list[Object]], changed: asyncio.Event, wake: Wake) -> None:
    """Follow the first pod that was not there, or not ready, when the request was sent."""
    old = {pod["metadata"]["uid"] for pod in pods() if "deletionTimestamp" in pod["metadata"]}
    followed: str | None = None
    async with asyncio.TaskGroup() as group:
        while True:
            fresh = sorted((pod for pod in pods() if pod["metadata"]["uid"] not in old), key=_age)
            if fresh:
                wake.saw_pod(fresh[0])
                if followed != fresh[0]["metadata"]["uid"]:
                    followed = fresh[0]["metadata"]["uid"]
                    group.create_task(_follow_progress(cluster, fresh[0], wake))
            await changed.wait()
            changed.clear()


async def _follow_progress(cluster: Cluster, pod: Object, wake: Wake) -> None:
    """Read the predictor's progress through the API, as server-sent events, until the load has ended."""
    metadata = pod["metadata"]
    path = (metadata.get("annotations") or {}).get(names.PROGRESS_PATH)
    if not path:
        wake.nothing_more()
        return
    ports = pod["spec"]["containers"][0].get("ports") or ()
    port = f":{ports[0]['containerPort']}" if ports else ""
    url = f"{POD.path(metadata['namespace'], metadata['name'] + port)}/proxy{path}"
    while True:
        lines = cluster.stream(url, accept="text/event-stream", silence_s=SILENCE_S)
        try:
            async with contextlib.aclosing(lines):
                async for line in lines:
                    if line.startswith(b"data:"):
                        progress = parse_progress(orjson.loads(line[5:]))
                        wake.saw_progress(progress)
                        if progress.state == "ready":
                            return
        except errors.NotFoundError:
            return  # the pod went away
        except errors.TorporError:
            pass  # it does not listen yet, or started anew
        await asyncio.sleep(RETRY_S)


def _age(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]

"""Learn from pods that requests waited for how their start went."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import httptools
import orjson

from activator.throttle import coldstart
from activator.throttle.pod import Pod, Stages
from activator.throttle.report import RevisionKey
from torpor.aio.clock import Clock
from torpor.kube import Change, Informer
from torpor.kube.informer import Key
from torpor.spec import names

log = logging.getLogger(__name__)

ASK_S = 0.5
"""Nobody waits for the answer, but it is of use only to the first response, which is seldom later than this."""
REPORT_BYTES = 64 * 1024


class Wakes:
    """Sets `Pod.stages`, if it can, before the pod's first response passes; no request ever waits for that.

    It is a race, and so run on bare sockets: the question leaves before the first request does, and its answer is
    taken in where it arrives. A pod that answers requests in their order is always in time.
    """

    def __init__(self, pods: Informer, clock: Clock) -> None:
        self._pods = pods
        self._clock = clock
        self._asking: set[asyncio.Task[None]] = set()
        self._began_s: dict[Key, float | None] = {}
        """Since when a container of each pod runs; None while none does. Pods that ran when first seen are not here."""

    def pod_changed(self, change: Change) -> None:
        """A Pod came, changed, or went: what Kubernetes says of its times is to the second, so look when it happens."""
        if change.new is None:
            self._began_s.pop(change.key, None)
            return
        runs = coldstart.runs(change.new)
        replaced = change.old is not None and change.old["metadata"].get("uid") != change.new["metadata"].get("uid")
        if change.old is None or replaced:
            self._began_s.pop(change.key, None)
            if not runs:
                self._began_s[change.key] = None
        elif change.key in self._began_s and not runs:
            self._began_s[change.key] = None  # it ended, and will be tried again
        elif runs and self._began_s.get(change.key, 0.0) is None:
            self._began_s[change.key] = self._clock.monotonic()

    def woke(self, revision: RevisionKey, pod: Pod) -> None:
        """A pod turned ready that requests were waiting for."""
        obj = self._pods.get(pod.at.pod, revision[0])
        if obj is None:
            return
        path = (obj["metadata"].get("annotations") or {}).get(names.PROGRESS_PATH)
        began_s = self._began_s.get((revision[0], pod.at.pod))
        if began_s is not None:
            known: Stages | None = Stages(max(0.0, self._clock.monotonic() - began_s), None)
        else:
            known = coldstart.from_status(obj, self._clock.wall())
        if path is None:
            _learned(pod, known)
            return
        task = asyncio.get_running_loop().create_task(self._ask(pod, path, known))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._asking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, pod: Pod, path: str, known: Stages | None) -> None:
        def told(document: dict[str, Any]) -> None:
            stages = coldstart.from_progress(document)
            if stages is not None:
                _learned(pod, stages)

        loop = asyncio.get_running_loop()
        asked: Question | None = None
        try:
            async with asyncio.timeout(ASK_S):
                _, asked = await loop.create_connection(lambda: Question(path, told), pod.at.host, pod.at.port)
                await asked.answered.wait()
        except (OSError, TimeoutError) as error:
            log.info("pod %s did not say how it started: %s", pod.at.pod, error or type(error).__name__)
        finally:
            if asked is not None:
                asked.transport.abort()
        if pod.stages is None:
            _learned(pod, known)


class Question(asyncio.Protocol):
    """One GET for a JSON object on a connection of its own."""

    transport: asyncio.Transport

    def __init__(self, path: str, told: Callable[[dict[str, Any]], None]) -> None:
        self.answered = asyncio.Event()
        """Also where the answer is none."""
        self._path = path
        self._told = told
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        address, port, *_ = self.transport.get_extra_info("peername")
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        lines = (f"GET {self._path} HTTP/1.1", f"Host: {host}", "Accept: application/json", "Connection: close")
        self.transport.write("\r\n".join((*lines, "", "")).encode())

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # gone is gone
        self.answered.set()

    def on_body(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > REPORT_BYTES:
            self.transport.abort()

    def on_message_complete(self) -> None:
        self.transport.abort()
        try:
            document = orjson.loads(self._body)
        except orjson.JSONDecodeError:
            return
        if isinstance(document, dict):
            self._told(document)


def _learned(pod: Pod, stages: Stages | None) -> None:
    pod.stages = stages
    if stages is not None:
        coldstart.told(stages)

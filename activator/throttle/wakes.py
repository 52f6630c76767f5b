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
from torpor.kube import Informer
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

    def woke(self, revision: RevisionKey, pod: Pod) -> None:
        """A pod turned ready that requests were waiting for."""
        obj = self._pods.get(pod.at.pod, revision[0])
        if obj is None:
            return
        path = (obj["metadata"].get("annotations") or {}).get(names.PROGRESS_PATH)
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

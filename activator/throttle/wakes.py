"""Learn from pods that requests waited for how their start went."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
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

    The question leaves in the same turn of the loop as the first request, before it.
    """

    def __init__(self, pods: Informer, clock: Clock) -> None:
        self._pods = pods
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._asking: set[asyncio.Task[None]] = set()

    def woke(self, revision: RevisionKey, pod: Pod) -> None:
        """A pod turned ready that requests were waiting for."""
        obj = self._pods.get(pod.at.pod, revision[0])
        if obj is None:
            return
        path = (obj["metadata"].get("annotations") or {}).get(names.PROGRESS_PATH)
        known = coldstart.from_status(obj, self._clock.wall())
        if path is None:
            self._learned(pod, known)
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
        if self._session is not None:
            await self._session.close()

    async def _ask(self, pod: Pod, path: str, known: Stages | None) -> None:
        stages: Stages | None = None
        try:
            async with asyncio.timeout(ASK_S):
                stages = await self._report(f"http://{_authority(pod)}{path}")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.info("pod %s did not say how it started: %s", pod.at.pod, error or type(error).__name__)
        self._learned(pod, stages or known)

    async def _report(self, url: str) -> Stages | None:
        if self._session is None:
            # No connection is kept: each pod is asked once.
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        headers = {"Accept": "application/json"}
        async with self._session.get(url, headers=headers, allow_redirects=False) as response:
            document = orjson.loads(await response.content.read(REPORT_BYTES))
        return coldstart.from_progress(document) if isinstance(document, dict) else None

    @staticmethod
    def _learned(pod: Pod, stages: Stages | None) -> None:
        pod.stages = stages
        if stages is not None:
            coldstart.told(stages)


def _authority(pod: Pod) -> str:
    host = f"[{pod.at.host}]" if ":" in pod.at.host else pod.at.host
    return f"{host}:{pod.at.port}"

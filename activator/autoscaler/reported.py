"""Ask pods for what they report themselves, where a revision is scaled by it.

Every pod is asked every second, as Knative's autoscaler asks a sample of its queue-proxies. A pod that does not answer
leaves the whole sum unknown, for what it would have said may be the larger part: unknown holds what there is.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Mapping

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from activator.throttle.pod import Endpoint
from torpor.aio.clock import Clock
from torpor.kube.informer import Key
from torpor.spec.scalemetric import ScaleMetric

log = logging.getLogger(__name__)

PAUSE_S = 1.0
PATIENCE_S = 0.9
"""For one pod's answer."""
FRESH_S = 2.5
"""What was heard longer ago is not known any more."""
AT_ONCE = 64
BODY_BYTES = 4 * 1024 * 1024


class Reported:
    """What the pods of those revisions said last."""

    def __init__(self, pods_of: Callable[[Key], Collection[Endpoint]], clock: Clock) -> None:
        self._pods_of = pods_of
        self._clock = clock
        self._wanted: Mapping[Key, ScaleMetric] = {}
        self._sums: dict[Key, tuple[float, float]] = {}
        """(when, sum over all pods)"""
        self._failed: set[Key] = set()

    def want(self, wanted: Mapping[Key, ScaleMetric]) -> None:
        """From now on ask for these and no others."""
        self._wanted = wanted
        self._sums = {key: heard for key, heard in self._sums.items() if key in wanted}
        self._failed &= wanted.keys()

    def total(self, revision: Key, now_s: float) -> float | None:
        """Return the sum over all pods; None where it is not known."""
        heard_s, total = self._sums.get(revision, (-math.inf, 0.0))
        return total if now_s - heard_s <= FRESH_S else None

    async def run(self) -> None:
        """Ask every second; returns only when cancelled."""
        limits = aiohttp.TCPConnector(limit=AT_ONCE)
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(connector=limits, timeout=timeout) as session:
            while True:
                if self._wanted:
                    await asyncio.gather(*(self._ask(session, *each) for each in list(self._wanted.items())))
                await asyncio.sleep(PAUSE_S)

    async def _ask(self, session: aiohttp.ClientSession, revision: Key, metric: ScaleMetric) -> None:
        pods = list(self._pods_of(revision))
        if not pods:
            return
        said = await asyncio.gather(*(_read(session, pod, metric.gauge) for pod in pods), return_exceptions=True)
        values = [each for each in said if isinstance(each, float)]
        if len(values) == len(pods):
            self._failed.discard(revision)
            self._sums[revision] = (self._clock.monotonic(), sum(values))
        elif revision not in self._failed:  # once, not every second
            self._failed.add(revision)
            why = next(each for each in said if not isinstance(each, float))
            log.warning(
                "%s/%s is to be scaled by %s, but not all of its pods tell it: %s", *revision, metric.gauge, why
            )


async def _read(session: aiohttp.ClientSession, pod: Endpoint, gauge: str) -> float:
    """Return what one pod says; raises an error that says why it is not known."""
    async with session.get(f"http://{pod.host}:{pod.port}/metrics") as response:
        if response.status != 200:
            raise ValueError(f"pod {pod.pod} answered /metrics with {response.status}")
        body = await response.content.read(BODY_BYTES)
    return value_of(body.decode(errors="replace"), gauge, pod.pod)


def value_of(text: str, gauge: str, pod: str) -> float:
    """Return the sum of a gauge's series in Prometheus' text form; raises ValueError where there is none."""
    # The rest of a page may be long, and need not be read.
    lines = [line for line in text.split("\n") if line.startswith(gauge)]
    found = [
        sample.value
        for family in text_string_to_metric_families("\n".join((*lines, "")))
        for sample in family.samples
        if sample.name == gauge
    ]
    if not found or not all(math.isfinite(value) and value >= 0 for value in found):
        raise ValueError(f"pod {pod} has no {gauge} that is a number from 0 on its /metrics")
    return float(sum(found))

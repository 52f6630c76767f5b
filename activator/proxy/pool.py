"""Connections to pods: made when needed, kept for a moment."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from activator.grpc.bridge import Bridge
from activator.grpc.pods import Lines
from activator.proxy.upstream import Upstream
from activator.settings import PodLimits
from activator.throttle.pod import Pod
from torpor.aio.clock import Clock

if TYPE_CHECKING:
    from activator.proxy.exchange import Exchange

log = logging.getLogger(__name__)

FRESH_S = 0.05
"""A connection used so lately is not looked at before it is used again."""
SUSPICION_S = 0.05
"""How long a pod that broke off is left alone. The kernel closes what a dying process has open one by one, and what is
sent into the rest in these milliseconds is lost. Longer than that takes, and hardly noticed where the pod lives on."""


class Pool:
    """Idle connections of every pod, the last used first, and those being made."""

    def __init__(self, limits: PodLimits, buffered_bytes: int, clock: Clock) -> None:
        self._limits = limits
        self.buffered_bytes = buffered_bytes
        self._clock = clock
        # Insertion order is the order of use: the last is taken first, the first grow old.
        self._idle: dict[Pod, dict[Upstream, None]] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._suspects: dict[Pod, float] = {}
        """Until when."""
        self.http2 = Lines(limits, buffered_bytes, clock)

    def take(self, pod: Pod, now_s: float) -> Upstream | None:
        """Return an idle connection on which nothing has happened, or None where one must be made."""
        if self._suspects and pod in self._suspects:
            return None
        idle = self._idle.get(pod)
        while idle:
            upstream, _ = idle.popitem()
            if now_s - upstream.idle_since_s < FRESH_S or upstream.is_alive():
                return upstream
            upstream.transport.abort()
        return None

    def give(self, upstream: Upstream) -> None:
        """Keep a connection whose exchange is complete."""
        idle = self._idle.get(upstream.pod)
        if idle is None:
            idle = self._idle[upstream.pod] = {}
        upstream.idle_since_s = self._clock.monotonic()
        idle[upstream] = None

    def discard(self, upstream: Upstream) -> None:
        """Forget a connection that was closed while idle."""
        idle = self._idle.get(upstream.pod)
        if idle is not None:
            idle.pop(upstream, None)

    def suspect(self, pod: Pod) -> None:
        """Take in that a pod ended a connection while it was asked something: it may be about to die."""
        self._suspects[pod] = self._clock.monotonic() + SUSPICION_S

    def connect(self, pod: Pod, exchange: Exchange) -> None:
        """Make a connection and give it to the exchange, or tell it that the pod takes none."""
        if pod.at.h2c:
            Bridge(self.http2, pod, exchange).ask()
            return
        task = asyncio.get_running_loop().create_task(self._connect(pod, exchange))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, pod: Pod, exchange: Exchange) -> None:
        until_s = self._suspects.get(pod)
        if until_s is not None:
            upstream = await self._after_suspicion(pod, until_s)
            if upstream is not None:
                self._hand_over(upstream, exchange)
                return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s):
                _, upstream = await loop.create_connection(lambda: Upstream(self, pod), pod.at.host, pod.at.port)
        except (OSError, TimeoutError) as error:
            why = str(error) or f"nothing within {self._limits.connect_timeout_s:g} s"
            exchange.unreachable(pod, why, self._limits.refused_s)
            return
        except Exception as error:
            log.exception("connecting to pod %s failed", pod.at.pod)
            exchange.unreachable(pod, str(error), self._limits.refused_s)
            return
        pod.refusals = 0
        self._hand_over(upstream, exchange)

    async def _after_suspicion(self, pod: Pod, until_s: float) -> Upstream | None:
        """Wait; return an idle connection that the pod has kept open, if there is one."""
        now_s = self._clock.monotonic()
        await asyncio.sleep(until_s - now_s)
        if self._suspects.get(pod) == until_s:
            del self._suspects[pod]
        return self.take(pod, now_s + SUSPICION_S)

    def _hand_over(self, upstream: Upstream, exchange: Exchange) -> None:
        if exchange.done or (exchange.asked is not None and exchange.expired(self._clock.monotonic())):
            self.give(upstream)
        else:
            exchange.attach(upstream)
            upstream.flush()

    def gone(self, pod: Pod) -> None:
        """Close what is idle of a pod that gets no more requests."""
        self.http2.gone(pod)
        self._suspects.pop(pod, None)
        for upstream in self._idle.pop(pod, {}):
            upstream.transport.abort()

    def sweep(self, now_s: float) -> None:
        """Close what has been idle for too long."""
        self.http2.sweep(now_s)
        self._suspects = {pod: until_s for pod, until_s in self._suspects.items() if until_s > now_s}
        for pod, idle in list(self._idle.items()):
            while idle:
                oldest = next(iter(idle))
                if now_s - oldest.idle_since_s < self._limits.idle_s:
                    break
                del idle[oldest]
                oldest.transport.abort()
            if not idle:
                del self._idle[pod]

    async def close(self) -> None:
        """Close everything."""
        await self.http2.close()
        tasks = list(self._connecting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for pod in list(self._idle):
            self.gone(pod)

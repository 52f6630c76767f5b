"""How many pods a service wants and has, as its Deployments say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from torpor.cli.services import Service
from torpor.cli.waiting import observed
from torpor.kube import Cluster
from torpor.spec.kinds import DEPLOYMENT, Object


class Scale:
    """Counts over all Deployments of the service; `peak` is the most that were ready at one time."""

    def __init__(self) -> None:
        self.wanted = 0
        self.ready = 0
        self.peak = 0
        self.changed = asyncio.Event()

    def see(self, deployments: list[Object]) -> None:
        self.wanted = sum(each["spec"].get("replicas", 0) for each in deployments)
        self.ready = sum((each.get("status") or {}).get("readyReplicas", 0) for each in deployments)
        self.peak = max(self.peak, self.ready)
        self.changed.set()


@contextlib.asynccontextmanager
async def watched_scale(cluster: Cluster, service: Service) -> AsyncIterator[Scale]:
    """Give counts that are kept up to date while the block runs."""
    scale = Scale()
    async with observed(cluster, DEPLOYMENT, service.namespace, labels=service.selector) as (items, changed):
        scale.see(items())
        following = asyncio.create_task(_follow(items, changed, scale))
        try:
            yield scale
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _follow(items: Callable[[], list[Object]], changed: asyncio.Event, scale: Scale) -> None:
    while True:
        await changed.wait()
        changed.clear()
        scale.see(items())

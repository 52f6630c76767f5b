"""Events are news, not records: they go after an hour, as in Kubernetes."""

from __future__ import annotations

import asyncio

from torpor.aio.clock import Clock
from torpor.local.apiserver.kinds.reading import parse_time
from torpor.local.apiserver.kinds.table import BY_KIND
from torpor.local.apiserver.registry.deletion import BACKGROUND, Deletion
from torpor.local.apiserver.store import Store, Stored
from torpor.spec.kinds import EVENT

LIFE_S = 3600.0
EVERY_S = 60.0


async def expire_events(deletion: Deletion, store: Store, clock: Clock) -> None:
    """Delete old events now and then; returns only when cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        for stored in expired(store, clock.wall()):
            deletion.delete(BY_KIND[EVENT], stored.namespace, stored.name, BACKGROUND)
            await asyncio.sleep(0)


def expired(store: Store, now: float) -> list[Stored]:
    """Return the events that nothing has happened to for an hour."""
    return [stored for stored in store.items(EVENT) if _last_touched(stored) < now - LIFE_S]


def _last_touched(stored: Stored) -> float:
    obj = stored.object()
    time = obj.get("lastTimestamp") or obj.get("eventTime") or obj["metadata"]["creationTimestamp"]
    return parse_time(time).timestamp()

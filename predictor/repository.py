"""Loads, reloads, unloads and registers models while others answer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

from predictor.loading.held import Held
from predictor.loading.progress import Progress
from predictor.loading.source import Source
from predictor.models import Models
from predictor.served import Retired, Served
from torpor.aio.clock import Clock
from torpor.errors import ConflictError

log = logging.getLogger(__name__)

Load = Callable[[Source, Progress, Clock], Awaitable[Held]]


class Repository:
    """One thing at a time for each name; names do not wait for one another. Belongs to the event loop."""

    def __init__(self, models: Models, source: Source, load: Load, clock: Clock) -> None:
        """`source` is where the first of the models comes from."""
        self.models = models
        self._load = load
        self._clock = clock
        self._sources: dict[Served, Source] = {models.first: source}
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: Counter[str] = Counter()

    def source(self, served: Served) -> Source:
        return self._sources[served]

    async def load_first(self) -> None:
        """Load what the pod is made for; its progress is the pod's. Raises LoadError."""
        first = self.models.first
        async with self._alone(first.name):
            first.hold(await self._load(self._sources[first], first.progress, self._clock))

    async def load(self, name: str, version: str | None = None) -> None:
        """Load a model that is known, anew if it is there: the old one answers until the new one is warm.

        Raises NotFoundError, and LoadError, after which the old one answers on.
        """
        self._check_idle(self.models.find(name, version))
        async with self._alone(name):
            served = self.models.find(name, version)
            progress = Progress(self._clock)
            held = await self._load(self._sources[served], progress, self._clock)
            await _closed(served.replace(held, progress))

    async def unload(self, name: str, version: str | None = None) -> None:
        """Let a model go, once the requests that it has are answered; it stays known. Raises NotFoundError."""
        self._check_idle(self.models.find(name, version))
        async with self._alone(name):
            served = self.models.find(name, version)
            await _closed(served.unload())

    async def register(self, source: Source, version: str | None = None) -> Served:
        """Load one more and know it from then on; raises ConflictError if it is known, LoadError.

        `version` None: what the model says of itself, or 1.0.
        """
        async with self._alone(source.name):
            if version is not None:
                self._check_new(source.name, version)
            progress = Progress(self._clock)
            held = await self._load(source, progress, self._clock)
            served = Served(source.name, progress, version or held.version or "1.0")
            try:
                self._check_new(served.name, served.version)
            except ConflictError:
                await asyncio.to_thread(held.close)
                raise
            served.hold(held)
            self.models.add(served)
            self._sources[served] = source
            log.info("model %s, version %s, was registered from %s", served.name, served.version, source.uri)
            return served

    async def unregister(self, name: str, version: str | None = None) -> Served:
        """Forget a model, once the requests that it has are answered; raises NotFoundError, ConflictError.

        That one which the pod was made for cannot be forgotten, only unloaded: its readiness is the pod's.
        """
        async with self._alone(name):
            served = self.models.find(name, version)
            if served is self.models.first:
                raise ConflictError(f"model {name!r} is what this pod was made for; delete its service instead")
            self.models.remove(served)
            await _closed(served.unload())
            del self._sources[served]
            log.info("model %s, version %s, was unregistered", served.name, served.version)
            return served

    async def close(self) -> None:
        """Close every model that is here."""
        for served in list(self.models):
            await served.unload().closed()

    def _check_idle(self, served: Served) -> None:
        # Who came while the pod starts would otherwise wait, and then load or unload what has just come.
        if served.state == "LOADING":
            raise ConflictError(f"model {served.name!r} is being loaded; /progress says how far it is")

    def _check_new(self, name: str, version: str) -> None:
        if name in self.models.names() and version in {each.version for each in self.models.versions(name)}:
            raise ConflictError(f"model {name!r} has a version {version!r} already")

    @contextlib.asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        # Names come from clients: a lock is kept for as long as somebody uses it.
        lock = self._locks.setdefault(name, asyncio.Lock())
        self._users[name] += 1
        try:
            async with lock:
                yield
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name], self._locks[name]


async def _closed(retired: Retired) -> None:
    await retired.closed()
    await asyncio.to_thread(gc.collect)  # models are full of cycles, and their memory is what unloading is for

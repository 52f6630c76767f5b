"""Loads, reloads, unloads and registers models while others answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Protocol

from predictor.loading.held import Held
from predictor.loading.progress import Progress
from predictor.loading.room import Room
from predictor.loading.source import Source
from predictor.memory.amount import Budget
from predictor.memory.keeper import Keeper
from predictor.memory.recall import Recall
from predictor.models import Models
from predictor.served import Served
from torpor.aio.clock import Clock
from torpor.errors import ConflictError

log = logging.getLogger(__name__)


class Catalogue(Protocol):
    """Knows which models there are, of which some are loaded."""

    async def start(self) -> None:
        """Know them, and load those that are to be there from the start; raises LoadError."""

    async def load(self, name: str) -> None:
        """Load a model in all versions that are there now; raises NotFoundError, LoadError."""


Load = Callable[[Source, Progress, Clock, Room], Awaitable[Held]]


class Repository:
    """One thing at a time for each name; names wait for one another only where their memory is limited.

    Belongs to the event loop.
    """

    def __init__(self, models: Models, source: Source, load: Load, clock: Clock, keeper: Keeper | None = None) -> None:
        """`source` is where the first of the models comes from. `keeper` None: there is memory for all."""
        self.models = models
        self._load = load
        self._clock = clock
        self._keeper = keeper or Keeper(models, Budget())
        self._sources: dict[Served, Source] = {}
        self._recalls: dict[Served, Recall] = {}
        self.know(models.first, source)
        self.catalogue: Catalogue | None = None
        """Of a repository of Triton's, which says what is there."""
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: Counter[str] = Counter()

    def source(self, served: Served) -> Source:
        return self._sources[served]

    async def load_first(self) -> None:
        """Load what the pod is made for; its progress is the pod's. Raises LoadError."""
        if self.catalogue is not None:
            await self.catalogue.start()
            return
        first = self.models.first
        async with self._alone(first.name):
            await self._brought(first, first.progress)

    async def load(self, name: str, version: str | None = None) -> None:
        """Load a model that is known, anew if it is there: the old one answers until the new one is warm.

        Raises NotFoundError, and LoadError, after which the old one answers on.
        """
        if self.catalogue is not None and version is None:
            await self.catalogue.load(name)
            return
        self._check_idle(self.models.find(name, version))
        async with self._alone(name):
            await self._brought(self.models.find(name, version), Progress(self._clock))

    async def unload(self, name: str, version: str | None = None) -> None:
        """Let a model go, once the requests that it has are answered; it stays known. Raises NotFoundError."""
        if self.catalogue is not None and version is None:
            for each in self.models.versions(name):
                await self.unload(name, each.version)
            return
        self._check_idle(self.models.find(name, version))
        async with self._alone(name):
            await self._gone(self.models.find(name, version))

    async def register(self, source: Source, version: str | None = None) -> Served:
        """Load one more and know it from then on; raises ConflictError if it is known, LoadError.

        `version` None: what the model says of itself, or 1.0.
        """
        async with self._alone(source.name):
            if version is not None:
                self._check_new(source.name, version)
            progress = Progress(self._clock)
            began_s = self._clock.monotonic()
            async with self._keeper.room(source.name) as place:
                held = await self._load(source, progress, self._clock, place)
                served = Served(source.name, progress, version or held.version or "1.0")
                try:
                    self._check_new(served.name, served.version)
                except ConflictError:
                    await asyncio.to_thread(held.close)
                    raise
                served.hold(held)
                served.stay.loaded(place.takes, self._clock.monotonic() - began_s)
                self.models.add(served)
            self.know(served, source)
            log.info("model %s, version %s, was registered from %s", served.name, served.version, source.uri)
            return served

    def expect(self, source: Source, version: str) -> Served:
        """Know one more, which is loaded when it is asked for the first time; raises ConflictError if it is known."""
        self._check_new(source.name, version)
        served = Served(source.name, Progress(self._clock), version)
        served.is_away = True
        self.models.add(served)
        self.know(served, source)
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
            await self._gone(served)
            del self._sources[served], self._recalls[served]
            log.info("model %s, version %s, was unregistered", served.name, served.version)
            return served

    async def close(self) -> None:
        """Close every model that is here."""
        for recall in list(self._recalls.values()):
            await recall.close()
        for served in list(self.models):
            await served.unload().closed()

    def forget(self) -> None:
        """Know of nowhere where a model comes from: others are here than the pod began with."""
        self._sources.clear()
        self._recalls.clear()

    async def bring(self, served: Served) -> None:
        """Load it for the first time; raises LoadError."""
        async with self._alone(served.name):
            await self._brought(served, served.progress)

    def know(self, served: Served, source: Source) -> None:
        """Load it from there, whenever that is."""
        self._sources[served] = source
        served.recall = self._recalls[served] = Recall(served, partial(self._recalled, served), self._clock)

    async def _recalled(self, served: Served) -> None:
        """Bring back what had to make room, if it had to; raises LoadError."""
        while served.is_away and served.held is not None:
            await self._keeper.settled()
        async with self._alone(served.name):
            if served.is_away and served.held is None:
                served.progress = Progress(self._clock)
                await self._brought(served, served.progress)

    async def _brought(self, served: Served, progress: Progress) -> None:
        """Load it; what answered before is closed when its requests are answered. Raises LoadError."""
        began_s, took = self._clock.monotonic(), served.stay.takes
        async with self._keeper.room(served.name, served) as place:
            held = await self._load(self._sources[served], progress, self._clock, place)
            retired = served.replace(held, progress)
            served.stay.loaded(place.takes, self._clock.monotonic() - began_s)
        if retired.is_open:
            await self._keeper.leave(repr(served.name), took, retired)

    async def _gone(self, served: Served) -> None:
        await self._keeper.leave(repr(served.name), served.stay.takes, served.unload())

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

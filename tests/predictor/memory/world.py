"""A process whose memory is a number: models that take what a test says, and are seen to be closed."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from predictor.loading.held import Held
from predictor.loading.progress import Progress
from predictor.loading.room import Room
from predictor.loading.source import Source
from predictor.memory.amount import Amount, Budget
from predictor.memory.keeper import Keeper
from predictor.models import Models
from predictor.repository import Repository
from predictor.served import Served
from tests.predictor.endpoints.pod import Doubler
from torpor.aio.clock import Clock, SystemClock
from torpor.errors import LoadError


@dataclass(slots=True, weakref_slot=True)
class Sized(Doubler):
    """A model of so many bytes."""

    world: World | None = None
    size: int = 0
    users: int = 0

    def close(self) -> None:
        assert not self.users, "it was closed while requests had it"
        assert self.world is not None
        self.world.taken -= self.size


@dataclass(slots=True)
class World:
    """What there is, and what the models take in it; a source's URI names its model's size."""

    budget: int | None
    patience_s: float = 10.0
    taken: int = 0
    peak: int = 0
    loads: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    """By name, where they are not what the model takes."""
    failing: set[str] = field(default_factory=set)
    half: Callable[[], Sized | None] = lambda: None
    """A model that was being made when its load failed, as long as it is in memory."""
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    """Loads of these wait."""
    models: Models = field(init=False)
    repository: Repository = field(init=False)
    keeper: Keeper = field(init=False)

    def __post_init__(self) -> None:
        clock = SystemClock()
        first = Served("first", Progress(clock))
        first.is_pinned = True
        self.models = Models(first)
        self.keeper = Keeper(
            self.models,
            Budget(self.budget),
            gives_back=False,
            taken=lambda pids: Amount(self.taken),
            patience_s=self.patience_s,
        )
        self.repository = Repository(self.models, source("first", 10), self._load, clock, self.keeper)

    async def _load(self, source: Source, progress: Progress, clock: Clock, room: Room) -> Held:
        size = int(source.uri)
        if source.name in self.gates:
            await self.gates[source.name].wait()
        try:
            self._fetch(source.name)
            await room.make(self.files.get(source.name, size))
            self.taken += size
            self.peak = max(self.peak, self.taken)
            model = Sized(world=self, size=size)
            await asyncio.sleep(0)
            try:
                await room.fill()
            except Exception:
                model.close()
                raise
        except LoadError as error:
            progress.failed(error)
            raise
        self.loads.append(source.name)
        progress.ready()
        resources = ExitStack()
        resources.callback(model.close)
        return Held(model, resources)

    def _fetch(self, name: str) -> None:
        if name in self.failing:
            half = Sized(world=self)
            self.half = weakref.ref(half)
            try:
                raise FileNotFoundError(name)
            except OSError as error:
                raise LoadError("fetch", "it is not there") from error

    async def add(self, *names: str, size: int = 40) -> list[Served]:
        """Register models."""
        return [await self.repository.register(source(name, size), "1") for name in names]

    async def ask(self, name: str, turns: int = 1) -> None:
        """Ask a model, which computes for so many turns of the loop."""
        served = self.models.find(name)
        if served.is_away:
            await served.present()
        with served.used() as held:
            assert isinstance(held.model, Sized)
            held.model.users += 1
            for _ in range(turns):
                await asyncio.sleep(0)
            held.model.users -= 1

    def here(self) -> list[str]:
        return [each.name for each in self.models if each.held is not None]


def source(name: str, size: int) -> Source:
    return Source(name, "python", str(size), Path("/nowhere"))

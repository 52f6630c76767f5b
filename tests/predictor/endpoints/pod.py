"""A predictor's endpoints on a real socket, with a model that does what a test tells it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from predictor.batching.options import Batching
from predictor.counters import Counters
from predictor.endpoints.app import build
from predictor.endpoints.grpc.beside import Beside, Either
from predictor.endpoints.inference import Inference
from predictor.endpoints.lane import lane_around, short_way
from predictor.loading.held import Held
from predictor.loading.progress import Progress
from predictor.loading.room import Room
from predictor.loading.source import Source
from predictor.model import Signature, TensorSpec
from predictor.models import Models
from predictor.repository import Repository
from predictor.served import Served
from predictor.settings import Events, Settings
from predictor.workers import Workers
from tests.support.clock import FakeClock
from torpor.aio.clock import Clock, SystemClock
from torpor.protocol.tensors import Tensor
from torpor.web.listen import listening
from torpor.web.server import Server, Times

LIMIT = 100_000
EVENTS = Events()


SIGNATURE = Signature(
    "test_doubler",
    (TensorSpec("x", "FP64", (-1, 2)),),
    (TensorSpec("double", "FP64", (-1, 2)), TensorSpec("negative", "FP64", (-1, 2))),
)


@dataclass(slots=True)
class Doubler:
    """Doubles what it is given; `before` runs first, in the thread that computes."""

    before: Callable[[], None] = lambda: None
    computed: list[Any] = field(default_factory=list)
    signature: Signature = SIGNATURE

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        self.before()
        self.computed.append(instances)
        return [each * 2 for each in instances]

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        self.before()
        (x,) = inputs
        self.computed.append(x.array.tolist())
        return Tensor("double", x.array * 2), Tensor("negative", -x.array)

    def warm(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass(slots=True)
class Gate:
    """Holds the threads that compute until it is opened."""

    reached: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    opened: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        self.reached.release()
        assert self.opened.wait(30), "nobody opened the gate"

    async def someone_waits(self) -> None:
        assert await asyncio.to_thread(self.reached.acquire, timeout=10), "nobody came to the gate"


@dataclass(slots=True)
class Loads:
    """Loads at once what a test has made."""

    model: Doubler

    async def __call__(self, source: Source, progress: Progress, clock: Clock, room: Room) -> Held:
        await room.make(0)
        await room.fill()
        progress.ready()
        return Held(self.model)


@dataclass(slots=True)
class Pod:
    """What a test may look at and change."""

    http: httpx.AsyncClient
    port: int
    served: Served
    models: Models
    counters: Counters
    model: Doubler
    server: Server
    beside: Beside
    batching: Batching | None = None
    cache_bytes: int = 0

    @property
    def progress(self) -> Progress:
        return self.served.progress

    def reset(self, *, loaded: bool) -> None:
        """As a new pod: nothing computed, nothing counted."""
        self.served.progress = Progress(FakeClock())
        self.served.unload()
        self.served.is_unloaded = self.models.is_ending = False
        self.model.before, self.model.computed = lambda: None, []
        self.counters.codes.clear()
        self.counters.durations.clear()
        assert self.counters.in_flight == 0
        if loaded:
            self.loaded()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def end(self) -> None:
        """As at SIGTERM."""
        self.server.end()
        await self.beside.end()

    def loaded(self) -> None:
        """The model is warm from now on."""
        self.progress.ready()
        self.served.hold(Held(self.model, batching=self.batching, cache_bytes=self.cache_bytes))


@contextlib.asynccontextmanager
async def running(
    *,
    threads: int = 2,
    loaded: bool = True,
    is_controlled: bool = True,
    events: Events = EVENTS,
    inline: bool = False,
    batching: Batching | None = None,
    cache_bytes: int = 0,
) -> AsyncIterator[Pod]:
    """Serve a model called `m` while the block runs; nothing of it is left afterwards.

    `inline` False: tests hold threads up, which would be the loop.
    """
    served, counters, model = Served("m", Progress(FakeClock())), Counters(), Doubler()
    models = Models(served)
    workers = Workers(threads, counters.waits, SystemClock())
    started, ending = asyncio.Event(), asyncio.Event()
    inference = Inference(models, workers, counters, SystemClock(), max_body_bytes=LIMIT, is_alone=lambda: inline)
    source = Source("m", "python", "file:///nowhere", Path("/nowhere"))
    settings = Settings(source, is_controlled=is_controlled, events=events, max_body_bytes=LIMIT, grace_s=5)
    repository = Repository(models, source, Loads(model), SystemClock())
    app = build(repository, inference, counters, SystemClock(), ending, settings)
    beside = Beside(repository, inference, settings)
    server = Server(
        app,
        Times(idle_s=65, grace_s=5),
        on_started=started.set,
        on_ending=ending.set,
        around=lane_around(short_way(inference, 65), lambda http: Either(http, beside)),
    )
    with contextlib.closing(workers), listening("127.0.0.1", 0, host_key="HOST", port_key="PORT") as listener:
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await started.wait()
        async with beside.offered(), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
            pod = Pod(http, port, served, models, counters, model, server, beside, batching, cache_bytes)
            pod.reset(loaded=loaded)
            yield pod
        server.end()
        await serving

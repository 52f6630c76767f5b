"""Put the predictor together: answer health at once, load the model behind it, serve, and end cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator

from predictor.counters import Counters
from predictor.endpoints.app import build
from predictor.endpoints.grpc.beside import Beside, Either
from predictor.endpoints.inference import Inference
from predictor.endpoints.lane import lane_around, short_way
from predictor.lastwords import say_why
from predictor.loading.held import Held
from predictor.loading.progress import Progress
from predictor.loading.room import Room
from predictor.loading.source import Source
from predictor.memory.keeper import Keeper
from predictor.models import Models
from predictor.others import here
from predictor.repository import Load, Repository
from predictor.served import Served
from predictor.settings import ADMIN_HOST, ADMIN_PORT, Settings
from predictor.workers import Workers
from torpor.aio.clock import Clock, SystemClock
from torpor.errors import LoadError
from torpor.web.listen import listening
from torpor.web.server import Server, Times

log = logging.getLogger(__name__)

TRITON = "triton"
"""The format of models that come as a repository."""
IDLE_S = 65
"""Longer than the 4 s of the activator and the 60 s of common load balancers."""
FAREWELL_S = 1.0
"""How long `/progress` still tells of a load that failed, before the process ends."""
ADMIN_GRACE_S = 5
CANCEL_S = 5.0
"""How long a load that is no longer wanted may take to clean up."""


async def serve(settings: Settings, listener: socket.socket, load: Load | None = None) -> int:
    """Serve until SIGTERM, or until the load has failed for good; returns the exit status."""
    clock = SystemClock()
    served = Served(settings.source.name, Progress(clock, started_at=settings.pod_started_at))
    served.is_pinned = True
    models = Models(served)
    keeper = Keeper(models, settings.budget, gives_back=settings.is_controlled or settings.admin is not None)
    repository = Repository(models, settings.source, load or _pipeline, clock, keeper)
    counters = Counters()
    workers = Workers(settings.threads, counters.waits, clock)
    started, ending = asyncio.Event(), asyncio.Event()
    departures: list[asyncio.Future[None]] = []

    def on_started() -> None:
        served.progress.listening()
        log.info("listening on %s port %d", *listener.getsockname()[:2])
        started.set()

    def on_ending() -> None:
        models.is_ending = True
        ending.set()
        departures.append(asyncio.ensure_future(beside.end()))  # while HTTP ends, not after it

    inference = Inference(
        models,
        workers,
        counters,
        clock,
        max_body_bytes=settings.max_body_bytes,
        is_alone=lambda: settings.is_inline and len(server.server_state.tasks) <= 1,
    )
    if settings.source.format == TRITON:
        from predictor.catalogue import TritonRepository  # noqa: PLC0415  # few pods have one
        from predictor.neighbours import PodNeighbours  # noqa: PLC0415

        repository.catalogue = TritonRepository(repository, settings.source, clock, settings.at_start)
        here.neighbours = PodNeighbours(models, inference.execution, workers)
    app = build(repository, inference, counters, clock, ending, settings)
    beside = Beside(repository, inference, settings)
    server = Server(
        app,
        Times(IDLE_S, settings.grace_s),
        on_started=on_started,
        on_ending=on_ending,
        around=lane_around(short_way(inference, IDLE_S), lambda http: Either(http, beside)),
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    with contextlib.closing(workers):
        await started.wait()
        async with _managed(settings, repository), beside.offered():
            loading = asyncio.create_task(_loaded(repository, served))
            await asyncio.wait({serving, loading}, return_when=asyncio.FIRST_COMPLETED)
            status = 0
            if loading.done() and (error := loading.result()) is not None:
                status = 1
                say_why(f"model {settings.source.name} was not loaded", error, settings.termination_log)
                await asyncio.wait({serving}, timeout=FAREWELL_S)
                server.end()
            elif settings.grpc_port and not serving.done():
                await beside.started()
            await serving
            await asyncio.gather(*departures)
            await _cancelled(loading)
    await repository.close()
    return status


@contextlib.asynccontextmanager
async def _managed(settings: Settings, repository: Repository) -> AsyncIterator[None]:
    """Let models be managed while the block runs, where there is a port for it."""
    admin = settings.admin
    if admin is None:
        yield
        return
    from predictor.endpoints.management import Management  # noqa: PLC0415  # few have it

    management = Management(repository, settings.source, admin.allowed)
    with listening(admin.host, admin.port, host_key=ADMIN_HOST, port_key=ADMIN_PORT) as listener:
        server = Server(management.app(admin.token), Times(IDLE_S, ADMIN_GRACE_S), signals=False)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        log.info("models are managed on %s port %d", *listener.getsockname()[:2])
        try:
            yield
        finally:
            server.end()
            await serving
            await management.close()


async def _loaded(repository: Repository, served: Served) -> LoadError | None:
    """Load the model; returns what went wrong."""
    try:
        await repository.load_first()
    except Exception as error:
        failure = _as_load_error(error)
        if served.progress.state != "failed":
            served.progress.failed(failure)
        return failure
    log.info("model %s is ready", served.name)
    return None


def _as_load_error(error: Exception) -> LoadError:
    """Return the error, or one that says what it was: any other is a bug, and told all the same."""
    if isinstance(error, LoadError):
        return error
    log.error("a load ended in %s", type(error).__name__, exc_info=error)
    return LoadError("open", f"{type(error).__name__}: {error}")


async def _pipeline(source: Source, progress: Progress, clock: Clock, room: Room) -> Held:
    """Load; what does it is imported in a thread, while health is answered: it brings numpy with it."""

    def imported() -> Load:
        from predictor.loading.pipeline import load  # noqa: PLC0415

        return load

    load = await asyncio.to_thread(imported)
    return await load(source, progress, clock, room)


async def _cancelled(task: asyncio.Task[LoadError | None]) -> None:
    """Cancel a load and let it clean up; a thread of it that goes on is not waited for."""
    task.cancel()
    await asyncio.wait({task}, timeout=CANCEL_S)

"""Put the predictor together: answer health at once, load the model behind it, serve, and end cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable

from predictor.counters import Counters
from predictor.endpoints.app import build
from predictor.endpoints.workers import Workers
from predictor.lastwords import say_why
from predictor.loading.held import Held
from predictor.loading.progress import Progress
from predictor.loading.source import Source
from predictor.models import Models
from predictor.served import Served
from predictor.settings import Settings
from torpor.aio.clock import Clock, SystemClock
from torpor.errors import LoadError
from torpor.web.server import Server, Times

log = logging.getLogger(__name__)

Load = Callable[[Source, Progress, Clock], Awaitable[Held]]

IDLE_S = 65
"""Longer than the 4 s of the activator and the 60 s of common load balancers."""
FAREWELL_S = 1.0
"""How long `/progress` still tells of a load that failed, before the process ends."""
CANCEL_S = 5.0
"""How long a load that is no longer wanted may take to clean up."""


async def serve(settings: Settings, listener: socket.socket, load: Load | None = None) -> int:
    """Serve until SIGTERM, or until the load has failed for good; returns the exit status."""
    clock = SystemClock()
    progress = Progress(clock, started_at=settings.pod_started_at)
    served = Served(settings.source.name, progress)
    models = Models(served)
    counters = Counters()
    workers = Workers(settings.threads, counters.waits, clock)
    started, ending = asyncio.Event(), asyncio.Event()

    def on_started() -> None:
        progress.listening()
        log.info("listening on %s port %d", *listener.getsockname()[:2])
        started.set()

    def on_ending() -> None:
        models.is_ending = True
        ending.set()

    app = build(models, workers, counters, clock, ending, max_body_bytes=settings.max_body_bytes)
    server = Server(app, Times(IDLE_S, settings.grace_s), on_started=on_started, on_ending=on_ending)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    with contextlib.closing(workers):
        await started.wait()
        loading = asyncio.create_task(_loaded(settings.source, served, clock, load))
        await asyncio.wait({serving, loading}, return_when=asyncio.FIRST_COMPLETED)
        status = 0
        if loading.done() and (error := loading.result()) is not None:
            status = 1
            say_why(f"model {settings.source.name} was not loaded", error, settings.termination_log)
            await asyncio.wait({serving}, timeout=FAREWELL_S)
            server.end()
        await serving
        await _cancelled(loading)
    await served.unload().closed()
    return status


async def _loaded(source: Source, served: Served, clock: Clock, load: Load | None) -> LoadError | None:
    """Load the model; returns what went wrong."""
    try:
        if load is None:
            load = await asyncio.to_thread(_pipeline)
        served.hold(await load(source, served.progress, clock))
    except Exception as error:
        failure = _as_load_error(error)
        if served.progress.state != "failed":
            served.progress.failed(failure)
        return failure
    log.info("model %s is ready", source.name)
    return None


def _as_load_error(error: Exception) -> LoadError:
    """Return the error, or one that says what it was: any other is a bug, and told all the same."""
    if isinstance(error, LoadError):
        return error
    log.error("a load ended in %s", type(error).__name__, exc_info=error)
    return LoadError("open", f"{type(error).__name__}: {error}")


def _pipeline() -> Load:
    """Import what loads models, in a thread, while health is answered: it brings numpy with it."""
    from predictor.loading.pipeline import load  # noqa: PLC0415

    return load


async def _cancelled(task: asyncio.Task[LoadError | None]) -> None:
    """Cancel a load and let it clean up; a thread of it that goes on is not waited for."""
    task.cancel()
    await asyncio.wait({task}, timeout=CANCEL_S)

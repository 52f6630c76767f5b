"""Turn a URI into a warm model: resolve, fetch, verify, open, warm. Owns time, threads, trying again, cleaning up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from predictor.batching.options import Batching
from predictor.loading import stages, threads
from predictor.loading.failure import explain
from predictor.loading.held import Held
from predictor.loading.patience import PATIENCE, Patience
from predictor.loading.progress import Progress
from predictor.loading.room import ANYWHERE, Room
from predictor.loading.source import Source
from predictor.loading.stages import Fetched, Located, Opened, Verified
from predictor.model import RunsApart
from predictor.runtimes.runtime import Runtime
from predictor.storage.place import Stop
from torpor.aio.clock import Clock
from torpor.errors import LoadError, TorporError, UnavailableError

log = logging.getLogger(__name__)

T = TypeVar("T")


async def load(
    source: Source, progress: Progress, clock: Clock, room: Room = ANYWHERE, patience: Patience = PATIENCE
) -> Held:
    """Return the model, open and warm; raises LoadError. `progress` says how it goes, and ends ready or failed."""
    try:
        with _no_garbage_collection(frozen=room.stays):
            held = await _Load(source, progress, clock, room, patience).run()
    except LoadError as error:
        progress.failed(error)
        raise
    progress.ready()
    return held


class _Load:
    """One load, and what all of its stages share."""

    def __init__(self, source: Source, progress: Progress, clock: Clock, room: Room, patience: Patience) -> None:
        self._source = source
        self._progress = progress
        self._clock = clock
        self._room = room
        self._patience = patience

    async def run(self) -> Held:
        with contextlib.ExitStack() as taken:
            with self._stage("resolve"):
                runtime = stages.runtime(self._source)
                # Importing a framework takes longer than most fetches and needs nothing from them. What it raises
                # is raised again to the stage that needs it.
                prepared = threads.start(self._prepare(runtime), "prepare")
                prepared.add_done_callback(threads.seen)
                located = await self._retried(partial(threads.run, partial(stages.resolve, self._source, runtime)))
            with self._stage("fetch"):
                folder = located.folder or taken.enter_context(_folder(self._source.model_dir))
                fetched = await self._retried(partial(self._fetch, located, folder))
            with self._stage("verify"):
                verified = await threads.run(partial(stages.verify, fetched))
            with self._stage("open"):
                await asyncio.wait({prepared})  # a framework is not what a model takes
                await self._room.make(sum(each.size for each in located.files))
                opened = await self._opened(verified)
                taken.callback(opened.model.close)
            with self._stage("warm"):
                model = await threads.run(partial(stages.warm, opened))
                await self._room.fill(model.pids() if isinstance(model, RunsApart) else ())
            if located.folder is None and not (runtime.keeps_files or self._source.processes):
                # What is mapped stays until it is unmapped; without a name it goes with the process, even by kill -9.
                shutil.rmtree(folder, ignore_errors=True)
            return Held(model, taken.pop_all(), self._batching, self._source.cache_bytes)

    def _prepare(self, runtime: Runtime) -> Callable[[], None]:
        # Processes of the model's own import it themselves.
        return (lambda: None) if self._source.processes else runtime.prepare

    async def _opened(self, verified: Verified) -> Opened:
        if not self._source.processes:
            return await threads.run(partial(stages.open_, verified))
        from predictor.processes.opening import Opening  # noqa: PLC0415  # few models have processes

        opening = Opening(self._source, verified.files)
        return Opened(await threads.run(opening.model, stop=opening.stop))

    @property
    def _batching(self) -> Batching | None:
        batching, processes = self._source.batching, self._source.processes
        return batching and replace(batching, instances=max(batching.instances, processes))

    async def _fetch(self, located: Located, folder: Path) -> Fetched:
        self._progress.expect(located.to_fetch)
        stop = Stop()
        work = partial(stages.fetch, located, folder, self._progress.received, stop)
        return await threads.run(work, stop=stop.set)

    async def _retried(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what `work` returns; what may succeed later is tried again until the patience is over."""
        began_s = self._clock.monotonic()
        failures = 0
        while True:
            try:
                return await work()
            except TorporError as error:
                failures += 1
                pause_s = self._patience.backoff.delay_s(failures, random.random())  # noqa: S311  # spreads, hides nothing
                elapsed_s = self._clock.monotonic() - began_s
                if not error.retryable:
                    raise
                if elapsed_s + pause_s > self._patience.limit_s:
                    raise UnavailableError(f"{error} (tried {failures} times in {elapsed_s:.0f} s)") from error
                log.warning("trying again in %.1f s: %s", pause_s, error)
            await asyncio.sleep(pause_s)

    @contextlib.contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Time the block; what it raises is a LoadError of this stage."""
        began_s = self._clock.monotonic()
        try:
            with self._progress.stage(name):
                yield
        except Exception as error:
            if not isinstance(error, TorporError | OSError):
                log.exception("%s failed", name)
            raise explain(name, error) from error
        log.info("%s took %.3f s", name, self._clock.monotonic() - began_s)


@contextlib.contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    """Make a folder for one model, and remove it with all that was fetched."""
    folder = Path(tempfile.mkdtemp(prefix="torpor-model-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _no_garbage_collection(*, frozen: bool) -> Iterator[None]:
    """Do not look for garbage while modules and weights come in.

    They make millions of objects that all stay: searching those took 1.5 of the 7 s that torch and transformers need to
    be imported. Afterwards they are left out of the search for good, if `frozen`.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        if frozen:
            gc.freeze()
    finally:
        if was_on:
            gc.enable()

"""A repository of Triton's: which models it has, which are loaded at the start, what a load looks at anew."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from predictor.loading import threads
from predictor.loading.failure import explain
from predictor.loading.patience import PATIENCE
from predictor.loading.progress import Progress
from predictor.loading.source import Source
from predictor.repository import Repository
from predictor.served import Served
from torpor.aio.clock import Clock
from torpor.errors import InvalidInputError, LoadError, NotFoundError, TorporError

if TYPE_CHECKING:  # protobuf, 40 ms
    from predictor.runtimes.triton.survey import Found

log = logging.getLogger(__name__)


class TritonRepository:
    """Fits `Catalogue`. Belongs to the event loop."""

    def __init__(self, repository: Repository, source: Source, clock: Clock, at_start: Sequence[str] | None) -> None:
        """`source` is the repository, or the folder of one model. `at_start` None: all models are loaded."""
        self._repository = repository
        self._source = source
        self._clock = clock
        self._at_start = at_start
        self._locks: dict[str, asyncio.Lock] = {}

    async def start(self) -> None:
        from predictor.runtimes.triton.survey import in_order  # noqa: PLC0415  # protobuf, 40 ms

        models = self._repository.models
        progress = models.first.progress
        with progress.stage("resolve"):
            try:
                found = await self._survey()
                wanted, rounds = self._wanted(found), in_order(found)
            except (TorporError, OSError) as error:
                raise explain("resolve", error) from error
        alone = len(found) == 1
        known = {each: self._served(each, progress if alone else Progress(self._clock)) for each in found}
        needed = [served for each, served in known.items() if self._name(each) in wanted]
        for served in known.values():
            served.is_unloaded = served not in needed
            served.is_pinned = alone
        models.become(list(known.values()), needed, progress)
        self._repository.forget()
        for each, served in known.items():
            self._repository.know(served, self._of(each))
            models.set_default(served.name, served.version)  # the highest comes last
        if len(models.names()) == 1:
            models.name_also(self._source.name, models.first.name)
        for each_round in rounds:
            await self._brought([served for each in each_round if (served := known[each]) in needed])
        if not alone:
            progress.ready()

    async def load(self, name: str) -> None:
        from predictor.runtimes.triton.survey import in_order  # noqa: PLC0415

        models = self._repository.models
        if name == self._source.name and name not in models.names():
            name = models.versions(name)[0].name  # one alone in its repository is asked by both
        everything = await self._survey()
        found = [each for each in everything if self._name(each) == name]
        if not found:
            models.versions(name)
            raise NotFoundError(f"model {name!r} is not in the repository any more")
        in_order(everything)
        for need in sorted({need for each in found for need in each.needs}):
            if not any(other.answers for other in (models.versions(need) if need in models.names() else ())):
                await self.load(need)
        async with self._locks.setdefault(name, asyncio.Lock()):
            before = {each.version: each for each in (models.versions(name) if name in models.names() else ())}
            for each in found:
                served = before.pop(str(each.version), None)
                if served is None:
                    await self._repository.register(self._of(each), str(each.version))
                else:
                    self._repository.know(served, self._of(each))
                    await self._repository.load(name, served.version)
            models.set_default(name, str(found[-1].version))
            for gone in before.values():
                if gone is models.first:
                    await self._repository.unload(name, gone.version)
                else:
                    await self._repository.unregister(name, gone.version)

    async def _survey(self) -> list[Found]:
        """Look at what is there; what may succeed later is tried again for a while."""
        began_s, failures = self._clock.monotonic(), 0
        while True:
            try:
                return await threads.run(partial(_surveyed, self._source))
            except TorporError as error:
                failures += 1
                pause_s = PATIENCE.backoff.delay_s(failures, random.random())  # noqa: S311  # spreads, hides nothing
                if not error.retryable or self._clock.monotonic() - began_s + pause_s > PATIENCE.limit_s:
                    raise
                log.warning("trying again in %.1f s: %s", pause_s, error)
            await asyncio.sleep(pause_s)

    def _wanted(self, found: Sequence[Found]) -> set[str]:
        from predictor.runtimes.triton.survey import with_needed  # noqa: PLC0415

        names = {self._name(each) for each in found}
        if self._at_start is None or not any(each.name for each in found):
            return names  # the folder of a model is there to be served
        for each in self._at_start:
            if each not in names:
                shown = ", ".join(sorted(names))
                raise InvalidInputError("TORPOR_PREDICTOR_LOAD_MODELS", each, f"the repository has {shown}")
        return with_needed(self._at_start, found)

    async def _brought(self, served: Sequence[Served]) -> None:
        """Load them, all at once; raises the LoadError of the first that fails, which names the model."""
        tasks = [asyncio.ensure_future(self._repository.bring(each)) for each in served]
        try:
            for each, task in zip(served, tasks, strict=True):
                try:
                    await task
                except LoadError as error:
                    if each.progress is self._repository.models.progress:
                        raise
                    raise LoadError(error.stage, f"model {each.name!r}: {error}", retryable=error.retryable) from error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _name(self, found: Found) -> str:
        return found.name or self._source.name

    def _served(self, found: Found, progress: Progress) -> Served:
        return Served(self._name(found), progress, str(found.version))

    def _of(self, found: Found) -> Source:
        uri = self._source.uri
        if found.name:
            below = found.name if uri.startswith(("s3:", "/")) else quote(found.name)
            uri = f"{uri.rstrip('/')}/{below}"
        source = replace(self._source, name=self._name(found), uri=uri, without=found.without)
        # An ensemble computes nothing, and asks others, which a process of its own cannot.
        return replace(source, processes=0, call_timeout_s=0) if found.needs else source


def _surveyed(source: Source) -> list[Found]:
    """Look at the place, and read the configurations there; blocks."""
    from predictor.runtimes.triton.survey import configurations, survey  # noqa: PLC0415
    from predictor.storage import schemes  # noqa: PLC0415
    from predictor.storage.place import Stop  # noqa: PLC0415

    place = schemes.place(source.uri, source.storage)
    listing = place.look()
    names = [each.path for each in listing.files]
    wanted = set(configurations(names))
    folder = listing.folder or Path(tempfile.mkdtemp(prefix="torpor-survey-", dir=source.model_dir))
    try:
        if listing.folder is None:
            files = [each for each in listing.files if each.path in wanted]
            place.fetch(files, folder, lambda _: None, Stop())
        texts = {each: (folder / each).read_text("utf-8", errors="replace") for each in wanted}
    finally:
        if listing.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    return survey(names, texts)

"""Keeps the models of a process within their memory: makes room for one that comes, and knows what each takes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeAlias

from predictor.memory import measure
from predictor.memory.allocator import Apart
from predictor.memory.amount import Amount, Budget, words
from predictor.memory.choose import Holding, choose
from predictor.models import Models
from predictor.served import Retired, Served
from torpor.errors import UnavailableError

log = logging.getLogger(__name__)

PATIENCE_S = 60.0
"""How long requests of others are waited for whose models are to go."""


class Keeper:
    """Belongs to the event loop. Where there is a budget, models are opened one at a time: each is measured alone."""

    def __init__(
        self,
        models: Models,
        budget: Budget,
        *,
        gives_back: bool = True,
        taken: Callable[[Sequence[int]], Amount] = measure.taken,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`gives_back`: models may go, and are loaded so that the system can have their memory back.

        `taken` says what this process and some others take at present; it may block.
        """
        self.budget = budget
        self.taken = taken
        self._models = models
        self._apart = Apart() if gives_back or budget.is_limited else None
        self._patience_s = patience_s
        self._view = measure.View()
        self._lock = asyncio.Lock()
        self._leaving: list[_Leaving] = []
        self._closing: set[asyncio.Future[None]] = set()

    @contextlib.asynccontextmanager
    async def room(self, name: str, served: Served | None = None) -> AsyncIterator[Place]:
        """Give the place of a model that is loaded in the block; `served` if it is known, and stays for as long.

        No other is opened before the block has ended: in it, the model is put where `models` has it.
        """
        place = Place(self, name, served, self._lock, self._view, stays=self._apart is None)
        with self._apart or contextlib.nullcontext():
            try:
                yield place
            finally:
                place.end()

    async def settled(self) -> None:
        """Return when nobody is choosing any more who goes."""
        async with self._lock:
            pass

    async def leave(self, name: str, takes: Amount | None, retired: Retired) -> None:
        """Close it when its requests are answered, and give its memory back."""
        leaving = _Leaving(name, takes or Amount())
        self._leaving.append(leaving)
        try:
            if self._apart is None:
                await retired.closed()
            else:
                before = await asyncio.to_thread(self.taken, retired.pids)
                await retired.closed()
                await asyncio.to_thread(measure.give_back, before, leaving.holding.takes)
        finally:
            self._leaving.remove(leaving)
            leaving.gone.set()

    async def clear(self, name: str, need: Amount, coming: Served | None) -> None:
        """Send others away until this much fits; raises LoadError if it never does, UnavailableError if not in time."""
        asked: set[Served] = set()
        try:
            async with asyncio.timeout(self._patience_s) as patience:
                while await self._cleared_further(name, need, coming, asked):
                    pass
        except TimeoutError as error:
            if not patience.expired():
                raise
            used = ", ".join(repr(each.name) for each in asked if each.is_used)
            raise UnavailableError(
                f"model {name!r} needs {words(need.host)} of memory, and {used or 'what leaves'} was in use for"
                f" {self._patience_s:g} s"
            ) from error
        finally:
            for each in asked:
                if each.held is not None:
                    each.is_away = False  # it need not go

    async def _cleared_further(self, name: str, need: Amount, coming: Served | None, asked: set[Served]) -> bool:
        """Wait for one to be idle, or send those away that are; returns whether there was one."""
        choice = choose(name, need, self.budget, self._holdings(coming))
        for each in (*choice.go, *choice.awaited):
            if isinstance(each.of, Served):
                each.of.is_away = True
                asked.add(each.of)
        for each in choice.awaited:
            await each.of.answered()
            return True
        for each in choice.go:
            if isinstance(each.of, Served):
                await self._evict(each.of, name)
        return bool(choice.go)

    async def _evict(self, served: Served, name: str) -> None:
        takes = served.stay.takes or Amount()
        log.info("model %s, %s, makes room for %s", served.name, words(takes.host), name)
        served.stay.evictions += 1
        closing = asyncio.ensure_future(self.leave(repr(served.name), takes, served.make_room(name)))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        await asyncio.shield(closing)  # its memory is counted until it is free, also if nobody waits for that

    def _holdings(self, coming: Served | None) -> list[Holding[Served | _Leaving]]:
        found: list[Holding[Served | _Leaving]] = [each.holding for each in self._leaving]
        for each in self._models:
            if each.held is not None:
                stays = each.is_pinned or each is coming
                takes = each.stay.takes or Amount()
                found.append(Holding(each, repr(each.name), takes, each.stay.last_use, each.is_used, stays))
        return found


class Place:
    """One load's. It is a Room of predictor/loading/room.py."""

    def __init__(
        self,
        keeper: Keeper,
        name: str,
        served: Served | None,
        lock: asyncio.Lock,
        view: measure.View,
        *,
        stays: bool,
    ) -> None:
        self.stays = stays
        self.takes = Amount()
        """What the model takes, once it is there."""
        self._keeper = keeper
        self._name = name
        self._served = served
        self._lock = lock
        self._view = view
        self._is_alone = False
        self._files = 0
        self._before = Amount()

    async def make(self, files: int) -> None:
        """As Room's; the model's files say how much it will be, unless that was measured before."""
        if self._keeper.budget.is_limited:
            await self._lock.acquire()
            self._is_alone = True
            known = None if self._served is None else self._served.stay.takes
            await self._keeper.clear(self._name, known or self._estimate(files), self._served)
        if not self.stays:
            self._view.clear()
        self._files = files
        self._before = await asyncio.to_thread(self._keeper.taken, ())

    async def fill(self, pids: Sequence[int] = ()) -> None:
        """As Room's."""
        self.takes = grown(self._before, await asyncio.to_thread(self._keeper.taken, pids), self._files)
        if self._is_alone:
            await self._keeper.clear(self._name, self.takes, self._served)

    def end(self) -> None:
        """Let the next one be opened."""
        if self._is_alone:
            self._lock.release()

    def _estimate(self, files: int) -> Amount:
        # Whether it will be on a GPU, its framework decides later; where that is limited, it is thought to be.
        return Amount(files, files if self._keeper.budget.gpu is not None else 0)


class _Leaving:
    """A model that is not there for anybody, and whose memory is not free yet."""

    def __init__(self, name: str, takes: Amount) -> None:
        self.gone = asyncio.Event()
        self.holding: Holding[_Thing] = Holding(self, name, takes, 0, is_leaving=True)

    async def answered(self) -> None:
        await self.gone.wait()


_Thing: TypeAlias = Served | _Leaving


def grown(before: Amount, after: Amount, files: int) -> Amount:
    """Return what a model takes: what the process has grown by, and at least its files.

    They may be mapped, and come into memory only as they are used; what is on a GPU is not here as well. Requests of
    other models that began or ended meanwhile are in it.
    """
    gpu = max(0, after.gpu - before.gpu)
    return Amount(max(after.host - before.host, files - gpu, 0), gpu)

"""One version of one model, as the endpoints see it: on its way, here, gone, or never to come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from predictor.loading.held import Held
from predictor.loading.progress import Progress
from predictor.pace import Pace
from predictor.statistics import Statistics
from predictor.turns import Turns
from torpor.errors import LoadError, NotFoundError, UnavailableError

VERSION = "1"
"""Of the model that a pod is made for; which revision that is, the Route says."""


class Served:
    """Belongs to the event loop."""

    def __init__(self, name: str, progress: Progress, version: str = VERSION) -> None:
        self.name = name
        self.version = version
        self.progress = progress
        self.statistics = Statistics()
        self.turns = Turns()
        self._forget()
        self.is_unloaded = False
        """It was here, and somebody has sent it away."""
        self._open: _Open | None = None

    @property
    def held(self) -> Held | None:
        """What answers; None unless it is warm."""
        return None if self._open is None else self._open.held

    def hold(self, held: Held) -> None:
        """Answer with this model from now on, which is the first."""
        self._open = _Open(held)

    @property
    def state(self) -> str:
        """In the words of the model repository extension."""
        if self._open is not None:
            return "READY"
        return "LOADING" if self.progress.state == "loading" and not self.is_unloaded else "UNAVAILABLE"

    @property
    def reason(self) -> str:
        """Why it is not ready; empty if it is."""
        error = self.progress.snapshot()["error"]
        if self._open is not None:
            return ""
        return "unloaded" if self.is_unloaded else f"{error['stage']}: {error['message']}" if error else "loading"

    def require(self) -> Held:
        """Return the model; raises NotFoundError if it was unloaded, LoadError, or UnavailableError while it loads."""
        if self._open is not None:
            return self._open.held
        if self.is_unloaded:
            raise NotFoundError(f"model {self.name!r} was unloaded from this server")
        error = self.progress.snapshot()["error"]
        if error:
            raise LoadError(error["stage"], f"{error['stage']}: {error['message']}")
        raise UnavailableError(f"model {self.name!r} is loading; /progress says how far it is")

    @contextlib.contextmanager
    def used(self) -> Iterator[Held]:
        """Give the model, which is not closed while the block runs; raises as `require` does."""
        held, open_ = self.require(), self._open
        assert open_ is not None  # noqa: S101  # require() has raised otherwise
        open_.users += 1
        try:
            yield held
        finally:
            open_.users -= 1
            if not open_.users and open_.unused is not None:
                open_.unused.set()

    def replace(self, held: Held, progress: Progress) -> Retired:
        """Answer with another one from now on; returns what answered before."""
        old, self._open = self._open, _Open(held)
        self._forget()
        self.progress, self.is_unloaded = progress, False
        return Retired(old)

    def _forget(self) -> None:
        """Of another model nothing is known."""
        self.pace, self.reading, self.writing = Pace(), Pace(), Pace()

    def unload(self) -> Retired:
        """Answer no more."""
        old, self._open = self._open, None
        self.is_unloaded = True
        return Retired(old)


class Retired:
    """A model that no new request finds."""

    def __init__(self, open_: _Open | None) -> None:
        self._open = open_

    async def closed(self) -> None:
        """Close it when the last request that uses it is answered."""
        if self._open is None:
            return
        if self._open.users:
            self._open.unused = asyncio.Event()
            await self._open.unused.wait()
        await asyncio.to_thread(self._open.held.close)


class _Open:
    """A model, and how many requests use it."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self.users = 0
        self.unused: asyncio.Event | None = None

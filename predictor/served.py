"""One version of one model, as the endpoints see it: on its way, here, gone, or never to come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from predictor.loading.held import Held
from predictor.loading.progress import Progress
from predictor.memory.stay import Stay
from predictor.model import Signature
from predictor.pace import Pace
from predictor.statistics import Statistics
from predictor.turns import Turns
from torpor.errors import LoadError, NotFoundError, UnavailableError

VERSION = "1"
"""Of the model that a pod is made for; which revision that is, the Route says."""


class Recall(Protocol):
    """Brings a model back that is away."""

    @property
    def is_under_way(self) -> bool:
        """Whether it is being loaded."""

    def check(self) -> None:
        """Raise why it could not be loaded just now, if it is not to be tried again yet."""

    async def __call__(self) -> None:
        """Return when it is back, for everybody who asks at the same time; raises LoadError, UnavailableError."""


class Served:
    """Belongs to the event loop."""

    def __init__(self, name: str, progress: Progress, version: str = VERSION) -> None:
        self.name = name
        self.version = version
        self.progress = progress
        self.statistics = Statistics()
        self.turns = Turns()
        self.stay = Stay()
        self._forget()
        self.is_unloaded = False
        """It was here, and somebody has sent it away."""
        self.is_away = False
        """Another one needs its memory: no new request may have it before `recall` has brought it back."""
        self.made_room_for = ""
        """The model for which it has gone."""
        self.is_pinned = False
        """It never goes for another one."""
        self.recall: Recall | None = None
        self.signature: Signature | None = None
        """Of what is here, or will be back when it is asked."""
        self.configuration: Mapping[str, Any] | None = None
        """Of Triton's kind, where it has one, likewise."""
        self.own_version: str | None = None
        """What its files say, likewise."""
        self._open: _Open | None = None

    @property
    def held(self) -> Held | None:
        """What answers; None unless it is warm."""
        return None if self._open is None else self._open.held

    @property
    def is_used(self) -> bool:
        """Whether requests have it that are not answered."""
        return self._open is not None and self._open.users > 0

    @property
    def answers(self) -> bool:
        """Whether a request would be answered, if only after a load."""
        return (self._open is not None and not self.trouble) or self.is_away

    @property
    def trouble(self) -> str:
        """Why what is here does not answer at present; empty if it does."""
        apart = None if self._open is None else self._open.held.apart
        return "" if apart is None else apart.trouble

    def hold(self, held: Held) -> None:
        """Answer with this model from now on, which is the first."""
        self._open = _Open(held)
        self.is_away, self.made_room_for = False, ""
        self.signature, self.own_version = held.signature, held.version
        self.configuration = held.configuration
        self.stay.used()

    @property
    def state(self) -> str:
        """In the words of the model repository extension."""
        if self._open is not None:
            return "UNAVAILABLE" if self.trouble else "READY"
        if self.is_away and not (self.recall is not None and self.recall.is_under_way):
            return "UNAVAILABLE"
        return "LOADING" if self.progress.state == "loading" and not self.is_unloaded else "UNAVAILABLE"

    @property
    def reason(self) -> str:
        """Why it is not ready; empty if it is."""
        error = self.progress.snapshot()["error"]
        if self._open is not None:
            return self.trouble
        if self.is_unloaded:
            return "unloaded"
        if error:
            return f"{error['stage']}: {error['message']}"
        if self.state == "LOADING":
            return "loading"
        return f"evicted to make room for {self.made_room_for}" if self.made_room_for else "loaded when it is asked"

    async def present(self) -> None:
        """Have it loaded if it is away; raises LoadError, UnavailableError."""
        if self.is_away and self.recall is not None:
            await self.recall()

    async def described(self) -> Signature:
        """Return what goes in and what comes out, which is known while it is away too; raises as `require` does."""
        if self.signature is None:
            await self.present()
        return self.signature if self.is_away and self.signature is not None else self.require().signature

    def check(self) -> None:
        """Raise as `require` does unless it is here, or would be back for a request."""
        if not self.is_away:
            self.require()
            if self.trouble:
                raise UnavailableError(f"model {self.name!r}: {self.trouble}")
        elif self.recall is not None:
            self.recall.check()

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
            self.stay.used()
            open_.release()

    def claim(self, count: int) -> Callable[[], None]:
        """Count so many requests as having it; returns what each of them calls when it has it indeed, or gives up."""
        open_ = self._open
        if open_ is None:
            return lambda: None
        open_.users += count
        return open_.release

    async def answered(self) -> None:
        """Return when no request has what is here now."""
        if self._open is not None:
            await self._open.answered()

    def replace(self, held: Held, progress: Progress) -> Retired:
        """Answer with another one from now on; returns what answered before."""
        old = self._open
        self._forget()
        self.hold(held)
        self.progress, self.is_unloaded = progress, False
        return Retired(old)

    def _forget(self) -> None:
        """Of another model nothing is known."""
        self.pace, self.reading, self.writing = Pace(), Pace(), Pace()
        self.turns.on_resize = None  # it would keep the old one, whose memory is wanted back

    def unload(self) -> Retired:
        """Answer no more."""
        self.is_unloaded, self.is_away, self.made_room_for = True, False, ""
        self.signature = self.own_version = self.configuration = None
        return self._left()

    def make_room(self, name: str) -> Retired:
        """Answer no more until `recall` has brought it back: this model is coming."""
        self.is_away, self.made_room_for = True, name
        return self._left()

    def _left(self) -> Retired:
        old, self._open = self._open, None
        self.turns.on_resize = None
        return Retired(old)


class Retired:
    """A model that no new request finds."""

    def __init__(self, open_: _Open | None) -> None:
        self._open = open_

    @property
    def is_open(self) -> bool:
        """Whether there was one, and it is not closed."""
        return self._open is not None

    @property
    def pids(self) -> list[int]:
        """Processes that it has to itself."""
        apart = None if self._open is None else self._open.held.apart
        return [] if apart is None else apart.pids()

    async def closed(self) -> None:
        """Close it when the last request that uses it is answered."""
        if self._open is None:
            return
        await self._open.answered()
        open_, self._open = self._open, None  # the last to know of it: its memory goes with it
        await asyncio.to_thread(open_.held.close)


class _Open:
    """A model, and how many requests use it."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self.users = 0
        self._unused: asyncio.Event | None = None

    def release(self) -> None:
        """One request less has it."""
        self.users -= 1
        if not self.users and self._unused is not None:
            self._unused.set()
            self._unused = None

    async def answered(self) -> None:
        """Return when no request has it."""
        while self.users:
            self._unused = self._unused or asyncio.Event()
            await self._unused.wait()

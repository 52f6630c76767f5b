"""How many requests of one model are computed at a time: TorchServe's workers, which may be more or fewer later."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from torpor.errors import UnavailableError


class Turns:
    """At most `limit` at a time, in order of arrival; None: no limit of its own. Belongs to the event loop."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.on_resize: Callable[[], None] | None = None
        """Is to know of another limit: who has turns of its own by it."""

    @property
    def limit(self) -> int | None:
        return self._limit

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def resize(self, limit: int | None) -> None:
        """Have another limit from now on. What is being computed goes on; of no turns at all, who waits is told."""
        self._limit = limit
        if limit == 0:
            for each in self._waiting:
                if not each.done():
                    each.set_exception(no_turns())
            self._waiting.clear()
        self._assign()
        if self.on_resize is not None:
            self.on_resize()

    def require(self) -> None:
        """Raise UnavailableError where there are no turns at all."""
        if self._limit == 0:
            raise no_turns()

    async def __aenter__(self) -> None:
        """Wait for a turn, which lasts as long as the block; raises UnavailableError where there are none at all."""
        self.require()
        if self.has_room and not self._waiting:
            self._taken += 1
        else:
            await self._called()

    async def __aexit__(self, *error: object) -> None:
        self._taken -= 1
        self._assign()

    @property
    def has_room(self) -> bool:
        """Whether one more may be computed now."""
        return self._limit is None or self._taken < self._limit

    async def _called(self) -> None:
        call: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(call)
        try:
            await call
        except BaseException:
            if call in self._waiting:
                self._waiting.remove(call)
            elif call.done() and not call.cancelled() and call.exception() is None:
                # It was called in the moment in which it gave up: the turn is the next one's.
                self._taken -= 1
                self._assign()
            raise

    def _assign(self) -> None:
        """Give turns that are free to those who wait."""
        while self._waiting and self.has_room:
            call = self._waiting.popleft()
            if not call.done():
                self._taken += 1
                call.set_result(None)


def no_turns() -> UnavailableError:
    """Return what is told to those who wait for a turn that nobody has."""
    return UnavailableError("this model has no workers; whoever manages it scales them up")

"""Bring a model back that had to make room: one load for all who ask meanwhile, and not again at once if it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from predictor.served import Served
from torpor.aio.backoff import Backoff
from torpor.aio.clock import Clock
from torpor.errors import LoadError, TorporError, UnavailableError

WAIT_S = 300.0
"""How long a request waits: Knative's limit of one."""
BACKOFF = Backoff(first_s=1.0, limit_s=30.0)


class Recall:
    """Of one model. Belongs to the event loop."""

    def __init__(
        self, served: Served, bring: Callable[[], Awaitable[None]], clock: Clock, wait_s: float = WAIT_S
    ) -> None:
        self._served = served
        self._bring = bring
        self._clock = clock
        self._wait_s = wait_s
        self._flight: _Flight | None = None
        self._failures = 0
        self._failure: TorporError | None = None
        self._again_s = 0.0
        """Until then who asks is told what went wrong."""

    @property
    def is_under_way(self) -> bool:
        return self._flight is not None

    def check(self) -> None:
        """Raise why it could not be loaded just now; returns when it is time for another try."""
        if self._failure is not None and self._clock.monotonic() < self._again_s:
            raise _again(self._failure)

    async def __call__(self) -> None:
        """Return when it is back; the caller has it first, before anybody may send it away again.

        Raises LoadError, and UnavailableError if it takes too long; the load goes on.
        """
        if self._flight is None:
            self.check()
            self._flight = _Flight(self._served, asyncio.ensure_future(self._fly()))
        flight = self._flight
        flight.waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await asyncio.shield(flight.task)
        except TimeoutError as error:
            name = self._served.name
            raise UnavailableError(f"model {name!r} is still being loaded after {self._wait_s:g} s") from error
        finally:
            flight.left()

    async def close(self) -> None:
        """Give up what is under way."""
        if self._flight is not None:
            task = self._flight.task
            task.cancel()
            await asyncio.wait({task})

    async def _fly(self) -> None:
        try:
            await self._bring()
        except Exception as error:
            self._failures += 1
            self._failure = _again(error)  # what it was raised from would keep half a model in memory
            self._again_s = self._clock.monotonic() + BACKOFF.delay_s(self._failures)
            raise
        else:
            self._failures, self._failure = 0, None
            assert self._flight is not None  # noqa: S101  # it ends here
            self._flight.land()
        finally:
            self._flight = None


class _Flight:
    """One load, and who waits for it."""

    def __init__(self, served: Served, task: asyncio.Future[None]) -> None:
        self.task = task
        task.add_done_callback(_seen)
        self.waiting = 0
        self._served = served
        self._release: Callable[[], None] | None = None

    def land(self) -> None:
        """It is back: whoever waits has it from now on."""
        self._release = self._served.claim(self.waiting)

    def left(self) -> None:
        """One does not wait any more."""
        if self._release is not None:
            self._release()
        else:
            self.waiting -= 1


def _again(error: Exception) -> TorporError:
    if isinstance(error, LoadError):
        return LoadError(error.stage, str(error), retryable=error.retryable)
    # What is none of ours may hold what is not for clients.
    return UnavailableError(str(error) if isinstance(error, TorporError) else type(error).__name__)


def _seen(task: asyncio.Future[None]) -> None:
    """Take the outcome: whoever waited may be gone."""
    if not task.cancelled():
        task.exception()

"""Threads that compute, so that the event loop goes on answering: at most so many at a time, in order of arrival."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from predictor.counters import Waits
from torpor.aio.clock import Clock

T = TypeVar("T")

GLANCE_S = 0.02
"""A client is looked at when its job takes longer than this: most are done before, and looking costs 30 µs."""


class Workers:
    """A bounded pool of threads."""

    def __init__(self, threads: int, waits: Waits, clock: Clock) -> None:
        """`waits` is told how long jobs wait for a thread."""
        self._waits = waits
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="compute")

    async def run(self, job: Callable[[], T], receive: Receive | None = None) -> T:
        """Return what `job` does, computed in a thread; raises ClientDisconnect when `receive` says that nobody waits.

        A job that has not begun is then dropped, as it is when the caller is cancelled. One that has begun cannot be
        stopped; its result is dropped.
        """
        loop, waits, clock = asyncio.get_running_loop(), self._waits, self._clock
        number = waits.enter(clock.monotonic())

        def begun() -> T:
            waits.begun(number, clock.monotonic())
            return job()

        computing = loop.run_in_executor(self._pool, begun)
        watch = None if receive is None else _Watch(computing, receive)
        try:
            return await computing
        except asyncio.CancelledError:
            if watch is not None and watch.is_gone:
                raise ClientDisconnect from None
            raise
        finally:
            waits.left(number)
            if watch is not None:
                watch.end()

    def close(self) -> None:
        """Start no further job; does not wait for those that run."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Watch:
    """Waits for the client to leave, and then cancels."""

    def __init__(self, computing: asyncio.Future[T], receive: Receive) -> None:
        self.is_gone = False
        self._computing = computing
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(GLANCE_S, self._begin)

    def end(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        self._computing.cancel()

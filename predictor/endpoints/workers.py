"""Threads that compute, so that the event loop goes on answering: at most so many at a time, in order of arrival."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from predictor.counters import Waits
from torpor.aio.clock import Clock

T = TypeVar("T")


class Workers:
    """A bounded pool of threads."""

    def __init__(self, threads: int, waits: Waits, clock: Clock) -> None:
        """`waits` is told how long jobs wait for a thread."""
        self._waits = waits
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="compute")

    async def run(self, job: Callable[[], T], receive: Receive) -> T:
        """Return what `job` does, computed in a thread; raises ClientDisconnect when the client has gone.

        A job that has not begun is then dropped. One that has cannot be stopped; its result is.
        """
        loop, waits, clock = asyncio.get_running_loop(), self._waits, self._clock
        number = waits.enter(clock.monotonic())

        def begun() -> T:
            waits.begun(number, clock.monotonic())
            return job()

        computing = loop.run_in_executor(self._pool, begun)
        gone = loop.create_task(_disconnected(receive))
        both: set[asyncio.Future[Any]] = {computing, gone}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not computing.done():
                raise ClientDisconnect
            return computing.result()
        finally:
            waits.left(number)
            computing.cancel()
            gone.cancel()

    def close(self) -> None:
        """Start no further job; does not wait for those that run."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

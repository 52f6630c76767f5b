"""An answer that is computed bit by bit: a thread makes the steps, the event loop sends them, neither runs ahead."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Generic, TypeVar

from starlette.types import Receive

from predictor.workers import Workers

T = TypeVar("T")

AHEAD = 16
"""Steps that the thread may be ahead of the client: more would be memory, fewer would make it wait for a packet."""


class Steps(Generic[T]):
    """Runs an iterator in one thread, from its first step to its last: model libraries keep modes by thread."""

    def __init__(self, workers: Workers, begin: Callable[[], Iterator[T]], receive: Receive | None = None) -> None:
        """`receive` says when the client has left: then nothing is begun, or no further step is made."""
        self._workers = workers
        self._begin = begin
        self._receive = receive
        self._queue: asyncio.Queue[T | None] = asyncio.Queue()
        self._room = threading.Semaphore(AHEAD)
        self._is_stopped = False
        self._loop = asyncio.get_running_loop()

    async def given(self) -> AsyncGenerator[T, None]:
        """Give each step; raises what the iterator raises. Left early, it closes the iterator."""
        running = asyncio.create_task(self._workers.run(self._run, self._receive))
        try:
            while True:
                getting = asyncio.ensure_future(self._queue.get())
                await asyncio.wait({getting, running}, return_when=asyncio.FIRST_COMPLETED)
                if getting.done():
                    step = getting.result()
                    if step is None:
                        break
                    self._room.release()
                    yield step
                    continue
                getting.cancel()
                if running.done():  # it was refused, or failed; what came before it is in the queue, and was given
                    await running
                    break
            await running
        finally:
            self._is_stopped = True
            self._room.release()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await running

    def _run(self) -> None:
        steps = self._begin()
        try:
            for step in steps:
                self._room.acquire()  # released by the consumer, or once for good when it has left
                if self._is_stopped:
                    return
                self._tell(step)
        finally:
            close = getattr(steps, "close", None)
            if callable(close):
                close()
            self._tell(None)

    def _tell(self, step: T | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
            self._loop.call_soon_threadsafe(self._queue.put_nowait, step)

"""Threads that compute, so that the event loop goes on answering: at most so many at a time, in order of arrival."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from predictor.counters import Waits
from torpor.aio.clock import Clock
from torpor.errors import ModelError

T = TypeVar("T")

GLANCE_S = 0.02
"""A client is looked at when its job takes longer than this: most are done before, and looking costs 30 µs."""


class Workers:
    """A bounded pool of threads.

    Leaner than concurrent.futures, whose every job has a lock and a condition of its own and two futures that copy from
    each other: 40 µs a request, as much as a small model.
    """

    def __init__(self, threads: int, waits: Waits, clock: Clock) -> None:
        """`waits` is told how long jobs wait for a thread."""
        self._waits = waits
        self._clock = clock
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._limit = threads
        self._threads = 0
        self._lock = threading.Lock()
        self._busy = 0
        """Jobs that are in the queue or with a thread; changed under the lock."""

    async def run(self, work: Callable[[], T], receive: Receive | None = None) -> T:
        """Return what `work` does, computed in a thread; raises ClientDisconnect when `receive` says that nobody waits.

        A job that has not begun is then dropped, as it is when the caller is cancelled. One that has begun cannot be
        stopped; its result is dropped.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        number = self._waits.enter(self._clock.monotonic())
        self.start(partial(self._compute, _Job(number, work, done, loop)))
        try:
            return await answered(done, receive)
        finally:
            self._waits.left(number)

    @property
    def is_free(self) -> bool:
        """Whether a job would have a thread at once."""
        return self._busy < self._limit

    @property
    def has_waiting(self) -> bool:
        """Whether a job waits for a thread."""
        return not self._jobs.empty()

    def start(self, job: Callable[[], None]) -> None:
        """Have a thread do it, which tells nobody; it must not raise."""
        with self._lock:
            self._busy += 1
            self._staff()
        self._jobs.put(job)

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Let another thread compute while this one waits in the block, for what others compute."""
        with self._lock:
            self._limit += 1
            self._staff()
        try:
            yield
        finally:
            with self._lock:
                self._limit -= 1

    def _staff(self) -> None:
        """Start a thread if there is work for one more, under the lock."""
        if self._busy > self._threads and self._threads < self._limit:
            self._threads += 1
            # A daemon: who ends the process does not wait for a model.
            threading.Thread(target=self._work, name=f"compute-{self._threads}", daemon=True).start()

    def close(self) -> None:
        """Start no further job; does not wait for those that run."""
        with contextlib.suppress(Empty):
            while True:
                self._jobs.get_nowait()
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            finally:
                with self._lock:
                    self._busy -= 1
                    is_spare = self._threads > self._limit
                    self._threads -= is_spare
            if is_spare:
                return
            del job  # a thread that waits holds no tensors

    def _compute(self, job: _Job) -> None:
        result, error = None, None
        if not job.done.cancelled():
            self._waits.begun(job.number, self._clock.monotonic())
            try:
                result = job.work()
            except BaseException as raised:  # a model's sys.exit() is an answer too, and must not end the thread
                error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            job.loop.call_soon_threadsafe(_settle, job, result, error)


def _settle(job: _Job, result: Any, error: BaseException | None) -> None:
    if job.done.done():
        return
    if error is None:
        job.done.set_result(result)
    else:
        job.done.set_exception(tellable(error))


def tellable(error: BaseException) -> Exception:
    """Return what a model has raised as what may be raised in an event loop, which would end by the rest."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    told = ModelError(f"the model raised {type(error).__name__}")
    told.__cause__ = error
    return told


async def answered(done: asyncio.Future[T], receive: Receive | None = None, glance_s: float = GLANCE_S) -> T:
    """Return what comes; raises ClientDisconnect when `receive` says that nobody waits for it any more.

    It is asked when that takes longer than `glance_s`.
    """
    watch = None if receive is None else _Watch(done, receive, glance_s)
    try:
        return await done
    except asyncio.CancelledError:
        if watch is not None and watch.is_gone:
            raise ClientDisconnect from None
        raise
    finally:
        if watch is not None:
            watch.end()


class _Job:
    """Something to compute, and who waits for it."""

    __slots__ = ("done", "loop", "number", "work")

    def __init__(
        self, number: int, work: Callable[[], Any], done: asyncio.Future[Any], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.number = number
        self.work = work
        self.done = done
        self.loop = loop


class _Watch:
    """Waits for the client to leave, and then cancels."""

    def __init__(self, computing: asyncio.Future[T], receive: Receive, glance_s: float) -> None:
        self.is_gone = False
        self._computing = computing
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(glance_s, self._begin)

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

"""Run what blocks in a thread of its own that cannot hold up the end of the process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

STOP_S = 5.0
"""How long a cancelled caller waits for work that was told to stop."""


def start(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Start `work` and return its future.

    A daemon thread: `load` of a user's class, or the import of torch, goes on for seconds or minutes after a SIGTERM,
    and the threads of asyncio's own pool are waited for when the process ends.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # handed on to who waits
            told = _raise(future, error)
        else:
            told = _return(future, result)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(told)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


async def run(work: Callable[[], T], *, stop: Callable[[], None] | None = None) -> T:
    """Return what `work` returns. On cancellation call `stop`, and wait a little for the work to end.

    Without `stop` it cannot end early and is left alone.
    """
    future = start(work, "load")
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        future.add_done_callback(seen)
        if stop is not None:
            stop()
            await asyncio.wait((future,), timeout=STOP_S)
        raise


def _return(future: asyncio.Future[T], result: T) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_result(result)


def _raise(future: asyncio.Future[T], error: BaseException) -> Callable[[], None]:
    if isinstance(error, StopIteration):  # a future refuses it
        error = RuntimeError(f"StopIteration: {error}")
    return lambda: None if future.done() else future.set_exception(error)


def seen(future: asyncio.Future[T]) -> None:
    """Take the outcome, so that it is not logged as one that nobody asked for."""
    if not future.cancelled():
        future.exception()

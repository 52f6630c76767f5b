"""Handle one object in order and others in parallel.

A key is worked on by one task at a time, and once more if it was added meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from torpor import errors
from torpor.aio.backoff import Backoff

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Call `handle(key)` for every key added; a failure is tried again after a back-off.

    `handle` may return a number of seconds after which it wants to see the key again.
    """

    def __init__(
        self,
        handle: Callable[[K], Awaitable[float | None]],
        *,
        parallel: int = 16,
        backoff: Backoff = Backoff(first_s=0.05, limit_s=30.0),
    ) -> None:
        self._handle = handle
        self._parallel = asyncio.Semaphore(parallel)
        self._backoff = backoff
        # Of each key: the task at work on it, whether it must run again (and in a hurry), its failures in a row,
        # its timer.
        self._running: dict[K, asyncio.Task[None]] = {}
        self._again: dict[K, bool] = {}
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._closed = False

    def add(self, key: K, *, hurry: bool = True) -> None:
        """Ask for `key` to be handled soon; asking twice before it starts is asking once.

        With `hurry` false a key that waits for its next try goes on waiting: what is asked for often does not
        turn a back-off into none.
        """
        if self._closed or (not hurry and key in self._timers):
            return
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._running:
            self._again[key] = hurry or self._again.get(key, False)
            return
        task = asyncio.get_running_loop().create_task(self._work(key))
        self._running[key] = task

    def add_after(self, key: K, delay_s: float) -> None:
        """Ask for `key` after `delay_s`, unless it is asked for sooner."""
        if self._closed or key in self._again:
            return
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(delay_s, self.add, key)

    async def idle(self) -> None:
        """Return when nothing is being handled (timers may still be set)."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def close(self) -> None:
        """Stop: cancel what runs, forget what waits."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, key: K) -> None:
        again_s: float | None = None
        failed = True
        try:
            async with self._parallel:
                # What was asked for while waiting for a place is answered by this very run.
                self._again.pop(key, None)
                again_s = await self._handle(key)
            failed = False
            self._failures.pop(key, None)
        except errors.ConflictError:
            again_s = self._retry(key)  # somebody else wrote first: look again, without noise
        except errors.TorporError as error:
            again_s = self._retry(key)
            log.warning("handling %s failed, again in %.2f s: %s", key, again_s, error)
        except Exception:
            again_s = self._retry(key)
            log.exception("handling %s failed, again in %.2f s", key, again_s)
        finally:
            del self._running[key]
        hurry = self._again.pop(key, None)
        if hurry or (hurry is not None and not failed):
            self.add(key)
        elif again_s is not None:
            self.add_after(key, again_s)

    def _retry(self, key: K) -> float:
        self._failures[key] = self._failures.get(key, 0) + 1
        return self._backoff.delay_s(self._failures[key], random.random())  # noqa: S311

"""Threads that compute: so many at a time, in order of arrival, and nobody's job outlives him in the queue."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from predictor.counters import Waits
from predictor.workers import Workers
from tests.support.until import until
from torpor.aio.clock import SystemClock
from torpor.errors import ModelError


@contextlib.asynccontextmanager
async def workers(threads: int) -> AsyncIterator[tuple[Workers, Waits]]:
    waits = Waits()
    with contextlib.closing(Workers(threads, waits, SystemClock())) as pool:
        yield pool, waits


async def test_results_and_errors_come_back() -> None:
    """As from a call."""

    def fails() -> None:
        raise ValueError("no")

    async with workers(1) as (pool, _):
        assert await pool.run(lambda: 7) == 7
        with pytest.raises(ValueError, match="no"):
            await pool.run(fails)
        assert await pool.run(lambda: 8) == 8


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, StopIteration])
async def test_what_would_end_a_loop_is_the_models_error(kind: type[BaseException]) -> None:
    """`sys.exit()` in a model ends its request, and neither the thread nor the server."""

    def leaves() -> None:
        raise kind

    async with workers(1) as (pool, _):
        with pytest.raises(ModelError, match=kind.__name__):
            await pool.run(leaves)
        assert await pool.run(lambda: 7) == 7


async def test_at_most_so_many_at_a_time_in_order_of_arrival() -> None:
    """The rest wait, and are counted as waiting."""
    gate, order, at_once = threading.Event(), [], []
    running = threading.Semaphore(0)

    def job(number: int) -> Callable[[], None]:
        def work() -> None:
            at_once.append(number)
            running.release()
            assert gate.wait(10)
            order.append(number)

        return work

    async with workers(2) as (pool, waits):
        tasks = [asyncio.create_task(pool.run(job(number))) for number in range(6)]
        for _ in range(2):
            assert await asyncio.to_thread(running.acquire, timeout=10)
        assert (sorted(at_once), sorted(waits.waiting)) == ([0, 1], [3, 4, 5, 6])
        gate.set()
        await asyncio.gather(*tasks)
    assert at_once[:2] in ([0, 1], [1, 0])
    assert sorted(order) == list(range(6))
    assert waits.waiting == {}


async def test_a_job_whose_caller_is_cancelled_does_not_begin() -> None:
    """It has left the queue when its turn comes."""
    gate, begun = threading.Event(), []
    async with workers(1) as (pool, waits):
        first = asyncio.create_task(pool.run(lambda: gate.wait(10)))
        second = asyncio.create_task(pool.run(lambda: begun.append(2)))
        third = asyncio.create_task(pool.run(lambda: begun.append(3)))
        await until(lambda: len(waits.waiting) == 2)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        gate.set()
        await asyncio.gather(first, third)
    assert begun == [3]


async def test_closed_workers_end() -> None:
    """Their threads are gone, and what had not begun never does."""
    gate, begun, before = threading.Event(), [], set(threading.enumerate())
    async with workers(1) as (pool, waits):
        first = asyncio.create_task(pool.run(lambda: gate.wait(10)))
        second = asyncio.create_task(pool.run(lambda: begun.append(2)))
        await until(lambda: len(waits.waiting) == 1)
        assert not before.issuperset(threading.enumerate())
    gate.set()
    assert await first
    second.cancel()
    await until(lambda: before.issuperset(threading.enumerate()))
    assert begun == []


async def test_who_waits_for_others_lends_his_thread() -> None:
    """As deep as one likes; afterwards there are no more threads at work than before."""
    async with workers(1) as (pool, _):
        loop = asyncio.get_running_loop()

        def deep(levels: int) -> int:
            if not levels:
                return 0
            with pool.lent():
                return 1 + asyncio.run_coroutine_threadsafe(pool.run(lambda: deep(levels - 1)), loop).result()

        async with asyncio.timeout(10):
            assert await asyncio.gather(*(pool.run(lambda: deep(5)) for _ in range(4))) == [5] * 4
        gate, running = threading.Event(), threading.Semaphore(0)
        at_once: list[int] = []

        def job() -> None:
            at_once.append(1)
            running.release()
            assert gate.wait(10)

        jobs = [asyncio.ensure_future(pool.run(job)) for _ in range(3)]
        await asyncio.to_thread(running.acquire)
        assert len(at_once) == 1
        gate.set()
        await asyncio.gather(*jobs)

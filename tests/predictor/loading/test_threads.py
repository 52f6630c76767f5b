"""Work in threads, and callers that leave."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from predictor.loading import threads
from tests.support.until import until


async def test_results_and_errors_come_back() -> None:
    """As they are, even the one that a future refuses."""

    def fails(error: BaseException) -> None:
        raise error

    assert await threads.run(lambda: 7) == 7
    with pytest.raises(ValueError, match="x"):
        await threads.run(lambda: fails(ValueError("x")))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads.run(lambda: fails(StopIteration()))


async def test_a_caller_that_leaves_stops_the_work_and_waits_for_its_end() -> None:
    """So that what it was writing can be removed."""
    stopped, started = threading.Event(), threading.Event()
    ended: list[bool] = []

    def work() -> None:
        started.set()
        ended.append(stopped.wait(5))

    task = asyncio.create_task(threads.run(work, stop=stopped.set))
    await until(started.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_a_caller_that_leaves_does_not_wait_for_what_cannot_be_stopped() -> None:
    """It is left alone; what it ends with concerns nobody."""
    release, started = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        release.wait(5)
        raise ValueError("nobody asks")

    task = asyncio.create_task(threads.run(work))
    await until(started.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()


def test_work_that_goes_on_does_not_hold_up_the_end_of_the_process() -> None:
    """A pod that is told to stop while a class loads for an hour stops."""
    program = (
        "import asyncio, threading\n"
        "from predictor.loading import threads\n"
        "async def main():\n"
        "    threads.start(threading.Event().wait, 'forever')\n"
        "    print('ended')\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == ("ended\n", "")

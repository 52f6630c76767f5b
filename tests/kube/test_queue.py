"""One object in order, others in parallel, failures again after a back-off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.support.until import until
from torpor import errors
from torpor.aio.backoff import Backoff
from torpor.kube import WorkQueue

SOON = Backoff(first_s=0.001, limit_s=0.002)
NEVER = Backoff(first_s=3600, limit_s=3600)

Handle = Callable[[str], Awaitable[float | None]]


class Work:
    """A handler that tests hold up and let go on, and that writes down what happened."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.failures: dict[str, list[Exception]] = {}
        self.at_once = 0
        self.most_at_once = 0

    async def handle(self, key: str) -> float | None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.log.append(f"+{key}")
        try:
            if key in self.gates:
                await self.gates[key].wait()
            if self.failures.get(key):
                raise self.failures[key].pop(0)
        finally:
            self.at_once -= 1
            self.log.append(f"-{key}")
        return None


@pytest.fixture
async def work() -> Work:
    return Work()


@pytest.fixture
async def queues() -> AsyncIterator[Callable[..., WorkQueue[str]]]:
    made: list[WorkQueue[str]] = []

    def make(handle: Handle, backoff: Backoff = SOON, parallel: int = 16) -> WorkQueue[str]:
        made.append(WorkQueue(handle, parallel=parallel, backoff=backoff))
        return made[-1]

    yield make
    for queue in made:
        await queue.close()


async def test_asked_twice_before_it_starts_is_once(work: Work, queues: Callable[..., WorkQueue[str]]) -> None:
    """A burst of changes of one object is one reconcile."""
    queue = queues(work.handle)
    for _ in range(5):
        queue.add("a")
    await queue.idle()
    assert work.log == ["+a", "-a"]


async def test_asked_while_it_runs_is_once_more_and_never_beside(
    work: Work, queues: Callable[..., WorkQueue[str]]
) -> None:
    """What changed during a run is seen by a second one, after the first."""
    work.gates["a"] = asyncio.Event()
    queue = queues(work.handle)
    queue.add("a")
    await until(lambda: work.log == ["+a"])
    for _ in range(5):
        queue.add("a")
    work.gates["a"].set()
    await queue.idle()
    assert work.log == ["+a", "-a", "+a", "-a"]


async def test_other_keys_do_not_wait(work: Work, queues: Callable[..., WorkQueue[str]]) -> None:
    """One slow object holds nobody else up."""
    work.gates["slow"] = asyncio.Event()
    queue = queues(work.handle)
    queue.add("slow")
    queue.add("b")
    queue.add("c")
    await until(lambda: {"-b", "-c"} <= set(work.log))
    work.gates["slow"].set()
    await queue.idle()
    assert work.log[-1] == "-slow"
    assert {"+b", "-b", "+c", "-c"} <= set(work.log)


async def test_parallel_is_a_limit(work: Work, queues: Callable[..., WorkQueue[str]]) -> None:
    """Never more at once than was allowed, and all are handled."""
    queue = queues(work.handle, parallel=3)
    for key in "abcdefghij":
        work.gates[key] = asyncio.Event()
        queue.add(key)
    await until(lambda: work.at_once == 3)
    for gate in work.gates.values():
        gate.set()
    await queue.idle()
    assert work.most_at_once == 3
    assert {entry[1:] for entry in work.log} == set("abcdefghij")


@pytest.mark.parametrize(
    ("error", "level"),
    [
        pytest.param(errors.UnavailableError("down"), logging.WARNING, id="ours is a warning"),
        pytest.param(errors.ConflictError("raced"), None, id="a conflict is daily business"),
        pytest.param(RuntimeError("bug"), logging.ERROR, id="a bug is an error, with its trace"),
    ],
)
async def test_a_failure_is_tried_again(
    work: Work,
    queues: Callable[..., WorkQueue[str]],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    level: int | None,
) -> None:
    """Whatever failed comes again, until it does not fail."""
    work.failures["a"] = [error, error]
    queue = queues(work.handle)
    queue.add("a")
    await until(lambda: work.log.count("+a") == 3)
    await queue.idle()
    assert work.log == ["+a", "-a"] * 3
    assert {record.levelno for record in caplog.records} == ({level} if level else set())


async def test_success_forgets_the_failures(work: Work) -> None:
    """The next failure begins with the shortest wait."""
    delays: list[int] = []

    class Spy(Backoff):
        def delay_s(self, failures: int, dice: float = 1.0) -> float:
            delays.append(failures)
            return 0.0

    queue = WorkQueue(work.handle, backoff=Spy())
    work.failures["a"] = [errors.UnavailableError("1"), errors.UnavailableError("2")]
    queue.add("a")
    await until(lambda: work.log.count("+a") == 3)
    await queue.idle()
    work.failures["a"] = [errors.UnavailableError("3")]
    queue.add("a")
    await until(lambda: work.log.count("+a") == 5)
    await queue.close()
    assert delays == [1, 2, 1]


async def test_a_change_does_not_wait_for_the_back_off(work: Work, queues: Callable[..., WorkQueue[str]]) -> None:
    """Who corrects the object that failed is not punished for the failure."""
    work.failures["a"] = [errors.UnavailableError("down")]
    queue = queues(work.handle, NEVER)
    queue.add("a")
    await queue.idle()
    queue.add("a")
    await queue.idle()
    assert work.log == ["+a", "-a"] * 2


async def test_without_hurry_the_back_off_holds(work: Work, queues: Callable[..., WorkQueue[str]]) -> None:
    """A thousand requests for one revision are not a thousand tries on an API that is down."""
    work.failures["a"] = [errors.UnavailableError("down")]
    work.gates["a"] = asyncio.Event()
    queue = queues(work.handle, NEVER)
    queue.add("a")
    await until(lambda: work.log == ["+a"])
    queue.add("a", hurry=False)  # while it runs, and is about to fail
    work.gates["a"].set()
    await queue.idle()
    for _ in range(1000):
        queue.add("a", hurry=False)
    await queue.idle()
    assert work.log == ["+a", "-a"]


async def test_without_hurry_a_running_key_runs_once_more(work: Work, queues: Callable[..., WorkQueue[str]]) -> None:
    """Only a failure makes it wait; no call is lost."""
    work.gates["a"] = asyncio.Event()
    queue = queues(work.handle, NEVER)
    queue.add("a", hurry=False)
    await until(lambda: work.log == ["+a"])
    queue.add("a", hurry=False)
    work.gates["a"].set()
    await queue.idle()
    assert work.log == ["+a", "-a"] * 2


async def test_hurry_while_it_runs_outdoes_the_failure(work: Work, queues: Callable[..., WorkQueue[str]]) -> None:
    """A change that came during a run that failed is looked at right away."""
    work.failures["a"] = [errors.UnavailableError("down")]
    work.gates["a"] = asyncio.Event()
    queue = queues(work.handle, NEVER)
    queue.add("a")
    await until(lambda: work.log == ["+a"])
    queue.add("a")
    queue.add("a", hurry=False)
    work.gates["a"].set()
    await queue.idle()
    assert work.log == ["+a", "-a"] * 2


async def test_a_handler_may_ask_to_be_called_again(queues: Callable[..., WorkQueue[str]]) -> None:
    """It returns a number of seconds, for instance the rest of a grace period."""
    calls = 0
    done = asyncio.Event()

    async def handle(_: str) -> float | None:
        nonlocal calls
        calls += 1
        if calls == 3:
            done.set()
            return None
        return 0.001

    queue = queues(handle)
    queue.add("a")
    await asyncio.wait_for(done.wait(), 5)
    await queue.idle()
    assert calls == 3


async def test_closed_means_closed(work: Work) -> None:
    """What runs is cancelled and gives back what it took; what comes later is not handled."""
    work.gates["a"] = asyncio.Event()
    queue = WorkQueue(work.handle)
    queue.add("a")
    queue.add_after("b", 3600)
    await until(lambda: work.log == ["+a"])
    await queue.close()
    queue.add("c")
    queue.add_after("d", 0)
    await queue.idle()
    assert work.log == ["+a", "-a"]

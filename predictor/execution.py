"""Run what a protocol asks of a model: in a thread, on the loop where that is always done at once, or in a batch."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.types import Receive

from predictor.calls import Call, Computing, Infer, computed, failed, started, written
from predictor.counters import Waits
from predictor.loading.held import Held
from predictor.pace import SMALL_BYTES, Pace
from predictor.served import Served
from predictor.statistics import Laps
from predictor.steps import Steps
from predictor.workers import Workers, answered, tellable
from torpor.aio.clock import Clock
from torpor.errors import UnsupportedError

if TYPE_CHECKING:
    from predictor.batching.batcher import Batcher
    from predictor.batching.sequences import Ask
    from predictor.cache import Key

T = TypeVar("T")


class Execution:
    """Belongs to the event loop."""

    def __init__(self, workers: Workers, waits: Waits, clock: Clock, is_alone: Callable[[], bool]) -> None:
        """`is_alone` says that one request at most is here: then what is always brief is computed on the loop itself.

        Of many at once, a thread computes one after the other while the loop reads and writes: the code of each stays
        in the processor's caches, which is worth more (measured: a quarter) than the way to the thread costs.
        """
        self._workers = workers
        self._waits = waits
        self._clock = clock
        self._is_alone = is_alone

    async def run(
        self,
        served: Served,
        held: Held,
        begin: Callable[[], Computing[T]],
        length: int,
        receive: Receive | None = None,
    ) -> T:
        """Return what is computed, counted in the model's statistics; raises what it raises.

        `length` is that of the request, in bytes. `receive` says when the client has left.
        """
        arrived_ns = time.perf_counter_ns()
        laps = Laps()
        batcher = None if held.batching is None else held.batcher or self._batcher(served, held)
        is_batched = batcher is not None and not (batcher.is_idle and self._workers.is_free)
        try:
            if batcher is None:
                result = await self._separately(served, held, begin, length, laps, receive)
            elif batcher.is_idle and self._workers.is_free:  # one job is less than three, and it waits for nobody
                with batcher.alone():
                    result = await self._separately(served, held, begin, length, laps, receive)
            else:
                result = await self._batched(served, batcher, held, begin, length, laps, receive)
        except Exception as error:
            served.statistics.failed(time.perf_counter_ns() - arrived_ns, error)
            raise
        if not is_batched and not laps.is_hit:
            served.statistics.executed(laps)
        served.statistics.succeeded(arrived_ns, laps, int(self._clock.wall() * 1000))
        return result

    def is_at_once(self, served: Served, held: Held, length: int) -> bool:
        """Tell whether a request of so many bytes may be computed here and now."""
        if held.batching is not None and (held.batcher is None or not held.batcher.is_idle):
            return False
        return self._is_brief(served, held, length) and served.turns.has_room

    def at_once(self, served: Served, held: Held, begin: Callable[[], Computing[T]]) -> T:
        """As `run`, on the loop: where `is_at_once` says so."""
        arrived_ns = time.perf_counter_ns()
        laps = Laps()
        try:
            result = _here(partial(_whole, held, begin, laps))
        except Exception as error:
            served.statistics.failed(time.perf_counter_ns() - arrived_ns, error)
            raise
        finally:
            ended_ns = laps.encoded_ns or time.perf_counter_ns()
            served.pace.took((ended_ns - arrived_ns) / 1e9, on_loop=True)
        if not laps.is_hit:
            served.statistics.executed(laps)
        served.statistics.succeeded(arrived_ns, laps, int(self._clock.wall() * 1000))
        return result

    async def run_steps(
        self, served: Served, work: Callable[[], Iterator[T]], receive: Receive | None = None
    ) -> AsyncGenerator[T, None]:
        """As `run`, bit by bit."""
        arrived_ns = time.perf_counter_ns()
        try:
            async with served.turns:
                laps = Laps(began_ns=time.perf_counter_ns())
                async with contextlib.aclosing(Steps(self._workers, work, receive).given()) as given:
                    async for step in given:
                        yield step
        except Exception as error:
            served.statistics.failed(time.perf_counter_ns() - arrived_ns, error)
            raise
        laps.decoded_ns = laps.began_ns
        laps.inferred_ns = laps.encoded_ns = time.perf_counter_ns()
        served.statistics.executed(laps)
        served.statistics.succeeded(arrived_ns, laps, int(self._clock.wall() * 1000))

    def _is_brief(self, served: Served, held: Held, length: int) -> bool:
        # Processes may be at work for others, or hang: the loop must not wait for them.
        # What asks other models waits for the loop.
        return held.apart is None and not held.asks_others and served.pace.is_brief(length) and self._is_alone()

    async def _separately(
        self,
        served: Served,
        held: Held,
        begin: Callable[[], Computing[T]],
        length: int,
        laps: Laps,
        receive: Receive | None,
    ) -> T:
        """Read, ask and write as one job."""
        job = partial(_whole, held, begin, laps)
        on_loop = False
        try:
            async with served.turns:
                on_loop = self._is_brief(served, held, length)
                return _here(job) if on_loop else await self._workers.run(job, receive)
        finally:
            ended_ns = laps.encoded_ns or time.perf_counter_ns()
            if laps.began_ns:
                served.pace.took((ended_ns - laps.began_ns) / 1e9, on_loop=on_loop)

    async def _batched(
        self,
        served: Served,
        batcher: Batcher,
        held: Held,
        begin: Callable[[], Computing[T]],
        length: int,
        laps: Laps,
        receive: Receive | None,
    ) -> T:
        """Read and write for each, ask for many at once."""
        served.turns.require()
        since_s = self._clock.monotonic()
        computing = begin()
        call, result = await self._briefly(served.reading, length, partial(started, computing))
        if call is None:
            return result  # type: ignore[return-value]  # then it has ended by this
        laps.rows = call.rows
        key, answer = (None, None) if held.sequencing is not None else _kept(held, call, laps)
        if not laps.is_hit:
            try:
                if held.sequencing is None:
                    answer = await batcher.answer(call, laps, receive, since_s)
                else:
                    ask = partial(batcher.answer, laps=laps, since_s=since_s)
                    answer = await answered(_in_sequence(held, call, ask), receive)
            except Exception as error:
                return failed(computing, error)
            served.pace.took((laps.inferred_ns - laps.began_ns) / 1e9, on_loop=False)
            _keep(held, key, call, answer, laps)
        reply = await self._briefly(served.writing, length, partial(written, computing, answer))
        laps.encoded_ns = time.perf_counter_ns()
        return reply

    async def _briefly(self, pace: Pace, length: int, work: Callable[[], T]) -> T:
        """Do what seldom takes long: here where it never has, else in a thread."""
        if pace.is_brief(length) or (length <= SMALL_BYTES and not self._workers.is_free):
            began_s = time.perf_counter()
            result = work()
            pace.took(time.perf_counter() - began_s, on_loop=True)
            return result

        def job() -> tuple[T, float]:
            began_s = time.thread_time()  # the model may be at work on the same core meanwhile
            result = work()
            return result, time.thread_time() - began_s

        result, seconds = await self._workers.run(job)
        pace.took(seconds, on_loop=False)
        return result

    def _batcher(self, served: Served, held: Held) -> Batcher:
        from predictor.batching.batcher import Batcher  # noqa: PLC0415  # few models have one

        assert held.batching is not None  # noqa: S101  # who calls has asked
        turns = served.turns
        held.batcher = Batcher(
            held, held.batching, self._workers, self._waits, self._clock, served.statistics, lambda: turns.limit
        )
        turns.on_resize = held.batcher.look
        return held.batcher


def _whole(held: Held, begin: Callable[[], Computing[T]], laps: Laps) -> T:
    """Read, ask and write; blocks."""
    if held.batching is not None:
        from predictor.batching.asked import checked  # noqa: PLC0415  # numpy comes with it

    def ask(call: Call) -> Any:
        laps.decoded_ns, laps.rows = time.perf_counter_ns(), call.rows
        if held.batching is not None:
            call = checked(call)
        key, answer = _kept(held, call, laps)
        if not laps.is_hit:
            answer = call.alone(held)
            _keep(held, key, call, answer, laps)
        laps.inferred_ns = time.perf_counter_ns()
        return answer

    laps.began_ns = time.perf_counter_ns()
    result = computed(begin(), ask)
    laps.encoded_ns = time.perf_counter_ns()
    return result


def _in_sequence(held: Held, call: Call, ask: Ask) -> asyncio.Future[Any]:
    """Ask a stateful model: after the request before this one of its sequence."""
    from predictor.batching.sequences import Sequences  # noqa: PLC0415  # few models have them

    assert held.sequencing is not None  # noqa: S101  # who calls has asked
    if not isinstance(call, Infer):
        raise UnsupportedError("this model is stateful: ask it by V2's infer, with sequence_id")
    if held.sequences is None:
        held.sequences = Sequences(held.sequencing)
    return asyncio.ensure_future(held.sequences.answer(call, ask))


def _kept(held: Held, call: Call, laps: Laps) -> tuple[Key | None, Any]:
    """Return what a call's answer is kept by, where it is to be, and the answer if it is there; says so in the laps."""
    if held.cache is None:
        return None, None
    from predictor.cache import key_of  # noqa: PLC0415  # few models have one

    began_ns = time.perf_counter_ns()
    key = key_of(call)
    answer = None if key is None else held.cache.find(key)
    laps.is_hit = answer is not None
    laps.kept_ns = time.perf_counter_ns() - began_ns
    return key, answer


def _keep(held: Held, key: Key | None, call: Call, answer: Any, laps: Laps) -> None:
    """Keep the answer to a call, where it is to be."""
    if key is None or held.cache is None:
        return
    began_ns = time.perf_counter_ns()
    held.cache.keep(key, call, answer)
    laps.kept_ns += time.perf_counter_ns() - began_ns


def _here(job: Callable[[], T]) -> T:
    """Run the job on the loop's own thread, as in one that has no loop: a model may use asyncio.run()."""
    loop = asyncio.get_running_loop()
    asyncio._set_running_loop(None)  # noqa: SLF001  # exported for those who run loops
    try:
        return job()
    except (SystemExit, KeyboardInterrupt, StopIteration) as error:
        raise tellable(error) from error
    finally:
        asyncio._set_running_loop(loop)  # noqa: SLF001

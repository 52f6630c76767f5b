"""One model's requests become batches: they wait here, and threads take them as soon as they are free.

A thread that has executed one batch takes the next by itself: on the way over the event loop, which reads and writes
meanwhile, the model would stand still.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.types import Receive

from predictor.batching.line import Entry, Line
from predictor.batching.options import Batching
from predictor.calls import Call, Infer
from predictor.counters import Waits
from predictor.statistics import Laps, Statistics
from predictor.turns import no_turns
from predictor.workers import Workers, answered, tellable
from torpor.aio.clock import Clock
from torpor.errors import DeadlineError

if TYPE_CHECKING:
    from predictor.loading.held import Held

log = logging.getLogger(__name__)

GLANCE_S = 0.1
"""A client is looked at when it waits for longer than this: to look costs as much as to read its request."""
TURN_S = 0.1
"""After so long a thread that others wait for lets them go first."""


@dataclass(eq=False, slots=True)
class _Asked:
    """One request that is waiting, and who waits for it."""

    call: Call
    done: asyncio.Future[Any]
    laps: Laps
    number: int
    """Among the waits."""


@dataclass(eq=False, slots=True)
class _Executed:
    """One batch, and what has become of it: for each request its answer, or an error."""

    batch: list[Entry[_Asked]]
    answers: list[Any] = field(default_factory=list)
    laps: Laps = field(default_factory=Laps)
    is_done: bool = False


class Batcher:
    """Belongs to the event loop, but for what threads do: take batches, under the lock, and execute them."""

    def __init__(
        self,
        held: Held,
        batching: Batching,
        workers: Workers,
        waits: Waits,
        clock: Clock,
        statistics: Statistics,
        limit: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`limit` says how many executions there may be at once, where somebody manages that; None: `batching` does."""
        self._held = held
        self._batching = batching
        self._is_plain = not batching.delay_s and not batching.keeps_order and held.sequencing is None
        self._workers = workers
        self._waits = waits
        self._clock = clock
        self._statistics = statistics
        self._limit = limit
        self._lock = threading.Lock()
        self._line: Line[_Asked] = Line(batching)
        self._busy = 0
        """Threads at work on it, or about to be; changed under the lock."""
        self._begun: list[_Executed] = []
        """Where order is kept: those whose answers have not been given yet."""
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def is_idle(self) -> bool:
        """Whether one that comes now would be executed at once, and alone."""
        return self._is_plain and not self._busy and not self._line

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Have one executed by other means while the block runs: where it is idle. Whoever comes meanwhile waits."""
        with self._lock:
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1
            self.look()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._line)

    async def answer(self, call: Call, laps: Laps, receive: Receive | None = None, since_s: float | None = None) -> Any:
        """Return what the model answers; `laps` gets when it was computed. It waits since `since_s`; None: since now.

        Raises QueueFullError, DeadlineError when it has waited for longer than it may, ClientDisconnect when `receive`
        says that nobody waits any more, and what the model raises. Whoever is cancelled before its execution is not
        part of it.
        """
        from predictor.batching.asked import wishes  # noqa: PLC0415  # numpy comes with it

        wish = wishes(call, self._held, self._batching)
        now_s = self._clock.monotonic()
        asked = _Asked(call, self._loop.create_future(), laps, self._waits.enter(now_s))
        entry = Entry(asked, call.rows, wish.key, wish.level, now_s)
        timer = None
        try:
            with self._lock:
                self._line.add(entry)
            self.look()
            if wish.timeout_s:
                rest_s = wish.timeout_s - (0.0 if since_s is None else now_s - since_s)
                timer = self._loop.call_later(max(0.0, rest_s), self._overdue, entry, wish.timeout_s)
            return await answered(asked.done, receive, GLANCE_S)
        finally:
            if timer is not None:
                timer.cancel()
            self._waits.left(asked.number)
            if entry.is_waiting:  # who was taken is not put back
                with self._lock:
                    self._line.drop(entry)

    def _overdue(self, entry: Entry[_Asked], timeout_s: float) -> None:
        """Its time to wait is over; what is being executed already is not stopped."""
        delays = self._batching.policy_of(entry.level).delays
        with self._lock:
            was_waiting = self._line.delay(entry) if delays else self._line.drop(entry)
        if was_waiting and not delays and not entry.what.done.done():
            entry.what.done.set_exception(overdue(timeout_s))

    def look(self) -> None:
        """See whether a thread is to begin, or when; also when there may be more, or fewer, at once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        limit = self._limit()
        most = self._batching.instances if limit is None else limit
        if not most:
            self._send_away()
        with self._lock:
            wait_s = self._line.wait_s(self._clock.monotonic()) if self._busy < most else None
            begins = min(most - self._busy, len(self._line)) if wait_s == 0.0 else 0
            self._busy += begins
        for _ in range(begins):
            self._workers.start(self._work)
        if wait_s:
            self._timer = self._loop.call_later(wait_s, self.look)

    def _send_away(self) -> None:
        """Tell those who wait that there is nobody to wait for."""
        with self._lock:
            gone = self._line.clear()
        for entry in gone:
            if not entry.what.done.done():
                entry.what.done.set_exception(no_turns())

    def _work(self) -> None:
        """Execute batches until there are none; runs in a thread."""
        began_s = self._clock.monotonic()
        while True:
            now_s = self._clock.monotonic()
            gives_way = now_s - began_s > TURN_S and self._workers.has_waiting
            with self._lock:
                batch = [] if gives_way else self._line.take(now_s)
                if not batch:
                    self._busy -= 1
                    waits = bool(self._line)
                else:
                    executed = _Executed(batch)
                    if self._batching.keeps_order:
                        self._begun.append(executed)
            if not batch:
                if waits:
                    self._tell(self.look)
                return
            for each in batch:
                self._waits.begun(each.what.number, now_s)
            self._execute(executed)
            self._tell(partial(self._settle, executed))
            del batch, executed  # a thread that waits holds no tensors

    def _execute(self, executed: _Executed) -> None:
        laps, calls = executed.laps, [each.what.call for each in executed.batch]
        laps.began_ns = laps.decoded_ns = time.perf_counter_ns()
        laps.rows = sum(each.rows for each in executed.batch)
        executed.answers = self._answers(calls)
        laps.inferred_ns = laps.encoded_ns = time.perf_counter_ns()

    def _answers(self, calls: list[Call]) -> list[Any]:
        """Return an answer or an error for each; one that makes all of them fail, fails alone."""
        if len(calls) > 1 or _has_slot(calls[0]):
            from predictor.batching.together import joined  # noqa: PLC0415  # numpy comes with it

            try:
                answers = list(joined(calls, self._held, self._batching.padding))
            except BaseException as error:  # a model's sys.exit() is an answer too, and must not end the thread
                if self._held.sequencing is not None:  # what it keeps itself, it may have changed already
                    return [tellable(error)] * len(calls)
                log.info("a batch of %d requests raised %s: each is computed alone", len(calls), type(error).__name__)
            else:
                if len(answers) == len(calls):
                    return answers
                log.info("a batch of %d requests got %d answers: each is computed alone", len(calls), len(answers))
        return [self._alone(call) for call in calls]

    def _alone(self, call: Call) -> Any:
        try:
            if _has_slot(call):
                from predictor.batching.together import joined  # noqa: PLC0415

                return joined([call], self._held, {})[0]
            return call.alone(self._held)
        except BaseException as error:  # also a sys.exit(), as above
            return tellable(error)

    def _tell(self, what: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(what)

    def _settle(self, executed: _Executed) -> None:
        executed.is_done = True
        self._statistics.executed(executed.laps)
        if not self._batching.keeps_order:
            self._give(executed)
            return
        while self._begun and self._begun[0].is_done:
            self._give(self._begun.pop(0))

    def _give(self, executed: _Executed) -> None:
        for entry, answer in zip(executed.batch, executed.answers, strict=True):
            asked = entry.what
            asked.laps.began_ns = asked.laps.decoded_ns = executed.laps.began_ns
            asked.laps.inferred_ns = executed.laps.inferred_ns
            if asked.done.done():
                continue
            if isinstance(answer, Exception):
                asked.done.set_exception(answer)
            else:
                asked.done.set_result(answer)


def overdue(timeout_s: float) -> DeadlineError:
    """Return what is told to a request that has waited for so long."""
    return DeadlineError(f"the request waited {timeout_s * 1000:g} ms for the model, which is all that it may")


def _has_slot(call: Call) -> bool:
    return isinstance(call, Infer) and call.slot is not None

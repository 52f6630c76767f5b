"""The processes of one model: started, lent to who asks, started again when they end."""

from __future__ import annotations

import contextlib
import logging
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from queue import SimpleQueue
from typing import TypeVar

from predictor.processes import asking, errors
from predictor.processes.channel import EndedError, LateError, NotTakenError
from predictor.processes.description import Description
from predictor.processes.line import Line
from predictor.processes.messages import Buffer, GarbledError, Message, write
from predictor.processes.process import Order, Process
from predictor.runtimes import cpus
from torpor.aio.backoff import Backoff
from torpor.errors import DeadlineError, LoadError, TorporError, UnavailableError

log = logging.getLogger(__name__)

GRACE_S = 5.0
"""From SIGTERM to SIGKILL."""
LEAST_START_S = 60.0
"""How long a start may take that is not the first; or ten times as long as the first took."""
BACKOFF = Backoff(first_s=0.1, limit_s=30.0)
RETRY_S = 1.0
CRASH, TIMEOUT, START = "crash", "timeout", "start"
"""Why a process is started again."""


T = TypeVar("T")


class Pool:
    """Used by threads that compute: each call blocks until a process is free, and until that has answered."""

    def __init__(
        self, name: str, order: Order, count: int, limit_s: float = 0.0, *, backoff: Backoff = BACKOFF
    ) -> None:
        """`name` is the model's. A call that takes longer than `limit_s` ends its process; 0: there is no limit."""
        self.count = count
        """How many there are to be."""
        self._name = name
        self._order = order
        self._limit_s = limit_s or None
        self._backoff = backoff
        self._line: Line[Process] = Line(lambda why: UnavailableError(f"model {name!r}: {why}").after(RETRY_S))
        self._lock = threading.Lock()
        self._running: set[Process] = set()
        self._restarts: Counter[str] = Counter()
        self._start_limit_s: float | None = None
        self._closed = threading.Event()
        self._first: SimpleQueue[Description | LoadError] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._keep, name=f"process-{index}", daemon=True) for index in range(count)
        ]

    @property
    def processes(self) -> int:
        """How many can compute."""
        return self._line.there

    @property
    def trouble(self) -> str:
        """Why requests are refused at present; empty if they are not."""
        return self._line.trouble

    @property
    def restarts(self) -> Mapping[str, int]:
        """How many processes have ended that were needed, by reason."""
        return dict(self._restarts)

    def pids(self) -> list[int]:
        """Return those of the processes that run."""
        with self._lock:
            return [each.pid for each in self._running]

    def start(self) -> Description:
        """Return what the model is, once it is open and warm in every process; raises LoadError, and all have ended."""
        began_s = time.monotonic()
        for each in self._threads:
            each.start()
        opened: list[Description] = []
        for _ in self._threads:
            found = self._first.get()
            if isinstance(found, LoadError):
                self.close()
                raise found
            opened.append(found)
        self._start_limit_s = max(LEAST_START_S, 10 * (time.monotonic() - began_s))
        return opened[0]

    def call(self, message: Message, heard: Callable[[Message], T]) -> T:
        """Return what `heard` makes of the answer, or raises GarbledError for.

        Raises what the model raises, UnavailableError, DeadlineError; TypeError for what cannot be sent.
        """
        with self._lent(write(message)) as process:
            answer = process.channel.receive(self._until_s())
            if answer.kind != asking.DONE:
                raise _error(answer)
            return heard(answer)

    def steps(self, message: Message, heard: Callable[[Message], T]) -> Generator[T, None, None]:
        """Give answers as they come, as `call` returns one. The limit is that of each.

        Closed early, it waits for one more: only then does the model learn that no more are wanted.
        """
        with self._lent(write(message)) as process:
            while (answer := process.channel.receive(self._until_s())).kind == asking.ITEM:
                step = heard(answer)
                try:
                    yield step
                except GeneratorExit:
                    self._abandon(process)
                    raise
            if answer.kind != asking.END:
                raise _error(answer)

    def stop(self) -> None:
        """Begin to close; does not block."""
        self._closed.set()
        self._line.close("it is closed")
        with self._lock:
            for each in self._running:
                each.end(signal.SIGTERM, "was told to end")

    def close(self) -> None:
        """Return when all processes have ended."""
        self.stop()
        until_s = time.monotonic() + GRACE_S
        for each in self._started():
            each.join(max(0.0, until_s - time.monotonic()))
        with self._lock:
            for process in self._running:
                process.end(signal.SIGKILL, "was told to end")
        for each in self._started():
            each.join()

    def _started(self) -> list[threading.Thread]:
        return [each for each in self._threads if each.ident is not None]

    def _until_s(self) -> float | None:
        return None if self._limit_s is None else time.monotonic() + self._limit_s

    @contextlib.contextmanager
    def _lent(self, buffers: list[Buffer]) -> Iterator[Process]:
        """Give a process that has this message, and take it back where it still is one."""
        process = self._asked(buffers)
        try:
            yield process
        except EndedError as error:
            raise self._crashed(process) from error
        except GarbledError as error:
            log.warning("model %s: %s", self._name, error)
            process.end(signal.SIGKILL, "sent what is no answer")
            raise self._crashed(process) from error
        except LateError as error:
            raise self._late(process) from error
        finally:
            if process.is_ending or not self._line.give(process):
                process.left()

    def _abandon(self, process: Process) -> None:
        """Have it end what it is at, of which nobody wants to know any more."""
        try:
            process.channel.send(write(Message(asking.STOP)), self._until_s())
            while process.channel.receive(self._until_s()).kind == asking.ITEM:
                pass
        except EndedError:
            process.how()
        except (LateError, GarbledError) as error:
            log.warning("model %s: it did not end an answer that nobody waits for: %r", self._name, error)
            process.end(signal.SIGKILL, "did not end an answer that nobody waits for")

    def _asked(self, buffers: list[Buffer]) -> Process:
        while True:
            process = self._line.take()
            try:
                process.channel.send(buffers, self._until_s())
            except NotTakenError:
                process.end(signal.SIGKILL, "had closed its connection")
                process.left()
                continue  # it had ended while nobody asked it, and knows nothing of this request
            except LateError as error:
                late = self._late(process)
                process.left()
                raise late from error
            return process

    def _crashed(self, process: Process) -> TorporError:
        return UnavailableError(
            f"model {self._name!r}: its process {process.how()}, and this request with it; it is started again"
        ).after(RETRY_S)

    def _late(self, process: Process) -> TorporError:
        why = f"took longer than {self._limit_s:g} s"
        process.end(signal.SIGKILL, why, is_late=True)
        return DeadlineError(f"model {self._name!r} {why}, the limit of a call; its process is started again")

    def _keep(self) -> None:
        """Have one process, and another one when it has ended; a thread of its own."""
        is_first = True
        while not self._closed.is_set():
            process: Process | None = None
            try:
                process, found = self._opened()
            except LoadError as error:
                if is_first:
                    self._first.put(error)
                    return
                if not self._closed.is_set():
                    log.warning("model %s: a process was not started again: %s", self._name, error)
                    self._count(START)
                self._line.leave(None, str(error))
            else:
                if is_first:
                    self._first.put(found)
                is_first = False
                self._serve_until_end(process)
            self._closed.wait(self._backoff.delay_s(self._line.crashes, random.random()))  # noqa: S311  # hides nothing
        if is_first:
            self._first.put(LoadError("open", f"model {self._name!r} is wanted no more"))

    def _serve_until_end(self, process: Process) -> None:
        self._line.join(process)
        process.wait()
        with self._lock:
            self._running.discard(process)
        how = process.how()
        if not self._closed.is_set():
            log.warning("model %s: process %d %s; another one is started", self._name, process.pid, how)
            self._count(TIMEOUT if process.is_late else CRASH)
        if self._line.leave(process, how):
            process.left()

    def _count(self, reason: str) -> None:
        with self._lock:
            self._restarts[reason] += 1

    def _opened(self) -> tuple[Process, Description]:
        """Return a process that is warm; raises LoadError, and it has ended."""
        try:
            process = Process(self._order, max(1, cpus.available() // self.count))
        except OSError as error:
            raise LoadError("open", f"a process cannot be started: {error}") from error
        with self._lock:
            self._running.add(process)
        if self._closed.is_set():  # before it was there to be told
            process.end(signal.SIGTERM, "was told to end")
        limit_s = self._start_limit_s
        try:
            return process, process.opened(None if limit_s is None else time.monotonic() + limit_s)
        except (EndedError, LateError, GarbledError, TorporError) as error:
            raise self._not_opened(process, error) from error

    def _not_opened(self, process: Process, error: Exception) -> LoadError:
        if isinstance(error, LateError):
            process.end(signal.SIGKILL, f"had not opened it after {self._start_limit_s:.0f} s")
        elif not isinstance(error, EndedError):
            process.end(signal.SIGTERM, "could not open it")
        process.wait()
        process.left()
        with self._lock:
            self._running.discard(process)
        return error if isinstance(error, LoadError) else LoadError("open", f"its process {process.how()}")


def _error(answer: Message) -> Exception:
    """Return what the model has raised; raises GarbledError if that is no error."""
    if answer.kind != errors.ERROR:
        raise GarbledError(f"{answer.kind} where there must be an answer")
    return errors.raised(answer)

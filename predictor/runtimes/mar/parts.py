"""Turn code that sends what it makes into a generator that gives it: the code runs in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")

AHEAD = 16
"""Things that the code may be ahead of who takes them: more would be memory."""


class NobodyTakesError(Exception):
    """Who took the parts has left; raised in the code that sends them."""


def given_by(run: Callable[[Callable[[T], None]], None]) -> Generator[T, None, None]:
    """Give what `run` sends by the function that it is given; raises what it raises.

    Closed early, the next sending raises NobodyTakesError; code that sends no more is left alone.
    """
    sent: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
    room = threading.Semaphore(AHEAD)
    is_over = threading.Event()

    def send(part: T) -> None:
        room.acquire()
        if is_over.is_set():
            room.release()
            raise NobodyTakesError("the client has left")
        sent.put((part,))

    def work() -> None:
        try:
            run(send)
        except BaseException as error:  # handed on to who takes
            sent.put(error)
        else:
            sent.put(None)

    threading.Thread(target=work, name="handler", daemon=True).start()
    try:
        while (part := sent.get()) is not None:
            if isinstance(part, BaseException):
                raise part
            yield part[0]
            room.release()
    finally:
        is_over.set()
        room.release()  # for the code, if it waits; it leaves the room to itself for the next time

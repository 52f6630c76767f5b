"""Who asks us to stop, and whether there is time: signals, and the end of the front."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator

from torpor.aio.clock import Clock


class Stopping:
    """`asked` comes first; `hurry` when it is asked again, or when the front is gone."""

    def __init__(self, clock: Clock, twice_s: float) -> None:
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()
        self._clock = clock
        self._twice_s = twice_s
        self._asked_at_s: float | None = None

    def ask(self) -> None:
        now_s = self._clock.monotonic()
        if self._asked_at_s is None:
            self._asked_at_s = now_s
            self.asked.set()
        elif now_s - self._asked_at_s >= self._twice_s:
            self.hurry.set()

    def abandon(self) -> None:
        """Nobody waits for us any more."""
        self.asked.set()
        self.hurry.set()

    @contextlib.contextmanager
    def listening(self, lifeline_fd: int | None) -> Iterator[None]:
        """React to signals, and to the end of the pipe whose other end only the front holds."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self.ask)

        def ended() -> None:
            if lifeline_fd is not None and not os.read(lifeline_fd, 1):
                loop.remove_reader(lifeline_fd)
                self.abandon()

        if lifeline_fd is not None:
            loop.add_reader(lifeline_fd, ended)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
            if lifeline_fd is not None:
                loop.remove_reader(lifeline_fd)

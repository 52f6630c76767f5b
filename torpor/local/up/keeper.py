"""One service: started, kept, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable

from torpor.aio.clock import Clock
from torpor.errors import TorporError
from torpor.local.up.children import Child, Children
from torpor.local.up.output import LOUD, Lines, LogFile, read_line, read_lines
from torpor.local.up.plan import Patience, Service, ending, next_start

Say = Callable[[str], None]

LAST_WORDS_S = 1.0
"""How long we read on after a service has ended; if that is not enough, somebody else holds its output open."""


class StartError(TorporError):
    """A service ended, or took too long, before it was ready; or it did so too often."""


class Keeper:
    """Its state: the process of now, since when it is ready, its last line, and how often it failed in a row."""

    def __init__(
        self, service: Service, children: Children, log: LogFile, say: Say, clock: Clock, patience: Patience
    ) -> None:
        self.service = service
        self._children = children
        self._log = log
        self._say = say
        self._clock = clock
        self._patience = patience
        self._child: Child | None = None
        self._output: Lines | None = None
        self._ready_at_s: float | None = None
        self._last_line = ""
        self._failures = 0

    async def start(self) -> None:
        """Start it and return when it is ready; raises StartError with what it said last."""
        self._ready_at_s, self._last_line = None, ""
        async with _word() as (word, descriptor):
            child = self._child = await self._spawn(descriptor)
            os.close(descriptor)  # the child has its own: when that is closed, the pipe is at its end
            try:
                async with asyncio.timeout(self._patience.start_s):
                    if await word:
                        self._ready_at_s = self._clock.monotonic()
                        return
                    status = await child.wait()
            except TimeoutError:
                child.send(signal.SIGKILL)
                await child.wait()
                text = f"was not ready within {self._patience.start_s:g} s; {self._log.path} says more"
                raise StartError(f"the {self.service.name} {text}") from None
        await self._heard_out()
        raise StartError(f"the {self.service.name} did not start: {self._last_line or ending(status)}")

    async def keep(self) -> None:
        """Start it again whenever it ends; raises StartError when that is no use any more."""
        while self._child is not None:
            status = await self._child.wait()
            ready_s = 0.0 if self._ready_at_s is None else self._clock.monotonic() - self._ready_at_s
            await self._children.kill_strays()
            restart = next_start(self._patience, self._failures, ready_s)
            how = f"the {self.service.name} {ending(status)}"
            if restart is None:
                raise StartError(f"{how}, {self._failures + 1} times in a row; {self._log.path} says more")
            self._say(f"{how} and is started again in {restart.delay_s:.1f} s; {self._log.path} says more")
            self._failures = restart.failures
            await asyncio.sleep(restart.delay_s)
            try:
                await self.start()
            except StartError as error:
                self._say(str(error))

    async def stop(self, hurry: asyncio.Event) -> None:
        """Ask it to end; end it when its time, or everybody's, is over."""
        child = self._child
        if child is None or child.status is not None:
            return
        child.send(signal.SIGTERM)
        await _first_of(self.service.patience_s, child.gone, hurry)
        if child.status is None and hurry.is_set():
            await _first_of(self._patience.hurry_s, child.gone)
        if child.status is None:
            self._say(f"the {self.service.name} did not end in time and is killed")
            child.send(signal.SIGKILL)
            await child.wait()
        await self._heard_out()

    async def _spawn(self, descriptor: int) -> Child:
        reader, writer = os.pipe()
        try:
            self._output = await read_lines(reader, self._heard)
            command = (*self.service.command, "--ready-fd", str(descriptor))
            return self._children.start(command, output=writer, pass_fds=[descriptor])
        finally:
            os.close(writer)

    def _heard(self, raw: bytes) -> None:
        """Keep a line; show it if it is loud, or no log line at all. Before it is ready only the last one matters."""
        self._log.write(raw)
        line = read_line(raw)
        self._last_line = line.text.removeprefix(f"torpor {self.service.name}: ") or self._last_line
        if line.level in LOUD or (line.level is None and self._ready_at_s is not None):
            self._say(f"{self.service.name}: {line.text}")

    async def _heard_out(self) -> None:
        if self._output is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._output.ended.wait(), LAST_WORDS_S)


@contextlib.asynccontextmanager
async def _word() -> AsyncIterator[tuple[asyncio.Future[bool], int]]:
    """Give a promise of one byte, False if the pipe ends without, and the descriptor to write it to."""
    loop = asyncio.get_running_loop()
    word: asyncio.Future[bool] = loop.create_future()
    reader, writer = os.pipe()

    def read() -> None:
        loop.remove_reader(reader)
        if not word.done():
            word.set_result(bool(os.read(reader, 1)))

    loop.add_reader(reader, read)
    try:
        yield word, writer
    finally:
        loop.remove_reader(reader)
        os.close(reader)


async def _first_of(limit_s: float, *events: asyncio.Event) -> None:
    """Return when one of them is set, or after `limit_s`."""
    waiting = [asyncio.create_task(each.wait()) for each in events]
    try:
        await asyncio.wait(waiting, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()

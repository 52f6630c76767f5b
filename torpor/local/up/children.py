"""Processes of ours: started, tied to our life, and reaped together with the orphans that we adopt."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from torpor.local.lifeline import adopt_orphans, die_with_parent
from torpor.local.up.descendants import end_all, kill_below


class Child:
    """A process that was started here."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.status: int | None = None
        """None while it runs; negative: the signal that ended it."""
        self.gone = asyncio.Event()

    def send(self, number: signal.Signals) -> None:
        if self.status is None:  # not reaped yet, so the number is still its own
            os.kill(self.pid, number)

    async def wait(self) -> int:
        await self.gone.wait()
        assert self.status is not None  # noqa: S101  # for the type checker
        return self.status

    def end(self, status: int) -> None:
        """Note that it was reaped."""
        self.status = self._process.returncode = status
        self.gone.set()


class Children:
    """All of them. asyncio's own child watchers wait for one process each, and would leave orphans unreaped."""

    def __init__(self) -> None:
        self._running: dict[int, Child] = {}

    async def __aenter__(self) -> Self:
        adopt_orphans()
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)
        end_all()

    def start(self, command: Sequence[str], *, output: int, pass_fds: Sequence[int]) -> Child:
        """Start a process that is told to end, by the kernel, when we are killed."""
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=pass_fds,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509  # we have no threads
        )
        child = self._running[process.pid] = Child(process)
        return child

    async def kill_strays(self, limit_s: float = 5.0) -> None:
        """Kill what a service that ended has left behind; the running ones and what is theirs stay."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while kill_below(self._running):  # noqa: ASYNC110  # nobody tells of what is not ours
                    await asyncio.sleep(0.01)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                child = self._running.pop(pid, None)
                if child is not None:
                    child.end(os.waitstatus_to_exitcode(status))

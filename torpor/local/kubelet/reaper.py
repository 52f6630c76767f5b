"""Learn of every child that ends, those too that we only inherited: no zombie stays, and nobody polls."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil


class Reaper:
    """The one place where this process waits for children. Use it inside `watching()`."""

    def __init__(self) -> None:
        self._watched: dict[int, asyncio.Future[int]] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Take over SIGCHLD for as long as the block runs."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self.reap)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGCHLD)

    def watch(self, pid: int) -> asyncio.Future[int]:
        """Return the exit status to come of a child that was just started; negative: the signal that ended it.

        Call it in the same turn of the loop as the start. The child leads a process group, and what is left of that
        is killed with it.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._watched[pid] = future
        return future

    def reap(self) -> None:
        """Collect all that have ended."""
        while True:
            pid = self._next()
            if pid is None:
                return
            future = self._watched.pop(pid, None)
            if future is not None:
                # While its leader is a zombie, the group's number is nobody else's.
                kill_group(pid)
            try:
                _, status = os.waitpid(pid, 0)
            except ChildProcessError:  # somebody else was quicker: Popen, if the program could not be started
                continue
            if future is not None and not future.done():
                future.set_result(os.waitstatus_to_exitcode(status))

    @staticmethod
    def _next() -> int | None:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return None
        return None if found is None else found.si_pid

    def strangers(self) -> list[int]:
        """Return our living children that we did not start: their own parent ended before them."""
        return [pid for pid in _children() if pid not in self._watched]


def kill_group(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to every process of a group, if there is one left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter: macOS, where only zombies are left
        os.killpg(pid, number)


def _children() -> list[int]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children")  # those of the main thread: it starts all of them
    try:
        return [int(pid) for pid in listed.read_text().split()]
    except FileNotFoundError:  # a kernel without it, or none of Linux
        return [child.pid for child in psutil.Process().children()]

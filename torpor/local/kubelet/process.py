"""Start a container's process and end it, with all that it started in turn."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torpor.errors import TorporError
from torpor.local.kubelet.reaper import Reaper, kill_group
from torpor.local.lifeline import die_with_parent

POD_DIR = "TORPOR_POD_DIR"
"""In the environment of every process of a pod, and so of what it starts: whose it is."""
SWEEP_S = 0.002
SWEEPS = 500


class StartError(TorporError):
    """The operating system could not start a program; the message is what Kubernetes' runtimes say then."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    """Standard output and error are appended to it."""
    enter: Callable[[], None] | None = None
    """Called in the child before its program starts: joins a control group."""


@dataclass(slots=True)
class Process:
    """A process that leads a group of its own."""

    pid: int
    started_s: float
    exited: asyncio.Future[int]
    """Its exit status; negative: the signal that ended it."""
    _mark: bytes = field(repr=False, default=b"")
    _reaper: Reaper | None = field(repr=False, default=None)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the group, unless it has ended."""
        if not self.exited.done():
            kill_group(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    async def end(self, grace_s: float) -> int:
        """SIGTERM, and SIGKILL for what is left after `grace_s`; returns the exit status."""
        if grace_s > 0:
            self.signal(signal.SIGTERM)
            await asyncio.wait([self.exited], timeout=grace_s)
        self.kill()
        return await self.wait()

    async def wait(self) -> int:
        """Return the exit status after nothing that the process started is left."""
        status = await asyncio.shield(self.exited)
        await self._sweep()
        return status

    async def _sweep(self) -> None:
        """Kill descendants that left the group: as their parents end, they become ours."""
        if self._reaper is None:
            return
        for _ in range(SWEEPS):
            left = [pid for pid in self._reaper.strangers() if _has(pid, self._mark)]
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(SWEEP_S)


class Launcher:
    """Start processes; all of them end with this one."""

    def __init__(self, reaper: Reaper, now: Callable[[], float]) -> None:
        self._reaper = reaper
        self._now = now
        self._tie = die_with_parent()

    def start(self, command: Command) -> Process:
        """Start a program in a session of its own; raises StartError.

        On the loop's own thread: the kernel ties a child's life to the thread that forked it.
        """
        command.log.parent.mkdir(parents=True, exist_ok=True)
        mark = command.env.get(POD_DIR, "")
        with command.log.open("ab") as log:
            started_s = self._now()
            try:
                child = subprocess.Popen(
                    command.argv,
                    env=dict(command.env),
                    cwd=command.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=self._before_exec(command.enter),  # noqa: PLW1509  # no other thread runs Python here
                )
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                raise StartError(_why(command, error)) from error
        exited = self._reaper.watch(child.pid)
        child.returncode = 0  # the reaper waits for it: Popen shall not
        return Process(child.pid, started_s, exited, f"{POD_DIR}={mark}\0".encode(), self._reaper)

    def _before_exec(self, enter: Callable[[], None] | None) -> Callable[[], None]:
        tie = self._tie
        if enter is None:
            return tie

        def both() -> None:
            tie()
            enter()

        return both

    async def end_strangers(self) -> None:
        """Kill whatever was left to us, whoever started it: for the very end."""
        for _ in range(SWEEPS):
            left = self._reaper.strangers()
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(SWEEP_S)


def _has(pid: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def _why(command: Command, error: Exception) -> str:
    program = command.argv[0] if command.argv else ""
    if isinstance(error, FileNotFoundError) and not command.cwd.is_dir():
        return f'chdir to cwd ("{command.cwd}") failed: no such file or directory'
    if isinstance(error, FileNotFoundError):
        where = "no such file or directory" if "/" in program else "executable file not found in $PATH"
        return f'exec: "{program}": {where}'
    if isinstance(error, PermissionError):
        return f'exec: "{program}": permission denied'
    return f'exec: "{program}": {error}'

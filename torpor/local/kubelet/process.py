"""Start a container's process and end it, with all that it started in turn."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from torpor.aio.beside import beside
from torpor.errors import TorporError
from torpor.local.kubelet import shim
from torpor.local.kubelet.leftovers import bury

log = logging.getLogger(__name__)

POD_DIR = "TORPOR_POD_DIR"
"""In the environment of every process of a pod, and so of what it starts: whose it is."""


class StartError(TorporError):
    """A program could not be started; the message is what Kubernetes' runtimes say then."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    """Standard output and error are appended to it."""
    mark: str
    """NAME=VALUE that no other command's environment has: it tells whose what it leaves behind is."""
    enter: tuple[Path, ...] = ()
    """The `cgroup.procs` of the control groups that it shall be in."""


@dataclass(slots=True)
class Process:
    """A process that leads a session and a group of its own."""

    pid: int
    started_s: float
    exited: asyncio.Future[int]
    """Its exit status, after nothing that it started is left; negative: the signal that ended it."""
    _send: Callable[[dict[str, Any]], None] = field(repr=False)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the group, unless it has ended."""
        if not self.exited.done():
            self._send({"signal": int(number), "pid": self.pid})

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    async def end(self, grace_s: float) -> int:
        """SIGTERM, and SIGKILL for what is left after `grace_s`; returns the exit status."""
        if grace_s > 0:
            self.signal(signal.SIGTERM)
            await asyncio.wait([self.exited], timeout=grace_s)
        self.kill()
        return await asyncio.shield(self.exited)


@dataclass(frozen=True, slots=True)
class Started:
    """The shim's answer to a start: a process, or what failed."""

    pid: int = 0
    exited: asyncio.Future[int] | None = None
    what: str = ""
    errno: int = 0


class Launcher:
    """Start processes, by way of a shim that is their parent. Use it inside `working()`.

    `mark` is how `NAME=VALUE` begins in the environment of all that is started here, and of nothing else.
    """

    def __init__(self, now: Callable[[], float], mark: str) -> None:
        self._now = now
        self._mark = mark
        self._writer: asyncio.StreamWriter | None = None
        self._up = asyncio.Event()
        self._starts: dict[int, asyncio.Future[Started]] = {}
        self._running: dict[int, asyncio.Future[int]] = {}
        self._count = 0

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Have a shim; at the end, however it comes, nothing that was started is left."""
        async with beside(self._keep_shim):
            yield

    async def start(self, command: Command) -> Process:
        """Start a program; raises StartError."""
        try:
            command.log.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartError(_why(command, "log", error.errno or 0)) from error
        while self._writer is None:
            await self._up.wait()
        self._count += 1
        number, started_s = self._count, self._now()
        order = {
            "start": number,
            "argv": command.argv,
            "env": dict(command.env),
            "cwd": str(command.cwd),
            "log": str(command.log),
            "enter": [str(path) for path in command.enter],
            "mark": command.mark,
        }
        answer = self._starts[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(order)
            said = await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled():
                self._disown(answer.result().pid)
            raise
        finally:
            self._starts.pop(number, None)
        if said.exited is None:
            raise StartError(_why(command, said.what, said.errno))
        return Process(said.pid, started_s, said.exited, self._send)

    def _send(self, order: dict[str, Any]) -> None:
        if self._writer is not None:  # else all that could get a signal is gone
            self._writer.write(orjson.dumps(order) + b"\n")

    # --- the shim ------------------------------------------------------------------------------------------------

    async def _keep_shim(self) -> None:
        """Run a shim, and another one should it be killed."""
        while True:
            ours, theirs = socket.socketpair()
            command = [sys.executable, "-I", "-S", str(Path(shim.__file__))]
            with theirs:
                try:
                    process = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True)  # noqa: ASYNC220
                except OSError:
                    ours.close()
                    raise
            try:
                await self._listen(ours)
            finally:
                self._writer = None
                self._up.clear()
                try:
                    await asyncio.shield(asyncio.to_thread(self._buried, process))
                finally:
                    self._lost()
            log.error("the shim, process %d, was killed, and all containers with it; starting another", process.pid)

    def _buried(self, process: subprocess.Popen[bytes]) -> None:
        """Return when nothing is left of what a shim started: it sees to that itself, unless it was killed."""
        if process.wait():
            bury(self._mark)

    async def _listen(self, ours: socket.socket) -> None:
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._up.set()
        try:
            while line := await reader.readline():
                self._hear(orjson.loads(line))
        except ConnectionError:
            return
        finally:
            self._writer.close()

    def _hear(self, said: dict[str, Any]) -> None:
        if "started" not in said:
            self._running.pop(said["exited"]).set_result(said["status"])
            return
        if "pid" in said:  # it may have ended before whoever started it goes on
            exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._running[said["pid"]] = exited
            told = Started(said["pid"], exited)
        else:
            told = Started(what=said["what"], errno=said["errno"])
        answer = self._starts.get(said["started"])
        if answer is not None and not answer.done():
            answer.set_result(told)
        else:
            self._disown(told.pid)

    def _disown(self, pid: int) -> None:
        """End a process that whoever ordered it does not want any more: nobody else would."""
        if pid in self._running:
            self._send({"signal": int(signal.SIGKILL), "pid": pid})

    def _lost(self) -> None:
        """The shim is gone: so is all that it started."""
        for exited in self._running.values():
            exited.set_result(-signal.SIGKILL)
        self._running.clear()
        for answer in self._starts.values():
            if not answer.done():
                answer.set_result(Started(what="start", errno=errno.ECONNRESET))


def _why(command: Command, what: str, number: int) -> str:
    program = command.argv[0] if command.argv else ""
    text = os.strerror(number).lower()
    match what:
        case "chdir":
            return f'chdir to cwd ("{command.cwd}") failed: {text}'
        case "exec" if number == errno.ENOENT and "/" not in program:
            return f'exec: "{program}": executable file not found in $PATH'
        case "exec":
            return f'exec: "{program}": {text}'
        case _:
            return f'cannot start "{program}": {what}: {text}'

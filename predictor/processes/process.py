"""One process of a model, as the server sees it: started, asked, ended."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass

from predictor.processes import description, errors
from predictor.processes.channel import Channel
from predictor.processes.description import OPENED, Description
from predictor.processes.errors import ERROR
from predictor.processes.messages import GarbledError, Message, write
from predictor.runtimes.runtime import Files

_GROUP_ENDS_S = 5.0
"""A process that has closed its end of the socket is one that ends; after this it is made to."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is to open."""

    format: str
    files: Files
    processes: int = 1
    """That open it, and share the CPUs."""

    def told(self, scratch: str) -> Message:
        """`scratch` is where this one may make folders."""
        files = dataclasses.asdict(self.files) | {"folder": str(self.files.folder), "scratch": scratch}
        return Message("open", {"format": self.format, "files": files, "processes": self.processes})


class Process:
    """One thread asks at a time; any may end it. The thread that has started it must not end before it does.

    For the kernel takes the end of that thread for the end of the server.
    """

    def __init__(self, order: Order, threads: int) -> None:
        """`threads`: as many as a library in it should have that counts the machine's CPUs otherwise."""
        self._order = order
        # Its own, and ours to remove: who is killed removes nothing.
        self._scratch = tempfile.TemporaryDirectory(
            prefix="torpor-process-", dir=order.files.scratch, ignore_cleanup_errors=True
        )
        ours, its = socket.socketpair()
        with its:
            self._running = subprocess.Popen(  # an interpreter of its own: no fork of threads and their locks
                [sys.executable, "-m", "predictor.processes.child", str(its.fileno()), str(os.getpid())],
                env={"OMP_NUM_THREADS": str(threads), **os.environ},
                stdin=subprocess.DEVNULL,
                pass_fds=(its.fileno(),),
                start_new_session=True,  # what it starts ends with it; a terminal's Ctrl-C is the server's
            )
        self.channel = Channel(ours)
        self.why = ""
        """It was ended for this reason, if it was ended by us."""
        self.is_late = False
        """It was, for it took too long."""
        self._ended = threading.Event()
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        return self._running.pid

    def opened(self, until_s: float | None) -> Description:
        """Have it open the model; raises LoadError, and as a channel does."""
        self.channel.send(write(self._order.told(self._scratch.name)))
        answer = self.channel.receive(until_s)
        if answer.kind == ERROR:
            raise errors.raised(answer)
        if answer.kind != OPENED:
            raise GarbledError(f"{answer.kind} of a model that is to be opened")
        return description.heard(answer)

    def wait(self) -> None:
        """Return when it has ended, and all that it has started; for the one thread that has started it."""
        if hasattr(os, "waitid"):
            # Not reaped yet, so that its number cannot be another's when the rest of its group is ended.
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:  # macOS
            self._running.wait()
        with self._lock:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._running.wait()
            self.channel.shut()  # something else may hold its end of it, too
            self._scratch.cleanup()
            self._ended.set()

    def end(self, number: signal.Signals, why: str, *, is_late: bool = False) -> None:
        """Send this signal, if it has not ended."""
        with self._lock:
            if not self._ended.is_set():
                self.why = self.why or why
                self.is_late = is_late
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, number)

    @property
    def is_ending(self) -> bool:
        """Whether it has ended, or is about to."""
        return bool(self.why) or self._ended.is_set()

    def left(self) -> None:
        """Close the connection, once it has ended; by who had it last."""
        self.how()
        self.channel.close()

    def how(self) -> str:
        """Return how it ended, in words; it is about to, or is made to."""
        if not self._ended.wait(_GROUP_ENDS_S):
            self.end(signal.SIGKILL, "it had closed its connection")
            self._ended.wait()
        return self.why or in_words(self._running.returncode)


def in_words(status: int) -> str:
    """Return what an exit status says, after "its process"."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    if name == "SIGKILL":
        return "was killed (SIGKILL), perhaps for want of memory"
    return f"was ended by {name}"

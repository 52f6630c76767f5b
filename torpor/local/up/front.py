"""The front: what the user started. It waits for the supervisor, passes signals on, and sweeps up behind it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Self

from torpor.errors import TorporError
from torpor.local.lifeline import adopt_orphans, die_with_parent
from torpor.local.up.descendants import end_all

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LAST_S = 5.0
"""How long services whose supervisor was killed may take to end."""


def run(command: Sequence[str], last_s: float = LAST_S) -> int:
    """Run the supervisor until it ends; returns its exit status. `--lifeline-fd N` is added to its command.

    A supervisor in a session of its own does not see the Ctrl-C that the terminal sends to everybody, so it can end
    its services in order. It learns of our own end from the kernel, and by the end of a pipe that only we hold.
    """
    adopt_orphans()
    with _lifeline() as reader, _Signals() as signals:
        process = subprocess.Popen(
            [*command, "--lifeline-fd", str(reader)],
            stdin=subprocess.DEVNULL,
            pass_fds=[reader],
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509  # we have no threads
        )
        signals.to(process)
        status = process.wait()
        if status >= 0:
            end_all()
            return status
        # Its services share its process group. The kernel has told them already where it does such things.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        end_all(last_s)
    raise TorporError(f"the supervisor was killed by signal {-status}; all that it ran has been stopped")


def supervisor(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs it."""
    return (sys.executable, "-P", "-m", "torpor.local.up", *arguments)


@contextlib.contextmanager
def _lifeline() -> Iterator[int]:
    """Give the end to read of a pipe; the other end is closed when this ends, or we do."""
    reader, writer = os.pipe()
    try:
        yield reader
    finally:
        os.close(reader)
        os.close(writer)


class _Signals:
    """Sends on, as SIGTERM, what asks us to stop; what was ignored when we started stays ignored (`nohup`)."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early = False

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        for number, handler in self._before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._pass_on)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def to(self, process: subprocess.Popen[bytes]) -> None:
        """Send them to this process, also what came before it was there."""
        self._process = process
        if self._early:
            process.terminate()

    def _pass_on(self, *_: object) -> None:
        if self._process is None:
            self._early = True
        else:
            self._process.terminate()

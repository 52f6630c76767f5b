"""Processes of an earlier kubelet on the same directory, whose shim was killed too."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import psutil

LIMIT_S = 10.0


def bury(mark: str) -> int:
    """Kill every process whose environment has `mark`, and what it starts meanwhile; returns how many there were."""
    deadline, killed = time.monotonic() + LIMIT_S, set[int]()
    while (found := _marked(mark)) and time.monotonic() < deadline:
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
                killed.add(process.pid)
        time.sleep(0.005)  # the kernel needs a moment to let them go
    return len(killed)


def _marked(mark: str) -> list[psutil.Process]:
    name, _, prefix = mark.partition("=")
    found = []
    for process in psutil.process_iter():
        try:
            value = process.environ().get(name, "")
        except psutil.Error:  # it ended meanwhile, or is somebody else's
            continue
        if value.startswith(prefix) and process.pid != os.getpid():
            found.append(process)
    return found

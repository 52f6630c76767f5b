"""Outlive a kubelet that is killed, and end the processes that it left.

The kubelet's own children get SIGKILL from the kernel; theirs do not. This runs as a process of its own, waits for the
other end of its standard input to close, then kills whatever has the kubelet's mark in its environment. It is run by
its path, without site packages, so that it costs next to nothing: only the standard library may be imported.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

LIMIT_S = 10.0


def marked(mark: bytes) -> list[int]:
    """Return the processes whose environment has `mark`."""
    found = []
    for entry in Path("/proc").iterdir() if sys.platform == "linux" else ():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:  # it ended meanwhile, or is somebody else's
                continue
            if mark in environment:
                found.append(int(entry.name))
    return found


def bury(mark: bytes) -> int:
    """Kill all that are marked, also those that they start meanwhile; returns how many there were."""
    deadline, killed = time.monotonic() + LIMIT_S, set[int]()
    while (pids := marked(mark)) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed.add(pid)
        time.sleep(0.005)  # the kernel needs a moment to let them go
    return len(killed)


def main(mark: str) -> None:
    while sys.stdin.buffer.read(1):
        pass
    bury(mark.encode())


if __name__ == "__main__":
    main(sys.argv[1])

"""A service that stands in for a real one: it does what its options say. Run as a script, with `--ready-fd N`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

RUNAWAY = """
import os, signal
if os.fork():
    os._exit(0)
os.setsid()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pause()
"""
"""A pod's grandchild at its worst: no parent, a session of its own, deaf to SIGTERM."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--trace", type=Path, help="where to write when it starts and stops")
    parser.add_argument("--say", default="", help="a line for stderr")
    parser.add_argument("--end", type=int, help="end with this status before being ready")
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--deaf", action="store_true", help="ignore SIGTERM")
    parser.add_argument("--runaway", action="store_true", help="leave a process behind that wants to stay")
    parser.add_argument("--crashes", type=int, default=0, help="end so many times, right after being ready")
    parser.add_argument("--lives", type=Path, help="a file with one letter for each life so far")
    return parser.parse_args()


def main() -> int:
    given = parse()

    def trace(word: str) -> None:
        if given.trace:
            with given.trace.open("a") as file:
                file.write(f"{given.name} {word}\n")

    def stop(*_: object) -> None:
        trace("stops")
        sys.exit(0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if given.deaf else stop)
    trace("starts")
    if given.say:
        sys.stderr.write(f"{given.say}\n")
    if given.runaway:
        subprocess.run([sys.executable, "-I", "-S", "-c", RUNAWAY, str(given.lives or "")], check=True)
    if given.end is not None:
        return given.end
    live(given)
    return 0


def live(given: argparse.Namespace) -> None:
    if not given.never_ready:
        os.write(given.ready_fd, b"1")
        os.close(given.ready_fd)
    if given.lives:
        with given.lives.open("a") as file:
            file.write("x")
        if given.lives.stat().st_size <= given.crashes:
            os.kill(os.getpid(), signal.SIGKILL)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())

"""Every process below this one, and their end."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable

import psutil


def below(spared: Iterable[int] = ()) -> list[psutil.Process]:
    """Return our children but those spared, and all that hang on them."""
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        if child.pid not in spared:
            found.append(child)
            with contextlib.suppress(psutil.NoSuchProcess):
                found += child.children(recursive=True)
    return found


def kill_below(spared: Iterable[int] = ()) -> int:
    """Kill once all that is below; returns how many there were. Who forks meanwhile is for the next call."""
    found = below(spared)
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return len(found)


def end_all(patience_s: float = 0.0, limit_s: float = 5.0) -> None:
    """Return when nothing is left below us: who has not ended after `patience_s` is killed.

    It blocks, for it is the last thing that a process does.
    """
    begin = time.monotonic()
    while time.monotonic() < begin + patience_s + limit_s:
        while _reap():
            pass
        if not below():
            return
        if time.monotonic() >= begin + patience_s:
            kill_below()
        time.sleep(0.01)


def _reap() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False

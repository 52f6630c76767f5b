"""A child that ends when its parent does, also when the parent is killed. Linux tells it; elsewhere nothing does."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Loaded before the fork: a child between fork and exec must not import anything.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """Return a `preexec_fn` after which the child gets `number` when the process that calls this here ends."""
    parent, value = os.getpid(), int(number)

    def tie() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, value, 0, 0, 0)
            if os.getppid() != parent:  # it ended before we could ask
                os._exit(128 + value)

    return tie


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that none of them gets lost."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

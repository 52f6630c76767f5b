"""How much memory this process has, and giving back what it does not use. Both block: for milliseconds, or more."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from predictor.memory import allocator
from predictor.memory.amount import Amount

WORTH_BYTES = 4 * 1024 * 1024
"""Of what is smaller nobody can tell whether it came back, and it is not worth a stop."""
_ROLLUP = Path("/proc/self/smaps_rollup")
_STATM = Path("/proc/self/statm")


def taken(pids: Sequence[int] = ()) -> Amount:
    """Return what this process takes now, code and libraries included, and those of `pids` as far as they run.

    0 where the system does not say. What others have on a GPU is not in it.
    """
    return Amount(_resident() + sum(map(_share, pids)), _on_gpu())


def give_back(before: Amount, takes: Amount) -> None:
    """Find models that nothing refers to any more, and let the system have their memory.

    The process took `before` until one was closed that had taken `takes`. What was there when the collector's view was
    cleared is looked at only if that memory does not come back: it stops the process for 10 ms with ONNX Runtime alone,
    100 ms with scikit-learn, 250 ms with torch and transformers.
    """
    gc.collect()
    _release()
    if takes.host >= WORTH_BYTES and before.host - _resident() < takes.host // 2:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        _release()


def _release() -> None:
    torch = _torch()
    if torch is not None:
        torch.cuda.empty_cache()
    allocator.trim()


class View:
    """What the garbage collector looks at: models that may go, but not the libraries, which stay."""

    def __init__(self) -> None:
        self._modules = 0

    def clear(self) -> None:
        """Take all that there is out of it, if more was imported since the last time. Before a model is opened."""
        if len(sys.modules) > self._modules:
            self._modules = len(sys.modules)
            gc.freeze()


def _resident() -> int:
    try:
        # statm adds up what each processor has counted, and lags by some MB on large machines.
        return _read(_ROLLUP, "Rss:")
    except OSError:
        return _resident_roughly()


def _share(pid: int) -> int:
    """Return the bytes of another process; what it shares with further ones is divided among them."""
    try:
        return _read(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
    except OSError:  # it has ended
        return 0


def _read(rollup: Path, name: str) -> int:
    return next((int(line.split()[1]) * 1024 for line in rollup.read_text().splitlines() if line.startswith(name)), 0)


def _resident_roughly() -> int:
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # neither is there outside Linux
        return 0


def _on_gpu() -> int:
    """Return bytes of tensors on all GPUs, as torch counts them. Not run on a GPU yet."""
    torch = _torch()
    return 0 if torch is None else sum(torch.cuda.memory_allocated(each) for each in range(torch.cuda.device_count()))


def _torch() -> Any:
    """Return torch if a model has it at work on a GPU; else None. It is not imported for this."""
    torch: Any = sys.modules.get("torch")
    # Another thread may be importing it.
    is_at_work = getattr(getattr(torch, "cuda", None), "is_initialized", None)
    return torch if is_at_work is not None and is_at_work() else None

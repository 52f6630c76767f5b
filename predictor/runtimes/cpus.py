"""How many CPUs this pod may use: what the kernel lets it run on, and what its cgroup grants."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
_shared_by = 1


def share(processes: int) -> None:
    """Have so many processes of a model, of which this is one, share what is available."""
    global _shared_by  # noqa: PLW0603  # it is about the process, of which there is one
    _shared_by = processes


def available(cgroup: Path = CGROUP) -> int:
    """Return the number, at least 1. A library that counts the machine's would start too many threads."""
    machine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(machine, _quota(cgroup)) // _shared_by)


def _quota(cgroup: Path) -> int:
    """Return the CPUs of `cpu.max` ("150000 100000" is 1.5, hence 2); without a limit, a number above any machine's."""
    try:
        limit, _, period = _group(cgroup).joinpath("cpu.max").read_text().strip().partition(" ")
        return math.ceil(int(limit) / int(period))
    except (OSError, ValueError):  # no cgroup v2, or "max"
        return 1_000_000


def _group(cgroup: Path) -> Path:
    """In a container the root is ours; on a laptop the kernel says which group below it is."""
    own = Path("/proc/self/cgroup").read_text().strip().rpartition("::/")[2]
    return cgroup / own if (cgroup / own / "cpu.max").exists() else cgroup

"""CPU and memory limits, by control groups, where this machine lets us make them.

Version 2 is one tree with `cpu.max` and `memory.max`; version 1, on older machines, has a tree for each. Who may make
groups is the machine's business: root, or a user to whom a part of the tree was delegated.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torpor.spec.pod import Resources

log = logging.getLogger(__name__)

PERIOD_US = 100_000
"""Over which a CPU limit is kept, as in Kubernetes."""
MINIMUM_QUOTA_US = 1000
"""The kernel allows no less."""
PREFIX = "torpor-"
PROCS, EVENTS = "cgroup.procs", "memory.events"
MOUNTS = Path("/proc/self/mountinfo")
OWN = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Group:
    """The control groups of one run of a container: one folder, or one in each tree of version 1."""

    folders: tuple[Path, ...]

    @property
    def procs(self) -> tuple[Path, ...]:
        """Where a process writes itself to be in the group."""
        return tuple(folder / PROCS for folder in self.folders)

    def oom_killed(self) -> bool:
        """Tell whether the kernel killed a process of the group because it wanted too much memory."""
        for folder in self.folders:
            for name in (EVENTS, "memory.oom_control"):
                with contextlib.suppress(OSError):
                    if re.search(r"^oom_kill [1-9]", (folder / name).read_text(), re.MULTILINE):
                        return True
        return False

    def remove(self) -> None:
        """Kill what is still in the group, and remove it."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                (folder / "cgroup.kill").write_text("1")
            try:
                folder.rmdir()
            except OSError as error:
                log.info("control group %s stays: %s", folder, error)


@dataclass(frozen=True, slots=True)
class Limits:
    """Where control groups of containers are made: a folder of ours per tree, by what it limits."""

    trees: Mapping[str, Path] = field(default_factory=dict)

    def missing(self, resources: Resources) -> tuple[str, ...]:
        """Return which of a container's limits nothing enforces here."""
        wanted = {"cpu": resources.cpu, "memory": resources.memory}
        return tuple(name for name, value in wanted.items() if value is not None and name not in self.trees)

    def make(self, name: str, resources: Resources) -> Group | None:
        """Make the groups of a container; None where it has no limit that can be kept."""
        files: dict[Path, dict[str, str]] = {}
        if resources.cpu is not None and "cpu" in self.trees:
            quota = max(MINIMUM_QUOTA_US, int(resources.cpu * PERIOD_US))
            files.setdefault(self.trees["cpu"], {}).update(
                {"cpu.max": f"{quota} {PERIOD_US}", "cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota)}
            )
        if resources.memory is not None and "memory" in self.trees:
            limit = str(resources.memory)
            # Without swap: a model that is being paged out is slower than one that is restarted. And all of a
            # container ends when it has too much, as in Kubernetes.
            files.setdefault(self.trees["memory"], {}).update(
                {
                    "memory.max": limit,
                    "memory.swap.max": "0",
                    "memory.oom.group": "1",
                    "memory.limit_in_bytes": limit,
                    "memory.memsw.limit_in_bytes": limit,
                }
            )
        if not files:
            return None
        return Group(tuple(_made(tree / name, values) for tree, values in files.items()))


def _made(folder: Path, values: Mapping[str, str]) -> Path:
    """Make a group and set those of the values that its version knows."""
    folder.mkdir(exist_ok=True)
    for name, value in values.items():
        if (folder / name).exists():
            (folder / name).write_text(value)
    return folder


@contextlib.contextmanager
def enforced(mounts: Path = MOUNTS, own: Path = OWN) -> Iterator[Limits]:
    """Give what this machine allows, and remove our part of the trees at the end."""
    trees: dict[str, Path] = {}
    name = f"{PREFIX}{os.getpid()}"
    for controller, parent in _parents(mounts.read_text(), own.read_text()).items() if mounts.exists() else ():
        folder = parent / name
        _remove_stale(parent)
        try:
            folder.mkdir(exist_ok=True)
            _hand_down(folder, controller)
        except OSError as error:
            log.info("no limits of %s: %s", controller, error)
        else:
            trees[controller] = folder
    try:
        yield Limits(trees)
    finally:
        for folder in set(trees.values()):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _remove_stale(parent: Path) -> None:
    """Remove what a kubelet that was killed has left."""
    for folder in parent.glob(f"{PREFIX}*"):
        if not Path("/proc", folder.name.removeprefix(PREFIX)).exists():
            for group in (*folder.glob("*/"), folder):
                with contextlib.suppress(OSError):
                    group.rmdir()


def _parents(mounts: str, own: str) -> dict[str, Path]:
    """Return, by controller, the group below which ours may be made."""
    mine = {}
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            mine[controller] = path
    found: dict[str, Path] = {}
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields, (type_, _, options) = left.split(), right.split(" ", 2)
        root, point = fields[3], Path(fields[4])
        if type_ == "cgroup2":
            group = _below(point, root, mine.get("", "/"))
            # A group with processes cannot have limited children, unless it is the root: ours becomes its sibling.
            parent = group if group == point else group.parent
            with contextlib.suppress(OSError):
                available = (parent / "cgroup.controllers").read_text().split()
                found |= {name: parent for name in ("cpu", "memory") if name in available and name not in found}
        elif type_ == "cgroup":
            for name in {"cpu", "memory"} & set(options.split(",")):
                found[name] = _below(point, root, mine.get(name, "/"))
    return found


def _below(point: Path, root: str, path: str) -> Path:
    """Return where a group is, given what part of the tree is mounted."""
    return point / path.removeprefix(root if root != "/" else "").lstrip("/")


def _hand_down(folder: Path, controller: str) -> None:
    """In version 2, let the groups below ours have limits; raises OSError where that is not allowed."""
    for group in (folder.parent, folder):
        switch = group / "cgroup.subtree_control"
        if switch.exists() and controller not in switch.read_text().split():
            switch.write_text(f"+{controller}")

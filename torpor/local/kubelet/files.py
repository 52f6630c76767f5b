"""Where a pod's files are: `DIR/pods/NAMESPACE_POD_UID/CONTAINER/RESTART.log`, and volumes beside."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from torpor.spec.kinds import Object

log = logging.getLogger(__name__)

LOG_BYTES = 10 * 1024 * 1024
"""Of one log, at most; as in Kubernetes."""
KEPT_RUNS = 2
"""Logs of a container: of this run and of the one before, which `kubectl logs --previous` shows."""
MESSAGE_BYTES = 4096
"""As in Kubernetes: of what a container writes as its last words."""
LOG_MESSAGE_BYTES, LOG_MESSAGE_LINES = 2048, 80
"""As in Kubernetes: of a log that stands for the last words."""


class PodFiles:
    """The folder of one pod."""

    def __init__(self, root: Path, pod: Object) -> None:
        metadata = pod["metadata"]
        self.folder = root / f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"

    def log(self, container: str, run: int) -> Path:
        return self.folder / container / f"{run}.log"

    def message(self, container: str, run: int) -> Path:
        return self.folder / container / f"{run}.message"

    def cwd(self, container: str) -> Path:
        return self.folder / container / "work"

    def volume(self, name: str) -> Path:
        return self.folder / "volumes" / name

    def prepare(self, container: str, run: int) -> None:
        """Make room for a run, and forget those that nobody can ask for any more."""
        self.cwd(container).mkdir(parents=True, exist_ok=True)
        for path in (self.folder / container).iterdir():
            number = path.stem
            if number.isdecimal() and int(number) <= run - KEPT_RUNS:
                _remove(path)

    def last_words(self, container: str, run: int, *, from_log: bool) -> str:
        """Return what a container said at its end: its message, else, `from_log`, the end of its log."""
        try:
            written = _tail(self.message(container, run), MESSAGE_BYTES)
        except OSError:  # mostly there is none; or it made something else of it, a folder perhaps
            written = ""
        if written or not from_log:
            return written
        try:
            lines = _tail(self.log(container, run), LOG_MESSAGE_BYTES).splitlines(keepends=True)
        except OSError:
            return ""
        return "".join(lines[-LOG_MESSAGE_LINES:])

    def next_run(self, container: str) -> int:
        """Return the number of the next run, after those of a former life."""
        try:
            runs = [int(path.stem) for path in (self.folder / container).glob("*.log") if path.stem.isdecimal()]
        except OSError:
            return 0
        return max(runs, default=-1) + 1

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_strangers(root: Path, pods: Iterable[Object]) -> None:
    """Remove the folders of pods that are gone."""
    known = {PodFiles(root, pod).folder.name for pod in pods}
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.name not in known:
            shutil.rmtree(folder, ignore_errors=True)


def shorten_all(root: Path, limit: int = LOG_BYTES) -> None:
    """Keep every log within `limit` bytes, or what is written between two calls."""
    for path in root.glob("*/*/*.log"):
        with contextlib.suppress(FileNotFoundError):  # its pod went meanwhile
            shorten(path, limit)


def shorten(path: Path, limit: int) -> bool:
    """Cut a log that is over `limit` bytes down to its last half, at the beginning of a line; tells whether it did.

    Its writer goes on meanwhile: it appends, so nothing is overwritten. What it writes in the microseconds between
    the last read here and the cut is lost.
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size <= limit:
            return False
        file.seek(size - limit // 2)
        file.readline()
        kept = file.read()
        file.truncate(0)
    with path.open("ab") as file:
        file.write(kept)
    log.info("log %s was over %d bytes: its first half was dropped", path, limit)
    return True


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # a container has put a folder where its message belongs
        shutil.rmtree(path, ignore_errors=True)


def _tail(path: Path, limit: int) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - limit))
        return file.read(limit).decode(errors="replace")


def variable_of(volume: str) -> str:
    """Return the environment variable that says where a volume is."""
    return "TORPOR_VOLUME_" + re.sub(r"[^A-Za-z0-9]", "_", volume).upper()

"""Read what a container wrote: `DIR/pods/NAMESPACE_POD_UID/CONTAINER/RESTART.log`, appended to by the kubelet."""

from __future__ import annotations

import asyncio
import datetime
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from torpor.local.apiserver.status import bad_request
from torpor.local.apiserver.store import Store
from torpor.spec.kinds import POD, Object

CHUNK = 64 * 1024
POLL_S = 0.1
"""How soon a followed log shows what was written."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which lines of which run."""

    container: str
    follow: bool
    previous: bool
    tail_lines: int | None
    limit_bytes: int | None
    since: datetime.datetime | None
    timestamps: bool


class LogReader:
    """The logs below one data directory."""

    def __init__(self, data_dir: Path, store: Store, is_closing: Callable[[], bool]) -> None:
        self._data_dir = data_dir
        self._store = store
        self._is_closing = is_closing

    def read(self, pod: Object, options: LogOptions) -> AsyncGenerator[bytes]:
        """Return the log as it comes; raises a 400 at once where there is none."""
        metadata = pod["metadata"]
        folder = self._data_dir / "pods" / f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"
        folder /= options.container
        runs = _runs(folder)
        if options.previous:
            if len(runs) < 2:
                text = f'previous terminated container "{options.container}" in pod "{metadata["name"]}" not found'
                raise bad_request(text)
            runs.pop()
        if not runs:
            why = _waits_for(pod, options.container)
            text = f'container "{options.container}" in pod "{metadata["name"]}" is waiting to start: {why}'
            raise bad_request(text)
        run = runs[-1]
        path = folder / f"{run}.log"

        def ended() -> bool:
            return options.previous or self._is_closing() or self._ended(pod, options.container, folder, run)

        return _limited(_lines(path, options, ended), options.limit_bytes)

    def _ended(self, pod: Object, container: str, folder: Path, run: int) -> bool:
        """Tell whether this run of the container will write no more."""
        metadata = pod["metadata"]
        stored = self._store.get(POD, metadata["namespace"], metadata["name"])
        if stored is None or stored.uid != metadata["uid"]:
            return True
        now = stored.object()
        status = _status(now, container)
        state, last = status.get("state") or {}, status.get("lastState") or {}
        if (now.get("status") or {}).get("phase") in {"Succeeded", "Failed"} or "terminated" in state:
            return True
        return ("waiting" in state and "terminated" in last) or _runs(folder)[-1:] != [run]


def _runs(folder: Path) -> list[int]:
    """Return which runs have a log, oldest first."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(name[:-4]) for name in names if name.endswith(".log") and name[:-4].isdecimal())


def _status(pod: Object, container: str) -> dict[str, Any]:
    statuses: list[dict[str, Any]] = (pod.get("status") or {}).get("containerStatuses") or []
    return next((each for each in statuses if each.get("name") == container), {})


def _waits_for(pod: Object, container: str) -> str:
    waiting = (_status(pod, container).get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason") or "ContainerCreating"
    return f"{reason}: {waiting['message']}" if waiting.get("message") else str(reason)


async def _lines(path: Path, options: LogOptions, ended: Callable[[], bool]) -> AsyncGenerator[bytes]:
    with path.open("rb") as file:
        begun = os.fstat(file.fileno())
        written = datetime.datetime.fromtimestamp(begun.st_mtime, datetime.UTC)
        if options.since is not None and written < options.since:
            file.seek(0, os.SEEK_END)  # the lines carry no times: all that was there is older than its last byte
        elif options.tail_lines is not None:
            file.seek(tail_offset(file, options.tail_lines))
        stamp = _Stamp() if options.timestamps else None
        for part in _available(file):
            yield stamp.mark(part, written) if stamp else part
            await asyncio.sleep(0)
        while options.follow:
            over = ended()  # before reading: what was written until then is read below
            if os.fstat(file.fileno()).st_size < file.tell():
                file.seek(0, os.SEEK_END)  # the kubelet cut it: what is left was shown before
            for part in _available(file):
                yield stamp.mark(part, datetime.datetime.now(datetime.UTC)) if stamp else part
                await asyncio.sleep(0)
            if over:
                return
            await asyncio.sleep(POLL_S)


def _available(file: BinaryIO) -> Iterator[bytes]:
    while part := file.read(CHUNK):
        yield part


async def _limited(parts: AsyncGenerator[bytes], limit: int | None) -> AsyncGenerator[bytes]:
    left = limit
    try:
        async for part in parts:
            if left is not None and len(part) >= left:
                yield part[:left]
                return
            left = None if left is None else left - len(part)
            yield part
    finally:
        await parts.aclose()


def tail_offset(file: BinaryIO, lines: int) -> int:
    """Return where the last `lines` lines begin."""
    end = file.seek(0, os.SEEK_END)
    if lines == 0:
        return end
    position, found = end, 0
    while position > 0:
        start = max(0, position - CHUNK)
        file.seek(start)
        block = file.read(position - start)
        # The newline that ends the last line does not begin one.
        at = len(block) - 1 if position == end and block.endswith(b"\n") else len(block)
        while (at := block.rfind(b"\n", 0, at)) != -1:
            found += 1
            if found == lines:
                return start + at + 1
        position = start
    return 0


class _Stamp:
    """Put the time before each line; the files have none, so a line has the time at which it was there for sure."""

    def __init__(self) -> None:
        self._at_start = True

    def mark(self, part: bytes, time: datetime.datetime) -> bytes:
        prefix = time.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode() + b" "
        lines = part.split(b"\n")
        marked = [(prefix + line if line or index < len(lines) - 1 else line) for index, line in enumerate(lines)]
        if not self._at_start:
            marked[0] = lines[0]
        self._at_start = part.endswith(b"\n")
        return b"\n".join(marked)

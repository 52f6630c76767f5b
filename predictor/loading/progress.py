"""How far the load is: changed by the pipeline, read by `/progress`, told to all who watch."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torpor.aio.clock import Clock
from torpor.errors import LoadError

State = Literal["loading", "ready", "failed"]

TICK_S = 0.1
"""Bytes arrive in thousands of pieces; who watches is told this often."""


@dataclass(slots=True)
class _Stage:
    name: str
    started_at: float
    began_s: float
    seconds: float | None = None
    bytes: int = 0


class Progress:
    """One per pod. All of it belongs to the event loop, but for `received`, which any thread may call.

    Timestamps are seconds since 1970; durations come from the clock that is never set.
    """

    def __init__(self, clock: Clock, *, started_at: float | None = None) -> None:
        """`started_at` is when the pod's process was started, which is earlier than this code can know."""
        self._clock = clock
        self._state: State = "loading"
        self._started_at = clock.wall() if started_at is None else started_at
        self._listening_at: float | None = None
        self._ready_at: float | None = None
        self._stages: list[_Stage] = []
        self._error: dict[str, str] | None = None
        self._bytes_total: int | None = None
        # Bytes come from the threads that download.
        self._lock = threading.Lock()
        self._bytes_done = 0
        # Set, and replaced by a new one, at each change that is worth waking a watcher for.
        self._changed = asyncio.Event()

    @property
    def state(self) -> State:
        return self._state

    def snapshot(self) -> dict[str, Any]:
        """Return the JSON of `/progress`."""
        return {
            "state": self._state,
            "started_at": self._started_at,
            "listening_at": self._listening_at,
            "ready_at": self._ready_at,
            "bytes_done": self._bytes_done,
            "bytes_total": self._bytes_total,
            "stages": [
                {"name": each.name, "started_at": each.started_at, "seconds": each.seconds, "bytes": each.bytes}
                for each in self._stages
            ],
            "error": self._error,
        }

    async def changes(self) -> AsyncIterator[dict[str, Any]]:
        """Give the snapshot now and after every change, and end after the one that is ready or failed."""
        told: dict[str, Any] | None = None
        while True:
            changed = self._changed
            snapshot = self.snapshot()
            if snapshot != told:
                told = snapshot
                yield snapshot
            if snapshot["state"] != "loading":
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await changed.wait()

    def listening(self) -> None:
        """Note that requests are answered from now on."""
        self._listening_at = self._clock.wall()
        self._tell()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Note that a stage runs for as long as the block does."""
        stage = _Stage(name, self._clock.wall(), self._clock.monotonic())
        self._stages.append(stage)
        self._tell()
        try:
            yield
        finally:
            stage.seconds = self._clock.monotonic() - stage.began_s
            self._tell()

    def expect(self, total: int) -> None:
        """Say how many bytes are to be fetched; those of an earlier try no longer count."""
        with self._lock:
            self._bytes_done = 0
            if self._stages:
                self._stages[-1].bytes = 0
        self._bytes_total = total
        self._tell()

    def received(self, count: int) -> None:
        """Count bytes that the stage that runs has fetched; from any thread."""
        with self._lock:
            self._bytes_done += count
            if self._stages:
                self._stages[-1].bytes += count

    def ready(self) -> None:
        """The model is warm."""
        self._ready_at = self._clock.wall()
        self._state = "ready"
        self._tell()

    def failed(self, error: LoadError) -> None:
        """The load failed for good."""
        self._error = {"stage": error.stage, "message": str(error)}
        self._state = "failed"
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

"""What is told of a load while it goes on."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from predictor.loading.progress import Progress
from tests.support.clock import FakeClock
from tests.support.until import until
from torpor.cli.timeline import LoadStage, parse_progress
from torpor.errors import LoadError


def test_the_command_line_reads_what_the_predictor_writes() -> None:
    """Stages with their times and bytes, when it listened, when it was ready."""
    clock = FakeClock(wall=1000.0)
    progress = Progress(clock, started_at=990.0)
    progress.listening()
    with progress.stage("resolve"):
        clock.advance(0.5)
    with progress.stage("fetch"):
        progress.expect(100)
        progress.received(60)
        clock.advance(1)
        half = parse_progress(progress.snapshot())
        progress.received(40)
    progress.ready()
    assert (half.state, half.bytes_done, half.bytes_total, half.ready_at) == ("loading", 60, 100, None)
    assert half.stages[1] == LoadStage("fetch", 1000.5, None, 60)
    whole = parse_progress(progress.snapshot())
    assert (whole.state, whole.listening_at, whole.ready_at, whole.error) == ("ready", 1000.0, 1001.5, "")
    assert whole.stages == (LoadStage("resolve", 1000.0, 0.5, 0), LoadStage("fetch", 1000.5, 1.0, 100))
    assert progress.snapshot()["started_at"] == 990.0


def test_a_clock_that_is_set_meanwhile_does_not_change_a_duration() -> None:
    """Durations are not differences of timestamps."""
    clock = FakeClock()
    progress = Progress(clock)
    with progress.stage("open"):
        clock.advance(2)
        clock.step_wall(-3600)
    assert progress.snapshot()["stages"][0]["seconds"] == 2


def test_a_failure_is_told_with_its_stage() -> None:
    """A stage that fails has ended, too."""
    progress = Progress(FakeClock())
    with pytest.raises(ValueError, match="no"), progress.stage("open"):
        raise ValueError("no")
    progress.failed(LoadError("open", "RuntimeError: no licence found"))
    told = parse_progress(progress.snapshot())
    assert (told.state, told.error) == ("failed", "open: RuntimeError: no licence found")
    assert told.stages[0].seconds == 0


def test_bytes_of_an_earlier_try_do_not_count() -> None:
    """Progress never goes beyond the whole."""
    progress = Progress(FakeClock())
    with progress.stage("fetch"):
        progress.expect(10)
        progress.received(7)
        progress.expect(10)
        progress.received(10)
    snapshot = progress.snapshot()
    assert (snapshot["bytes_done"], snapshot["stages"][0]["bytes"]) == (10, 10)


def test_no_byte_is_lost_between_threads() -> None:
    """Several connections count at once."""
    progress = Progress(FakeClock())
    with progress.stage("fetch"):
        threads = [threading.Thread(target=lambda: [progress.received(1) for _ in range(5000)]) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert progress.snapshot()["bytes_done"] == 20_000


async def watched(progress: Progress, seen: list[dict[str, Any]]) -> None:
    async for snapshot in progress.changes():
        seen.append(snapshot)  # noqa: PERF401  # seen from outside while it grows


async def test_who_watches_is_told_now_and_at_every_change_until_the_end() -> None:
    """Each watcher, whenever it came."""
    progress = Progress(FakeClock())
    early: list[dict[str, Any]] = []
    late: list[dict[str, Any]] = []
    watching = asyncio.create_task(watched(progress, early))
    await asyncio.sleep(0)
    with progress.stage("resolve"):
        await asyncio.sleep(0)
    progress.ready()
    async with asyncio.timeout(5):
        await watching
        await watched(progress, late)
    assert [each["state"] for each in early[:1] + early[-1:]] == ["loading", "ready"]
    assert early[0]["stages"] == []
    assert len(early) >= 3
    assert late == [progress.snapshot()]


async def test_bytes_alone_are_told_too_and_not_one_by_one() -> None:
    """A thread that counts wakes nobody; watchers look again after a moment."""
    progress = Progress(FakeClock())
    seen: list[dict[str, Any]] = []
    with progress.stage("fetch"):
        watching = asyncio.create_task(watched(progress, seen))
        await asyncio.sleep(0)
        for _ in range(1000):
            progress.received(1)
        await until(lambda: seen[-1]["bytes_done"] == 1000)
    progress.failed(LoadError("fetch", "x"))
    async with asyncio.timeout(5):
        await watching
    assert len(seen) <= 5
    assert seen[-1]["state"] == "failed"


async def test_nothing_new_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher of a long import hears nothing until it ends."""
    monkeypatch.setattr("predictor.loading.progress.TICK_S", 0.001)
    progress = Progress(FakeClock())
    seen: list[dict[str, Any]] = []
    looks: list[int] = []
    snapshot = progress.snapshot
    monkeypatch.setattr(progress, "snapshot", lambda: looks.append(1) or snapshot())
    watching = asyncio.create_task(watched(progress, seen))
    await until(lambda: len(looks) > 10)
    assert len(seen) == 1
    progress.ready()
    async with asyncio.timeout(5):
        await watching
    assert len(seen) == 2

"""Processes that nobody wants, or whose shim is gone: none is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from tests.support.until import until
from torpor.local.kubelet.process import POD_DIR, Command, Launcher, StartError


@pytest_asyncio.fixture
async def launcher(tmp_path: Path) -> AsyncIterator[Launcher]:
    made = Launcher(time.time, f"{POD_DIR}={tmp_path}/")
    async with made.working():
        yield made


def command(folder: Path, *argv: str) -> Command:
    mark = f"{POD_DIR}={folder}/pod"
    return Command(argv, {"PATH": os.environ["PATH"], POD_DIR: f"{folder}/pod"}, folder, folder / "log", mark)


def alive(folder: Path) -> list[psutil.Process]:
    """Every process that was started below a folder."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if each.environ().get(POD_DIR, "").startswith(f"{folder}/") and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_what_a_killed_shim_leaves_is_gone_before_anybody_hears_of_it(launcher: Launcher, tmp_path: Path) -> None:
    """A grandchild would keep the port that the next run of the container needs."""
    started = await launcher.start(command(tmp_path, "sh", "-c", "sleep 314 & echo up; wait"))
    await until((tmp_path / "log").read_text)
    [grandchild] = psutil.Process(started.pid).children()
    os.kill(psutil.Process(started.pid).ppid(), signal.SIGKILL)
    assert await asyncio.wait_for(started.exited, 10) == -signal.SIGKILL
    assert alive(tmp_path) == []
    assert not running(grandchild.pid)
    again = await launcher.start(command(tmp_path, "true"))
    assert await asyncio.wait_for(again.exited, 10) == 0


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 50])
async def test_a_start_that_is_cancelled_leaves_no_process(launcher: Launcher, tmp_path: Path, turns: int) -> None:
    """Whether the order, the process or the answer was on its way."""
    ordered = asyncio.ensure_future(launcher.start(command(tmp_path, "sleep", "315")))
    for _ in range(turns):
        await asyncio.sleep(0)
    ordered.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ordered
    # The shim obeys in order: when this one has ended, that one had been started.
    other = await launcher.start(command(tmp_path, "true"))
    await asyncio.wait_for(other.exited, 10)
    await until(lambda: not alive(tmp_path))


async def test_a_start_that_is_cancelled_with_its_answer_in_hand_leaves_no_process(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer has been heard, but whoever waited for it goes in the same turn of the loop."""
    heard = launcher._hear
    cancelled = asyncio.Event()

    def hear(said: dict[str, object]) -> None:
        heard(said)
        if "started" in said and not cancelled.is_set():
            cancelled.set()
            ordered.cancel()

    monkeypatch.setattr(launcher, "_hear", hear)
    ordered = asyncio.ensure_future(launcher.start(command(tmp_path, "sleep", "316")))
    with pytest.raises(asyncio.CancelledError):
        await ordered
    assert cancelled.is_set()
    await until(lambda: not alive(tmp_path))


async def test_a_log_that_cannot_be_made_is_a_failed_start(launcher: Launcher, tmp_path: Path) -> None:
    """It says why."""
    (tmp_path / "file").touch()
    wanted = command(tmp_path, "true")
    with pytest.raises(StartError, match='cannot start "true": log: file exists'):
        await launcher.start(Command(wanted.argv, wanted.env, tmp_path, tmp_path / "file" / "log", wanted.mark))


async def test_without_a_shim_nobody_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubelet that can start nothing says so and ends, so that it is started anew."""
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    async with asyncio.timeout(10):
        with pytest.raises(FileNotFoundError):
            async with Launcher(time.time, f"{POD_DIR}={tmp_path}/").working():
                await asyncio.Event().wait()

"""The supervisor: starts the services in order, keeps them, and takes all of them down in order."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TextIO

from torpor.aio.clock import Clock
from torpor.local.up.children import Children
from torpor.local.up.keeper import Keeper, StartError
from torpor.local.up.output import LogFile
from torpor.local.up.plan import Patience, Stages
from torpor.local.up.stopping import Stopping


async def supervise(
    stages: Stages, announcement: str, logs: Path, lifeline_fd: int | None, *, clock: Clock, patience: Patience
) -> int:
    """Run until somebody asks us to stop, or a service cannot be kept; returns the exit status.

    Nothing that was started here, or by what was started here, outlives this call.
    """
    stopping = Stopping(clock, patience.twice_s)
    with contextlib.ExitStack() as files, stopping.listening(lifeline_fd):
        async with Children() as children:
            keepers = [
                [
                    Keeper(service, children, _log(files, logs / f"{service.name}.log"), say, clock, patience)
                    for service in stage
                ]
                for stage in stages
            ]
            try:
                failed = await _unless_asked(_run(keepers, announcement), stopping.asked)
                if not failed and not stopping.hurry.is_set():
                    say("torpor is stopping; Ctrl-C again stops it at once")
            finally:
                await _stop([each for stage in keepers for each in stage], stopping.hurry)
    return 1 if failed else 0


async def _run(keepers: list[list[Keeper]], announcement: str) -> None:
    """Start stage after stage, then keep them all; ends only by an error."""
    for stage in keepers:
        async with asyncio.TaskGroup() as group:
            for each in stage:
                group.create_task(each.start())
    say(announcement, sys.stdout)
    async with asyncio.TaskGroup() as group:
        for stage in keepers:
            for each in stage:
                group.create_task(each.keep())


async def _unless_asked(work: Coroutine[Any, Any, None], asked: asyncio.Event) -> bool:
    """Run until we are asked to stop; returns whether it failed before, and says why."""
    waiting = asyncio.create_task(asked.wait())
    working = asyncio.create_task(work)
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    working.cancel()
    failed = False
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await working
    except* StartError as group:
        failed = True
        for error in group.exceptions:
            say(f"error: {error}")
    return failed


async def _stop(keepers: list[Keeper], hurry: asyncio.Event) -> None:
    """One after another from the last to the first, or in a hurry all at once."""
    for each in reversed(keepers):
        if hurry.is_set():
            break
        await each.stop(hurry)
    async with asyncio.TaskGroup() as group:
        for each in keepers:
            group.create_task(each.stop(hurry))


def _log(files: contextlib.ExitStack, path: Path) -> LogFile:
    return files.enter_context(contextlib.closing(LogFile(path)))


def say(text: str, stream: TextIO | None = None) -> None:
    """Tell the person at the terminal, if there still is one."""
    with contextlib.suppress(OSError):
        print(text, file=stream or sys.stderr, flush=True)

"""`torpor up` on free ports and in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from processes import stopped
from rich.console import Console
from storage import free_port

from torpor.errors import TorporError

READY = "torpor is ready"
START_S = 60.0
STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class Laptop:
    """A running Torpor."""

    kubeconfig: Path

    async def torpor(self, *args: str, stdin: str = "") -> None:
        """Run a `torpor` command as a user does; what it prints is shown."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "torpor.cli.main", *args,
            stdin=asyncio.subprocess.PIPE, env=os.environ | {"KUBECONFIG": str(self.kubeconfig)},
        )  # fmt: skip
        async with stopped(process, 5):
            await process.communicate(stdin.encode())
        if process.returncode:
            raise TorporError(f"`torpor {' '.join(args)}` ended with exit status {process.returncode}")


@contextlib.asynccontextmanager
async def running(folder: Path, show: Console) -> AsyncIterator[Laptop]:
    """Start it, wait until it says that it is ready, give it, stop it."""
    data_dir = folder / "data"
    command = [sys.executable, "-m", "torpor.cli.main", "up", "--data-dir", str(data_dir)]
    for name in ("http", "grpc", "api", "admin"):
        command += [f"--{name}-port", str(free_port())]
    log = folder / "up.log"
    with log.open("wb") as output:
        # A session of its own: Ctrl-C is for the demo, which then stops it.
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output, start_new_session=True)
    async with stopped(process, STOP_S):
        show.print(await _ready(process, log))
        try:
            yield Laptop(data_dir / "kubeconfig")
        except TorporError:
            show.print("the last lines of its log:", *_tail(log), sep="\n", markup=False, soft_wrap=True)
            raise
    if process.returncode:
        raise TorporError(f"torpor up ended with exit status {process.returncode}")


async def _ready(process: asyncio.subprocess.Process, log: Path) -> str:
    """Return the lines that say where it serves."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_S):
            while process.returncode is None:
                text = _read(log)
                if READY in text:
                    return text[text.index(READY) :].strip()
                await asyncio.sleep(0.05)
    raise TorporError("\n".join(["torpor up did not get ready; its log ends with:", *_tail(log)]))


def _tail(log: Path, lines: int = 20) -> list[str]:
    return _read(log).splitlines()[-lines:]


def _read(log: Path) -> str:
    return log.read_text(errors="replace")

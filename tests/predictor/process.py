"""`python -m predictor` as a kubelet starts it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.ports import free_ports


@dataclass(slots=True)
class Predictor:
    """A process, and how to speak to it."""

    process: asyncio.subprocess.Process
    port: int
    message: Path
    """Where it leaves its termination message."""
    http: httpx.AsyncClient

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def get(self, path: str, status: int = 200, timeout_s: float = 30) -> httpx.Response:
        """Ask until the answer has this status; what is not reachable yet is asked again."""
        async with asyncio.timeout(timeout_s):
            while True:
                with contextlib.suppress(httpx.ConnectError):
                    answer = await self.http.get(path)
                    if answer.status_code == status:
                        return answer
                assert self.process.returncode is None, f"it ended with {self.process.returncode}"
                await asyncio.sleep(0.01)

    async def refuses(self, timeout_s: float = 10) -> None:
        """Wait until no new connection is taken."""
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    return
                writer.close()
                await asyncio.sleep(0.01)

    async def ended(self, timeout_s: float = 30) -> tuple[int, str]:
        """Wait for the end; returns the exit status and the log."""
        async with asyncio.timeout(timeout_s):
            _, log = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, log.decode()

    async def stop(self) -> tuple[int, str]:
        """Send SIGTERM; returns the exit status and the log."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()


@contextlib.asynccontextmanager
async def started(folder: Path, uri: str, format_: str = "python", **env: str) -> AsyncIterator[Predictor]:
    """Run a predictor of model `m` while the block runs."""
    (port,) = free_ports(1)
    message = folder / "termination-message"
    environment = {
        "PATH": os.environ["PATH"],
        "PORT": str(port),
        "TORPOR_MODEL_NAME": "m",
        "TORPOR_MODEL_FORMAT": format_,
        "STORAGE_URI": uri,
        "TORPOR_TERMINATION_LOG": str(message),
        "TMPDIR": str(folder),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "predictor", env=environment | env, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            yield Predictor(process, port, message, http)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()

"""A real data plane as a process of its own, and how much memory it holds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.ports import free_ports
from tests.support.until import until

DOOR = Path(__file__).parents[3] / "scripts/benchmarks/activator/door.py"
MIB = 2**20
START_S = 30.0
LOOK_S = 0.02


@dataclass
class Process:
    """The door."""

    port: int
    ps: psutil.Process

    @property
    def rss(self) -> int:
        return int(self.ps.memory_info().rss)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[Growth]:
        """Look at its memory all the while; what it holds at the beginning is the measure."""
        growth = Growth(self, self.rss)
        task = asyncio.create_task(growth.watch())
        try:
            yield growth
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            growth.look()


@dataclass
class Growth:
    """How much more memory it has held than at the beginning."""

    process: Process
    before: int
    most: int = 0

    def look(self) -> None:
        self.most = max(self.most, self.process.rss - self.before)

    async def watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)


@contextlib.asynccontextmanager
async def process(pod_port: int, **limits: float) -> AsyncIterator[Process]:
    """Run the door before a pod (port 0: before none) until the body is done."""
    (port,) = free_ports(1)
    environment = os.environ | {f"TORPOR_ACTIVATOR_{name.upper()}": str(value) for name, value in limits.items()}
    running = await asyncio.create_subprocess_exec(sys.executable, str(DOOR), str(port), str(pod_port), env=environment)
    try:
        await until(lambda: _is_open(port), START_S)
        yield Process(port, psutil.Process(running.pid))
        assert running.returncode is None, "the door fell over"
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


async def warm(door: Process) -> None:
    """Have it do once what it does the first time only."""
    for _ in range(50):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: nobody.test\r\nConnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()


def _is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False

"""A real data plane as a process of its own, and how much memory it holds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.ports import free_ports
from tests.support.until import until

ROOT = Path(__file__).parents[3]
DOOR = "tests.activator.memory.door"
MIB = 2**20
START_S = 30.0
LOOK_S = 0.02


@dataclass
class Process:
    """The door."""

    port: int
    grpc_port: int
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

    @property
    def peak(self) -> int:
        """What the process held at most, all in all."""
        return self.before + self.most

    def look(self) -> None:
        self.most = max(self.most, self.process.rss - self.before)

    async def watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)


@contextlib.asynccontextmanager
async def process(
    pod_port: int, *, calls: int = 0, shadow: int = 0, mirror: str | None = None, **limits: float
) -> AsyncIterator[Process]:
    """Run the door until the body is done: before service `app` with this pod (port 0: with none).

    `calls`: the pod of a service that speaks HTTP/2. `shadow`: that of a service that gets copies, as `mirror` says.
    """
    port, grpc_port = free_ports(2)
    pods = {"app": pod_port, "calls": calls, "shadow": shadow}
    told = json.dumps({"http": port, "grpc": grpc_port, "pods": pods, "mirror": mirror})
    environment = os.environ | {f"TORPOR_ACTIVATOR_{name.upper()}": str(value) for name, value in limits.items()}
    running = await asyncio.create_subprocess_exec(sys.executable, "-m", DOOR, told, env=environment, cwd=ROOT)
    try:
        await until(lambda: _is_open(grpc_port), START_S)
        yield Process(port, grpc_port, psutil.Process(running.pid))
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

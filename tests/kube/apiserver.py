"""The laptop's real API server as a process that tests may kill."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.ports import free_ports
from torpor.kube import Cluster

START_S = 30.0


class ApiServer:
    """`python -m torpor.local.apiserver` on one data directory and one port, through any number of lives."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self._log = folder / "apiserver.log"
        [self._port] = free_ports(1)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Return when it serves: it writes one byte to the descriptor that it was given."""
        reader, writer = os.pipe()
        with self._log.open("ab") as log:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "torpor.local.apiserver", "--data-dir", str(self.data_dir)),
                    *("--host", "127.0.0.1", "--port", str(self._port), "--ready-fd", str(writer)),
                    pass_fds=(writer,),
                    stdout=log,
                    stderr=log,
                )
            finally:
                os.close(writer)
        try:
            said = await asyncio.wait_for(asyncio.to_thread(os.read, reader, 1), START_S)
        finally:
            os.close(reader)
        assert said, self._log.read_text()

    async def kill(self) -> None:
        """As with kill -9: nothing is said, nothing is finished."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None

    async def connect(self) -> Cluster:
        return await Cluster.connect(self.data_dir / "kubeconfig")


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[ApiServer, Cluster]]:
    """Serve, connect, and leave nothing behind."""
    server = ApiServer(folder)
    try:
        await server.start()
        async with await server.connect() as cluster:
            yield server, cluster
    finally:
        await server.kill()

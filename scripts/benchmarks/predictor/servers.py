"""Start a server on a core of its own, wait for its first right answer, measure it, stop all of it."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from peers import HERE, SUM, Peer, command

from torpor.errors import UnavailableError

POLL_S = 0.01
START_S = 90.0
END_S = 8.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    peer: Peer
    port: int
    pid: int
    start_s: float
    """From exec to the first right answer."""

    def tree(self) -> list[psutil.Process]:
        """Return its processes."""
        try:
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def cpu_s(self) -> float:
        total = 0.0
        for each in self.tree():
            with contextlib.suppress(psutil.Error):
                used = each.cpu_times()
                total += used.user + used.system
        return total

    def pss_mib(self) -> float:
        """Return its memory, shared pages by parts."""
        total = 0
        for each in self.tree():
            with contextlib.suppress(psutil.Error):
                total += each.memory_full_info().pss
        return total / 2**20


@contextlib.contextmanager
def running(peer: Peer, folder: Path, work: Path, core: int, workload: str = SUM) -> Iterator[Running]:
    """Run the server while the block does; raises UnavailableError with the end of its log if it does not answer."""
    work.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    log = work / "log"
    own = {name: value.format(grpc_port=port + 1) for name, value in peer.env}
    environment = {**os.environ, "PYTHONPATH": str(HERE), **own, "PORT": str(port), "MODEL": workload}
    environment |= {"OMP_NUM_THREADS": "1", "TMPDIR": str(work)}
    began_s = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command(peer, folder, work, port)],
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=work,
            start_new_session=True,
        )
    try:
        while not _answers(peer, port, workload):
            if process.poll() is not None or time.perf_counter() - began_s > START_S:
                raise UnavailableError(f"{peer.name} does not answer: {log.read_text(errors='replace')[-800:]}")
            time.sleep(POLL_S)
        yield Running(peer, port, process.pid, time.perf_counter() - began_s)
    finally:
        _stop(process)


def _answers(peer: Peer, port: int, workload: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", peer.path, peer.body(workload), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        raw = answer.read()
        return answer.status == 200 and peer.is_right(raw, workload)
    except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the whole tree, which may have left the session."""
    tree: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(process.pid)
        tree = [root, *root.children(recursive=True)]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    _, alive = psutil.wait_procs(tree, timeout=END_S)
    for each in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()


def _free_port() -> int:
    """Return a port of which the next two are free too: some servers have three."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            try:
                for more in (1, 2):
                    stack.enter_context(socket.create_server(("127.0.0.1", first + more)))
            except (OSError, OverflowError):
                continue
            return int(first)

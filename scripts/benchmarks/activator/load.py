"""Send requests, and count."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from cores import Cores
from door import HOST, KEY, SESSION
from figures import Paced, Sample, parse
from peers import Peers
from servers import BIG, Target

from torpor.errors import UpstreamError

BODY = '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1.0,2.0,3.0,4.0]}]}'
INFER = "/v2/models/m/infer"
PATIENCE_S = 30
OPENLOOP = Path(__file__).parents[1] / "openloop.py"


@dataclass(frozen=True, slots=True)
class Cell:
    """What is asked for, by how many at once."""

    body: str
    connections: int

    @property
    def title(self) -> str:
        """Name it for people."""
        return f"{self.body} bodies, {self.connections} connection{'s' if self.connections > 1 else ''}"


# What is sent to the door with everything on: each feature has something to do.
EXTRA = {
    SESSION: "session-1",
    "Authorization": f"Bearer {KEY}",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "vendor=value",
    "X-Request-Id": "0af7651916cd43dd",
}
SCRIPTS = {"json": (INFER, f"'{BODY}'"), "1mb": (BIG, f"string.rep('x', {2**20})")}


def script(body: str, *, all_on: bool) -> str:
    """Return what wrk is told."""
    path, text = SCRIPTS[body]
    headers = {"Host": HOST, "Content-Type": "application/json"} | (EXTRA if all_on else {})
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    return "\n".join(['wrk.method = "POST"', f'wrk.path = "{path}"', f"wrk.body = {text}", *lines, ""])


class Load:
    """wrk, with one thread on its core; or a sender that keeps to a rate."""

    def __init__(self, peers: Peers, cores: Cores, folder: Path, backend: Target) -> None:
        self._cores = cores.used
        self._backend = backend
        self._folder = folder
        self._pinned = [peers.taskset, "-c", str(cores.load)]
        self._wrk = [*self._pinned, peers.wrk, "-t1", "--latency", f"--timeout={PATIENCE_S}s"]

    async def sample(self, target: Target, cell: Cell, seconds: float) -> Sample:
        """Load one target for so long; raises UpstreamError where any request failed."""
        path = self._folder / f"{cell.body}-{target.all_on}.lua"
        if not path.exists():
            path.write_text(script(cell.body, all_on=target.all_on))
        command = [*self._wrk, "-s", str(path), f"-c{cell.connections}", f"-d{max(1, round(seconds))}s"]
        begin_s, before_s, ours_s, busy_s = time.monotonic(), target.cpu_s(), self._ours_s(target), self._busy_s()
        output = await _run([*command, f"http://127.0.0.1:{target.port}/"])
        sample = parse(output)
        if sample.errors:
            raise UpstreamError(f"{sample.errors} requests to {target.name} failed:\n{output}")
        foreign_s = (self._busy_s() - busy_s) - (self._ours_s(target) - ours_s)
        foreign = foreign_s / len(self._cores) / (time.monotonic() - begin_s)
        used_us = 1e6 * (target.cpu_s() - before_s)
        return replace(sample, cpu_us=used_us / max(1, sample.requests), foreign=min(1.0, max(0.0, foreign)))

    async def paced(self, target: Target, rate: float, seconds: float) -> Paced:
        """Send so many a second, whatever becomes of them."""
        said = ["--host", HOST, "--path", INFER, "--body", BODY, "--steps", f"{rate}x{seconds}"]
        return Paced.read(
            json.loads(await _run([*self._pinned, sys.executable, str(OPENLOOP), str(target.port), *said]))
        )

    def _ours_s(self, target: Target) -> float:
        """Return how much processor time this benchmark has used: proxy, backend, and the load generators so far."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        load_s = children.ru_utime + children.ru_stime
        return load_s + sum(each.cpu_s() for each in {target.port: target, self._backend.port: self._backend}.values())

    def _busy_s(self) -> float:
        """Return for how long the cores have worked since the machine was started; what the hypervisor took counts."""
        times = [each for core, each in enumerate(psutil.cpu_times(percpu=True)) if core in self._cores]
        return float(sum(sum(each[:8]) - each.idle - each.iowait for each in times))  # [8:] is part of [:2]


async def _run(command: list[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode()

"""Send requests, and count."""

from __future__ import annotations

import asyncio
import resource
import time
from dataclasses import replace
from pathlib import Path

import psutil
from cores import Cores
from door import HOST
from figures import Sample, parse
from peers import Peers
from servers import Target

from torpor.errors import UpstreamError

BODY = '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1.0,2.0,3.0,4.0]}]}'
SCRIPT = f"""
wrk.method = "POST"
wrk.path = "/v2/models/m/infer"
wrk.headers["Host"] = "{HOST}"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{BODY}'
"""


class Load:
    """wrk, with one thread on its core."""

    def __init__(self, peers: Peers, cores: Cores, folder: Path, backend: Target) -> None:
        self._cores = cores.used
        self._backend = backend
        self._script = folder / "infer.lua"
        self._script.write_text(SCRIPT)
        self._command = [peers.taskset, "-c", str(cores.load), peers.wrk, "-t1", "--latency", "-s", str(self._script)]

    async def sample(self, target: Target, connections: int, seconds: float) -> Sample:
        """Load one target for so long; raises UpstreamError where any request failed."""
        command = [*self._command, f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        begin_s, before_s, ours_s, busy_s = time.monotonic(), target.cpu_s(), self._ours_s(target), self._busy_s()
        process = await asyncio.create_subprocess_exec(
            *command,
            f"http://127.0.0.1:{target.port}/",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        sample = parse(output.decode())
        if sample.errors:
            raise UpstreamError(f"{sample.errors} requests to {target.name} failed:\n{output.decode()}")
        foreign_s = (self._busy_s() - busy_s) - (self._ours_s(target) - ours_s)
        foreign = foreign_s / len(self._cores) / (time.monotonic() - begin_s)
        used_us = 1e6 * (target.cpu_s() - before_s)
        return replace(sample, cpu_us=used_us / max(1, sample.requests), foreign=min(1.0, max(0.0, foreign)))

    def _ours_s(self, target: Target) -> float:
        """Return how much processor time this benchmark has used: proxy, backend, and the load generators so far."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        load_s = children.ru_utime + children.ru_stime
        return load_s + sum(each.cpu_s() for each in {target.port: target, self._backend.port: self._backend}.values())

    def _busy_s(self) -> float:
        """Return for how long the cores have worked since the machine was started; what the hypervisor took counts."""
        times = [each for core, each in enumerate(psutil.cpu_times(percpu=True)) if core in self._cores]
        return float(sum(sum(each[:8]) - each.idle - each.iowait for each in times))  # [8:] is part of [:2]

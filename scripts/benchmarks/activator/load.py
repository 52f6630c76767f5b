"""Send requests, and count."""

from __future__ import annotations

import asyncio
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

    def __init__(self, peers: Peers, cores: Cores, folder: Path) -> None:
        self._proxy_core = cores.proxy
        self._script = folder / "infer.lua"
        self._script.write_text(SCRIPT)
        self._command = [peers.taskset, "-c", str(cores.load), peers.wrk, "-t1", "--latency", "-s", str(self._script)]

    async def sample(self, target: Target, connections: int, seconds: float) -> Sample:
        """Load one target for so long; raises UpstreamError where any request failed."""
        command = [*self._command, f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        begin_s, before_s, busy_s = time.monotonic(), target.cpu_s(), _busy_s(self._proxy_core)
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
        used_s, busy_s = target.cpu_s() - before_s, _busy_s(self._proxy_core) - busy_s
        elapsed_s = time.monotonic() - begin_s
        foreign = min(1.0, max(0.0, (busy_s - used_s) / elapsed_s))
        return replace(sample, cpu_us=1e6 * used_s / max(1, sample.requests), foreign=foreign)


def _busy_s(core: int) -> float:
    """Return for how long a core has worked since the machine was started; what the hypervisor took counts too."""
    times = psutil.cpu_times(percpu=True)[core]
    return float(sum(times[:8]) - times.idle - times.iowait)  # the last two are within the first two

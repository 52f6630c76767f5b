"""Send requests, and count."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

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
        self._script = folder / "infer.lua"
        self._script.write_text(SCRIPT)
        self._command = [peers.taskset, "-c", str(cores.load), peers.wrk, "-t1", "--latency", "-s", str(self._script)]

    async def sample(self, target: Target, connections: int, seconds: float) -> Sample:
        """Load one target for so long; raises UpstreamError where any request failed."""
        command = [*self._command, f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        before_s = target.cpu_s()
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
        return replace(sample, cpu_us=1e6 * (target.cpu_s() - before_s) / max(1, sample.requests))

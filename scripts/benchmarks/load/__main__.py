"""Knative's own load test on this machine: from zero in steps, against a model that takes 100 ms.

A real `torpor up` serves a Knative Service that is at zero when the first request comes. The sender keeps to its rate,
whatever becomes of the requests: 1000, 2000, 3000 a second where there are four cores or more, in proportion where
there are fewer. Knative's limits: a p95 of at most 115 ms after the wake, no answer after 10 s, no errors, 99.9 %
answered.

Ends with one line of JSON on standard output; exit status 2 says that a limit is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any

import laptop
from judge import RATES, broken, figures, scale_for
from rich.console import Console
from rich.table import Table
from zero import until_zero

from torpor.cli.connection import connected, find
from torpor.cli.waiting import observed
from torpor.errors import TorporError
from torpor.spec.kinds import KSERVICE, Object

NAME = "load"
HERE = Path(__file__).parent
OPENLOOP = HERE.parent / "openloop.py"
ZERO_S = 60.0


def manifest(target: int) -> dict[str, Any]:
    """Return the service: no limit of concurrency, as in Knative's test, and zero soon."""
    annotations = {
        "autoscaling.knative.dev/window": "6s",
        "autoscaling.knative.dev/target": str(target),
        "autoscaling.knative.dev/target-burst-capacity": "-1",
        "autoscaling.knative.dev/initial-scale": "0",
    }
    container = {"image": "model", "command": [sys.executable, str(HERE / "model.py")]}
    template = {
        "metadata": {"annotations": annotations},
        "spec": {"containers": [container], "containerConcurrency": 0},
    }
    metadata = {"name": NAME, "namespace": "default"}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"template": template},
    }


async def measure(scale: float, seconds: float, target: int, show: Console) -> dict[str, Any]:
    """Start everything, send, stop everything."""
    steps = ",".join(f"{rate * scale:g}x{seconds:g}" for rate in RATES)
    with tempfile.TemporaryDirectory(prefix="torpor-bench-") as folder:
        async with laptop.running(Path(folder), show) as ours:
            await ours.torpor("apply", "-f", "-", stdin=json.dumps(manifest(target)))
            await until_zero(ours, NAME, ZERO_S, show)
            host, port = await address(ours)
            show.print(f"sending to {host}: {steps.replace('x', '/s for ').replace(',', ' s, ')} s")
            said = await send(port, host, steps)
    show.print(table(said))
    return said


async def address(ours: laptop.Laptop) -> tuple[str, int]:
    """Return the service's host, and the port that serves it."""
    where = find(ours.kubeconfig, None)
    async with connected(where) as cluster, observed(cluster, KSERVICE, "default") as (services, changed):
        async with asyncio.timeout(ZERO_S):
            while not (url := _url(services())):
                await changed.wait()
                changed.clear()
    name, _, port = url.removeprefix("http://").partition(":")
    return name, int(port)


def _url(services: Iterable[Object]) -> str:
    return next((str((each.get("status") or {}).get("url") or "") for each in services), "")


async def send(port: int, host: str, steps: str) -> dict[str, Any]:
    """Run the sender as a process of its own."""
    command = [sys.executable, str(OPENLOOP), str(port), "--host", host, "--path", "/v1/models/m:predict"]
    process = await asyncio.create_subprocess_exec(
        *command, "--body", '{"instances":[]}', "--steps", steps, stdout=asyncio.subprocess.PIPE
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said: dict[str, Any] = json.loads(output)
    return said


def table(said: dict[str, Any]) -> Table:
    """Draw the steps."""
    title = f"first answer after {said['first_answer_s']:.2f} s, all that waited by {said['drained_s']:.2f} s"
    drawn = Table(title=title, title_justify="left")
    for column in ("step", "requests", "answered", "p50 ms", "p95 ms", "p99 ms", "longest ms"):
        drawn.add_column(column, justify="left" if column == "step" else "right")
    rows = [(f"{step['rate']:g} a second", step) for step in said["steps"]]
    for name, row in (*rows, ("all after the wake", said["after_wake"])):
        cells = (row[f"{each}_us"] for each in ("p50", "p95", "p99", "max"))
        counts = (f"{row['requests']:,}", f"{row['answered']:,}")
        drawn.add_row(name, *counts, *("" if cell is None else f"{cell / 1000:,.1f}" for cell in cells))
    return drawn


def main(arguments: Sequence[str]) -> int:
    """Run it; SIGTERM and Ctrl-C leave nothing behind."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench/load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="steps of 5 s instead of 30: within 50 s")
    parser.add_argument("--seconds", type=float, help="how long each step is")
    parser.add_argument(
        "--scale", type=float, help="part of Knative's rates (default: a quarter for each core, at most 1)"
    )
    parser.add_argument("--target", type=int, default=100, help="concurrency aimed at per pod (default: Knative's 100)")
    given = parser.parse_args(arguments)
    scale = scale_for(len(os.sched_getaffinity(0))) if given.scale is None else given.scale
    seconds = given.seconds or (5.0 if given.quick else 30.0)
    show = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    begin = time.monotonic()
    try:
        with asyncio.Runner() as runner:
            said = runner.run(_stoppable(measure(scale, seconds, given.target, show)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        show.print("stopped; nothing is left behind")
        return 130
    except TorporError as error:
        Console(stderr=True, highlight=False).print(f"[red]failed:[/] {error}", soft_wrap=True)
        return 1
    found = figures(said, scale)
    for sentence in broken(found):
        show.print(f"[red]limit broken:[/] {sentence}")
    show.print(f"in all {time.monotonic() - begin:.0f} s")
    print(json.dumps(found), flush=True)
    return 2 if broken(found) else 0


async def _stoppable(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """SIGTERM ends it as Ctrl-C does: everything that was started is stopped."""
    task = asyncio.ensure_future(work)
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

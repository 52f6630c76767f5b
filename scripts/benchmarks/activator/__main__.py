"""Requests per second and latency through the activator, beside nginx and Envoy.

A proxy has one core for itself; the load generator (wrk) and the backend (nginx that answers every request with the
same 91 bytes) have the others, or share the only other. Each round asks every proxy in turn, so that what else the
machine does is much the same for all; the figures are medians over the rounds. "Added" latency is what comes on top of
asking the backend directly, as a part of what Envoy adds.

Ends with one line of JSON on standard output.
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
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from cores import divide
from figures import Round, foreign, medians, summary
from load import Load
from peers import find, versions
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from servers import Target, running

from torpor.errors import TorporError

QUIET = 0.1
EXAMPLE = "example: scripts/bench/activator --quick"


async def measure(rounds: int, seconds: float, connections: int, show: Console) -> dict[str, Any]:
    """Load all targets at many connections and at one; returns the figures."""
    peers, cores = find(show), divide(sorted(os.sched_getaffinity(0)))
    show.print(f"{versions(peers)}; {cores}")
    with _scratch() as folder:
        async with running(peers, cores, folder) as targets:
            load = Load(peers, cores, folder, targets[0])
            busy, alone = await _rounds(load, targets, rounds, seconds, connections)
    for count, taken in ((connections, busy), (1, alone)):
        show.print(table(taken, targets, f"{count} connection{'s' if count > 1 else ''}, median of {rounds}"))
    elsewhere = foreign(busy)
    if elsewhere > QUIET:
        show.print(f"[yellow]the cores were at other work for {elsewhere:.0%} of the time: the figures are rough")
    figures = summary(busy)
    one = {f"{key}_1_connection": value for key, value in summary(alone).items()}
    return {**figures, **one, "foreign_cpu": elsewhere, "connections": connections}


async def _rounds(
    load: Load, targets: list[Target], rounds: int, seconds: float, connections: int
) -> tuple[list[Round], list[Round]]:
    busy: list[Round] = []
    alone: list[Round] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("warming up", total=(rounds + 1) * len(targets) + rounds * len(targets))
        for target in targets:
            await load.sample(target, connections, 1)
            progress.advance(task)
        for number in range(rounds):
            # Whoever comes first in one round comes last in the next.
            order = targets[number % len(targets) :] + targets[: number % len(targets)]
            for taken, count in ((busy, connections), (alone, 1)):
                this: dict[str, Any] = {}
                for target in order:
                    progress.update(task, description=f"round {number + 1}: {target.name}")
                    this[target.name] = await load.sample(target, count, seconds)
                    progress.advance(task)
                taken.append(this)
    return busy, alone


def table(rounds: list[Round], targets: list[Target], title: str) -> Table:
    """Draw the medians."""
    drawn = Table(title=title, title_justify="left")
    drawn.add_column("through")
    for column in ("requests/s", "lowest", "highest", "p50 µs", "p99 µs", "processor µs/request"):
        drawn.add_column(column, justify="right")
    for target in targets:
        middle = medians(rounds, target.name)
        rates = [each[target.name].rps for each in rounds]
        cells = (middle.rps, min(rates), max(rates), middle.p50_us, middle.p99_us)
        drawn.add_row(target.name, *(f"{cell:,.0f}" for cell in cells), f"{middle.cpu_us:.1f}")
    return drawn


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="torpor-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker is another user
        yield folder


def main() -> int:
    """Run the benchmark; SIGTERM and Ctrl-C leave nothing behind."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench/activator",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s: within 50 s, and rough")
    parser.add_argument("--rounds", type=int, default=9, help="how often each proxy is asked (default: 9)")
    parser.add_argument("--seconds", type=int, default=2, help="and for how long, in whole seconds (default: 2)")
    parser.add_argument("--connections", type=int, default=32, help="at once (default: 32)")
    arguments = parser.parse_args()
    for name in ("rounds", "seconds", "connections"):
        if not 1 <= getattr(arguments, name) <= 1000:
            parser.error(f"--{name}: {getattr(arguments, name)} is not allowed; use 1 to 1000")
    rounds, seconds = (3, 1) if arguments.quick else (arguments.rounds, arguments.seconds)
    show = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    begin = time.monotonic()
    try:
        with asyncio.Runner() as runner:
            result = runner.run(_stoppable(measure(rounds, seconds, arguments.connections, show)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        show.print("stopped; nothing is left behind")
        return 130
    except TorporError as error:
        Console(stderr=True, highlight=False).print(f"[red]failed:[/] {error}", soft_wrap=True)
        return 1
    show.print(f"in all {time.monotonic() - begin:.0f} s")
    print(json.dumps(result), flush=True)
    return 0


async def _stoppable(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """SIGTERM ends it as Ctrl-C does: everything that was started is stopped."""
    task = asyncio.ensure_future(work)
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


if __name__ == "__main__":
    sys.exit(main())

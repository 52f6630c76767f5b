"""Requests per second and latency through the activator, beside nginx, Envoy and uvicorn with httpx.

A proxy has one core for itself; the load generator (wrk) and the backend (nginx that answers every request with the
same 91 bytes, or with 1 MB to a body of 1 MB) have the others, or share the only other. Each round asks every proxy in
turn, so that what else the machine does is much the same for all; the figures are medians over the rounds. "Added"
latency is what comes on top of asking the backend directly, as a part of what Envoy adds. "All on" is the activator
with a limit of the body, a container concurrency, session affinity by a header, trace context and a client's request
id in every request, and metrics that are read once a second.

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
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cores import divide
from figures import (
    ACTIVATOR,
    DIRECT,
    ENVOY,
    NGINX,
    Paced,
    Round,
    foreign,
    inflation,
    medians,
    paced_summary,
    summary,
)
from load import SCRIPTS, Cell, Load
from peers import find, versions
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from servers import Target, running

from torpor.errors import TorporError

QUIET = 0.1
LATE_US = 5000.0
FEW, MANY = Cell("json", 8), Cell("json", 512)
INFLATED = (ACTIVATOR, NGINX, ENVOY)
PACED = (DIRECT, ACTIVATOR, NGINX, ENVOY)
EXAMPLE = "example: scripts/bench/activator --quick"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, how often and for how long."""

    cells: tuple[Cell, ...]
    rounds: int
    seconds: int
    paced_s: float

    @property
    def base(self) -> Cell:
        """The cell whose figures have plain names."""
        return max(self.cells, key=lambda cell: (cell.body == "json", cell.connections))

    def rounds_of(self, cell: Cell) -> int:
        """The comparison is made most often where it counts."""
        return self.rounds if cell == self.base else max(1, self.rounds // 2)


@dataclass
class Taken:
    """What was measured."""

    rounds: dict[Cell, list[Round]] = field(default_factory=dict)
    paced: list[Mapping[str, Paced]] = field(default_factory=list)
    rate: float = 0.0
    """Half of Envoy's peak, requests a second."""


async def measure(plan: Plan, show: Console) -> dict[str, Any]:
    """Take all samples; returns the figures."""
    peers, cores = find(show), divide(sorted(os.sched_getaffinity(0)))
    show.print(f"{versions(peers)}; {cores}")
    with _scratch() as folder:
        async with running(peers, cores, folder) as targets:
            taken = await _take(Load(peers, cores, folder, targets[0]), targets, plan)
    for cell, rounds in taken.rounds.items():
        show.print(table(rounds, f"{cell.title}, median of {len(rounds)}"))
    show.print(paced_table(taken))
    elsewhere = foreign(taken.rounds[plan.base])
    if elsewhere > QUIET:
        show.print(f"[yellow]the cores were at other work for {elsewhere:.0%} of the time: the figures are rough")
    return figures(taken, plan) | {"foreign_cpu": elsewhere, "connections": plan.base.connections}


def figures(taken: Taken, plan: Plan) -> dict[str, Any]:
    """Return the JSON line: the base cell's figures by plain names, the others' by names that end in theirs."""
    found: dict[str, Any] = dict(summary(taken.rounds[plan.base]))
    inflated = {name: inflation(taken.rounds[FEW], taken.rounds[MANY], name) for name in INFLATED}
    found["p99_inflation_vs_envoy"] = round(inflated[ACTIVATOR] / inflated[ENVOY], 3)
    found["p99_inflation"] = {name: round(value, 2) for name, value in inflated.items()}
    found["half_load_rps"] = round(taken.rate)
    found |= paced_summary(taken.paced)
    for cell in plan.cells:
        if cell != plan.base:
            suffix = "_".join(
                (*(() if cell.body == "json" else (cell.body,)), cell.title.split(", ")[1].replace(" ", "_"))
            )
            found |= {f"{key}_{suffix}": value for key, value in summary(taken.rounds[cell]).items()}
    return found


async def _take(load: Load, targets: Sequence[Target], plan: Plan) -> Taken:
    taken, named = Taken(), {target.name: target for target in targets}
    inflated = [named[name] for name in INFLATED]
    asked = [(cell, list(targets), plan.rounds_of(cell)) for cell in plan.cells]
    asked += [(cell, inflated, max(1, plan.rounds // 3)) for cell in (FEW, MANY)]
    paced = [named[name] for name in PACED]
    paced_rounds = max(1, plan.rounds // 3)
    total = len(targets) + sum(len(each) * count for _, each, count in asked) + len(paced) * paced_rounds
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("warming up", total=total)
        for target in targets:
            await load.sample(target, plan.base, 1)
            progress.advance(task)
        for number in range(plan.rounds):
            for cell, those, count in asked:
                if number >= count:
                    continue
                # Whoever comes first in one round comes last in the next.
                order = those[number % len(those) :] + those[: number % len(those)]
                this: dict[str, Any] = {}
                for target in order:
                    progress.update(task, description=f"round {number + 1}: {target.name}, {cell.title}")
                    this[target.name] = await load.sample(target, cell, plan.seconds)
                    progress.advance(task)
                taken.rounds.setdefault(cell, []).append(this)
        taken.rate = max(medians(each, ENVOY).rps for cell, each in taken.rounds.items() if cell.body == "json") / 2
        for _ in range(paced_rounds):
            at: dict[str, Paced] = {}
            for target in paced:
                progress.update(task, description=f"{taken.rate:,.0f} requests/s: {target.name}")
                at[target.name] = await load.paced(target, taken.rate, plan.paced_s)
                progress.advance(task)
            taken.paced.append(at)
    return taken


def table(rounds: Sequence[Round], title: str) -> Table:
    """Draw the medians."""
    drawn = Table(title=title, title_justify="left")
    drawn.add_column("through")
    for column in ("requests/s", "lowest", "highest", "p50 µs", "p99 µs", "processor µs/request"):
        drawn.add_column(column, justify="right")
    for name in sorted(rounds[0], key=_order):
        middle = medians(rounds, name)
        rates = [each[name].rps for each in rounds]
        cells = (middle.rps, min(rates), max(rates), middle.p50_us, middle.p99_us)
        drawn.add_row(name, *(f"{cell:,.0f}" for cell in cells), f"{middle.cpu_us:.1f}")
    return drawn


def paced_table(taken: Taken) -> Table:
    """Draw the latencies at half of Envoy's peak."""
    title = f"{taken.rate:,.0f} requests/s, half of Envoy's peak, sent in time; the best of {len(taken.paced)}"
    drawn = Table(title=title, title_justify="left")
    for column in ("through", "p50 µs", "p99 µs", "sender late p99 µs", "errors"):
        drawn.add_column(column, justify="left" if column == "through" else "right")
    for name in PACED:
        best = min((each[name] for each in taken.paced), key=lambda one: one.p99_us)
        cells = (best.p50_us, best.p99_us, best.late_p99_us)
        drawn.add_row(name, *(f"{cell:,.0f}" for cell in cells), str(best.errors))
    if max(each.late_p99_us for one in taken.paced for each in one.values()) > LATE_US:
        drawn.caption = "the sender was late: the machine is too busy for these figures"
    return drawn


def _order(name: str) -> tuple[bool, bool, str]:
    return name != DIRECT, not name.startswith(ACTIVATOR), name


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="torpor-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker is another user
        yield folder


def plan_from(arguments: Sequence[str]) -> Plan:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench/activator",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small bodies, 2 rounds of 1 s: within 50 s, and rough")
    parser.add_argument("--rounds", type=int, default=9, help="how often each proxy is asked (default: 9)")
    parser.add_argument("--seconds", type=int, default=2, help="and for how long, in whole seconds (default: 2)")
    parser.add_argument("--bodies", default="json,1mb", help="json, 1mb, or both (default)")
    parser.add_argument("--connections", default="1,64", help="at once (default: 1,64)")
    given = parser.parse_args(arguments)
    for name in ("rounds", "seconds"):
        if not 1 <= getattr(given, name) <= 1000:
            parser.error(f"--{name}: {getattr(given, name)} is not allowed; use 1 to 1000")
    bodies = given.bodies.split(",")
    if unknown := set(bodies) - set(SCRIPTS):
        parser.error(f"--bodies: {', '.join(sorted(unknown))} is not allowed; use {', '.join(SCRIPTS)}")
    try:
        counts = [int(each) for each in given.connections.split(",")]
    except ValueError:
        counts = [0]
    if not all(1 <= each <= 1000 for each in counts):
        parser.error(f"--connections: {given.connections} is not allowed; use numbers from 1 to 1000, as 1,64")
    if given.quick:
        bodies = ["json"]
    cells = tuple(Cell(body, count) for body in bodies for count in counts)
    return Plan(cells, *((2, 1, 1.5) if given.quick else (given.rounds, given.seconds, 5.0)))


def main() -> int:
    """Run the benchmark; SIGTERM and Ctrl-C leave nothing behind."""
    plan = plan_from(sys.argv[1:])
    show = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    begin = time.monotonic()
    try:
        with asyncio.Runner() as runner:
            result = runner.run(_stoppable(measure(plan, show)))
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

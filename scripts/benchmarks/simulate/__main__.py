"""Cost against waiting time: Knative's autoscaler, fixed keep-alives, and the adaptive one, in simulated time.

A discrete-event simulation around the autoscaler's own code: the windows, the decision, the learner and the budget are
those of the activator; requests, starting pods and the clock are simulated. Services are a third each Poisson, bursty
and diurnal, or come from a CSV file with columns seconds and, if known, service, serve_s, start_s. Cost is the time
for which pods were asked for; waiting is from a request's arrival until a pod has it.

Ends with one line of JSON on standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from picture import Point, draw
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from traces import KINDS, Trace, made, read
from world import Outcome, simulate

from torpor.errors import TorporError
from torpor.spec.keepalive import parse_keep_alive

STANDARD, ADAPTIVE = "standard", "adaptive"
FIXED = ("fixed:15s", "fixed:30s", "fixed:2m", "fixed:5m", "fixed:15m")
EXAMPLE = """examples:
  scripts/bench/simulate --quick
  scripts/bench/simulate --services 10000 --hours 1 --policy fixed:5m --plot frontier.svg
  scripts/bench/simulate --csv arrivals.csv"""


def traces(arguments: argparse.Namespace) -> tuple[list[Trace], float]:
    """Return the services' traces, and until when they are simulated."""
    if arguments.csv is None:
        horizon_s = arguments.hours * 3600.0
        return [
            made(KINDS[number % len(KINDS)], number // len(KINDS), horizon_s, arguments.seed)
            for number in range(arguments.services)
        ], horizon_s
    found = read(arguments.csv, arguments.seed)
    return found, max((trace.arrivals[-1] for trace in found), default=0.0) + 600.0


def run(policies: Sequence[str], arguments: argparse.Namespace) -> dict[str, Outcome]:
    """Simulate every policy, each in a process of its own."""
    outcomes: dict[str, Outcome] = {}
    with (
        Progress(console=Console(stderr=True), transient=True) as progress,
        ProcessPoolExecutor(min(len(policies), len(os.sched_getaffinity(0)))) as pool,
    ):
        task = progress.add_task("simulating", total=len(policies))
        running = {pool.submit(_one, policy, arguments): policy for policy in policies}
        for done in as_completed(running):
            outcomes[running[done]] = done.result()
            progress.advance(task)
    return outcomes


def _one(policy: str, arguments: argparse.Namespace) -> Outcome:
    made_, horizon_s = traces(arguments)
    return simulate(made_, policy, horizon_s)


def waits(outcome: Outcome, kind: str | None = None) -> np.ndarray:
    """Return the waits of all requests, or of those to services of one kind."""
    return np.concatenate([np.asarray(each) for name, each in outcome.waits.items() if kind in {None, name}])


def ratios(outcomes: dict[str, Outcome]) -> dict[str, float]:
    """Return the figures of the JSON line: adaptive in parts of Knative's."""
    knatives, ours = outcomes[STANDARD], outcomes[ADAPTIVE]
    figures = {
        "adaptive_cost_vs_kpa": ours.replica_s / knatives.replica_s,
        "adaptive_wait_vs_kpa": _ratio(waits(ours), waits(knatives)),
        "adaptive_mean_wait_vs_kpa": float(waits(ours).mean() / max(1e-9, waits(knatives).mean())),
    }
    for kind in knatives.waits:
        figures[f"{kind}_cost_vs_kpa"] = ours.cost[kind] / max(1e-9, knatives.cost[kind])
        figures[f"{kind}_wait_vs_kpa"] = _ratio(waits(ours, kind), waits(knatives, kind))
    return {name: round(value, 3) for name, value in figures.items()}


def _ratio(ours: np.ndarray, knatives: np.ndarray) -> float:
    one, other = (float(np.quantile(each, 0.99)) if len(each) else 0.0 for each in (ours, knatives))
    return one / other if other else 1.0


def table(outcomes: dict[str, Outcome], policies: Sequence[str]) -> Table:
    """Draw what came out."""
    drawn = Table(title="cost and waiting", title_justify="left")
    drawn.add_column("keep-alive")
    for column in ("replica-seconds", "to Knative's", "starts", "waited", "mean s", "p95 s", "p99 s"):
        drawn.add_column(column, justify="right")
    for policy in policies:
        outcome, all_ = outcomes[policy], waits(outcomes[policy])
        drawn.add_row(
            policy if policy != STANDARD else "Knative's",
            f"{outcome.replica_s:,.0f}",
            f"{outcome.replica_s / outcomes[STANDARD].replica_s:.3f}",
            f"{outcome.starts:,}",
            f"{np.mean(all_ > 0):.1%}",
            *(f"{value:.2f}" for value in (all_.mean(), *np.quantile(all_, (0.95, 0.99)))),
        )
    return drawn


def points(outcomes: dict[str, Outcome], policies: Sequence[str]) -> list[Point]:
    """Return what the picture shows."""
    base = outcomes[STANDARD].replica_s
    return [
        Point(
            "Knative's defaults" if policy == STANDARD else policy.removeprefix("fixed:"),
            outcomes[policy].replica_s / base,
            float(np.quantile(waits(outcomes[policy]), 0.99)),
            joined=policy.startswith("fixed"),
        )
        for policy in policies
    ]


def main() -> int:
    """Run the simulation."""
    arguments, policies = parse()
    show = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    begin = time.monotonic()
    try:
        outcomes = run(policies, arguments)
    except KeyboardInterrupt:
        return 130
    except (TorporError, OSError) as error:
        Console(stderr=True, highlight=False).print(f"[red]failed:[/] {error}", soft_wrap=True)
        return 1
    show.print(table(outcomes, policies))
    count = sum(map(len, outcomes[STANDARD].waits.values()))
    services = arguments.services if arguments.csv is None else "their"
    show.print(f"{count:,} requests to {services} services; {time.monotonic() - begin:.0f} s")
    if arguments.plot is not None:
        title = "Replica-seconds against waiting (dashed: fixed keep-alives)"
        arguments.plot.write_text(draw(points(outcomes, policies), title), encoding="utf-8")
    result: dict[str, Any] = {**ratios(outcomes), "requests": count, "seed": arguments.seed}
    print(json.dumps(result), flush=True)
    return 0


def parse() -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; returns the policies that it asks for, too."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench/simulate",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="120 services, 12 hours, none fixed: within 50 s, and rough"
    )
    parser.add_argument("--services", type=int, default=240, help="how many (default: 240)")
    parser.add_argument("--hours", type=float, default=24.0, help="of simulated time (default: 24)")
    parser.add_argument("--seed", type=int, default=1, help="of the dice (default: 1)")
    parser.add_argument("--csv", type=Path, help="arrivals from a file, instead of made ones")
    parser.add_argument(
        "--policy", action="append", help="beside Knative's and the adaptive one; may be given again (default: five)"
    )
    parser.add_argument("--plot", type=Path, help="where to draw the frontier, as SVG")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.services, arguments.hours = 120, 12.0
    if not 3 <= arguments.services <= 100_000 or not 0.1 <= arguments.hours <= 1000:
        parser.error("use 3 to 100000 services and 0.1 to 1000 hours")
    others = arguments.policy or (() if arguments.quick else FIXED)
    try:
        for policy in others:
            parse_keep_alive("--policy", policy)
    except TorporError as error:
        parser.error(str(error))
    return arguments, list(dict.fromkeys((STANDARD, ADAPTIVE, *others)))


if __name__ == "__main__":
    sys.exit(main())

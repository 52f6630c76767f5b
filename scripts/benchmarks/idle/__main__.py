"""What services that sleep cost the activator: memory of each, time to route, time of a tick of the autoscaler.

The activator's own informers, router, throttlers and autoscaler are made in a process of their own for each size: none,
so many services, and twice as many. Every service is an object of four kinds (Route, Configuration, Revision,
Deployment), as the controller makes them. Memory is resident memory beyond that of the process without services. Times
are processor time; that of a tick is a median, and "first tick" is the one after a start, which looks at every
revision, in slices: "at a time" is the longest for which it kept the event loop.

Ends with one line of JSON on standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

CHILD = Path(__file__).with_name("activator_of.py")
EXAMPLE = "example: scripts/bench/idle --services 10000"


async def measured(services: int) -> dict[str, float]:
    """Return what a process with so many services says of itself."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(services), stdout=asyncio.subprocess.PIPE
    )
    try:
        said, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise SystemExit(f"the process with {services} services ended with {child.returncode}")
    figures: dict[str, float] = json.loads(said)
    return figures


def summary(none: dict[str, float], one: dict[str, float], two: dict[str, float]) -> dict[str, Any]:
    """Return the figures of the JSON line, and by which factor each grows when the services are twice as many."""
    held, held_of_two = one["rss"] - none["rss"], two["rss"] - none["rss"]
    return {
        "bytes_per_idle_service": round(held / one["services"]),
        "route_us": round(one["route_s"] * 1e6, 2),
        "tick_ms": round(one["tick_s"] * 1e3, 3),
        "first_tick_ms": round(one["first_tick_s"] * 1e3, 1),
        "first_tick_stretch_ms": round(one["stretch_s"] * 1e3, 1),
        "services": one["services"],
        "memory_growth_doubled": round(held_of_two / held, 2),
        "route_growth_doubled": round(two["route_s"] / one["route_s"], 2),
        "tick_growth_doubled": round(two["tick_s"] / one["tick_s"], 2),
    }


def table(rows: list[dict[str, float]]) -> Table:
    """Draw the figures of each size."""
    drawn = Table(title="services that sleep", title_justify="left")
    for column in ("services", "resident MiB", "bytes each", "route µs", "tick ms", "first tick ms", "at a time"):
        drawn.add_column(column, justify="right")
    for row in rows:
        each = (row["rss"] - rows[0]["rss"]) / row["services"] if row["services"] else 0
        times = (row["route_s"] * 1e6, row["tick_s"] * 1e3, row["first_tick_s"] * 1e3, row["stretch_s"] * 1e3)
        cells = (f"{value:,.2f}" for value in times)
        drawn.add_row(f"{row['services']:,.0f}", f"{row['rss'] / 2**20:,.1f}", f"{each:,.0f}", *cells)
    return drawn


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench/idle",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="1,500 services, and twice that: within 50 s")
    parser.add_argument("--services", type=int, default=10_000, help="how many, and then twice that (default: 10000)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.services = 1500
    if not 100 <= arguments.services <= 1_000_000:
        parser.error(f"--services: {arguments.services} is not allowed; use 100 to 1000000")
    show = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    begin = time.monotonic()
    try:
        with asyncio.Runner() as runner:
            rows = [runner.run(measured(count)) for count in (0, arguments.services, 2 * arguments.services)]
    except KeyboardInterrupt:
        return 130
    show.print(table(rows))
    show.print(f"in all {time.monotonic() - begin:.0f} s")
    print(json.dumps(summary(*rows)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A predictor beside KServe's server, MLServer, LitServe, Ray Serve, TorchServe, Triton and BentoML.

Workload `sum`: the sum of four numbers, so that all else is the server's own. Each server is one process (or what it
makes of one worker) on one core; wrk has another. Each round starts every server anew, in turn: the time from exec to
its first right answer, its memory (PSS of all its processes), then requests a second at 1 and at 32 connections. What
speaks V2 is asked by V2, the others by their own JSON. Figures are medians over the rounds; ratios are to the best of
the others, in starting and memory to the best that is written in Python.

Workload `mlp`: a network whose weights one row needs as much as sixteen, so that batches pay. All are told to make
batches of sixteen at most, and those that wait by the clock to do so for 5 ms. Beside them runs the model alone, which
is the ceiling, and our own server with batching off, which is what one connection should not be slower than.

Workload `tensors`: 16 MB of FP32 there and back by Triton's own clients, HTTP and gRPC, ours beside tritonserver.

Workload `timeouts`: how exact `timeout` of a request is, behind an execution that takes two seconds: ours alone, since
the others have none, or look at it when the execution ends.

Ends with one line of JSON on standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from peers import HERE, KSERVE, MLP, PEERS, SUM, TIMEOUTS, TORPOR, TRITON, UNBATCHED, Peer, install, installed, ours
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from servers import Running, running
from tensors import gbps
from timeouts import TIMEOUT_MS, waits_ms

from torpor.errors import TorporError, UpstreamError

ROOT = Path(__file__).parents[3]
CONNECTIONS = (1, 32)
QUIET = 0.1
EXAMPLE = "example: scripts/bench/predictor --install --peers mlserver,kserve --rounds 3"
Samples = dict[str, dict[str, list[float]]]
"""By server and figure."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    peers: tuple[Peer, ...]
    folder: Path
    rounds: int
    seconds: int
    server_core: int
    load_core: int


def requests(plan: Plan, show: Console, workload: str) -> dict[str, Any]:
    """Measure workload `sum` or `mlp`; returns the figures."""
    samples: Samples = defaultdict(lambda: defaultdict(list))
    targets = (ours(ROOT), *plan.peers)
    if workload == MLP:
        targets += (ours(ROOT, (("ONE_BY_ONE", "1"),), UNBATCHED),)
    with (
        tempfile.TemporaryDirectory(prefix="torpor-bench-") as name,
        Progress(console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task("", total=plan.rounds * len(targets))
        for number in range(plan.rounds):
            # Whoever comes first in one round comes last in the next.
            turn = number % len(targets)
            for peer in targets[turn:] + targets[:turn]:
                progress.update(task, description=f"round {number + 1}: {peer.name}")
                work = Path(name) / f"{peer.name.replace(' ', '-')}-{number}"
                with running(peer, plan.folder, work, plan.server_core, workload) as server:
                    taken = samples[peer.name]
                    taken["start_s"].append(server.start_s)
                    taken["pss_mib"].append(server.pss_mib())
                    for connections in CONNECTIONS:
                        _load(server, connections, plan, work, workload, taken)
                progress.advance(task)
            if workload == MLP:
                samples[TORPOR]["ceiling"].append(_alone(plan))
    show.print(_table(samples, workload))
    return _batched_figures(samples, plan) if workload == MLP else _figures(samples, plan)


def _alone(plan: Plan) -> float:
    """Return the rows a second that the model computes with no server around it."""
    command = ["taskset", "-c", str(plan.server_core), sys.executable, str(HERE / "alone.py")]
    environment = {**os.environ, "MODEL": MLP, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def tensors(plan: Plan, show: Console) -> dict[str, Any]:
    """Measure workload `tensors`; returns the figures."""
    triton = [each for each in plan.peers if each.name == TRITON]
    samples: Samples = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="torpor-bench-") as name:
        for number in range(plan.rounds):
            # gRPC alone on its own port, as Triton has it.
            for peer in [ours(ROOT, (("TORPOR_PREDICTOR_GRPC_PORT", "{grpc_port}"),)), *triton]:
                with running(peer, plan.folder, Path(name) / f"{peer.name}-{number}", plan.server_core) as server:
                    for protocol in ("http", "grpc"):
                        samples[peer.name][protocol].append(gbps(server, protocol, plan.load_core, plan.seconds))
    drawn = Table(title=f"16 MB there and back, GB/s, median of {plan.rounds}", title_justify="left")
    for column in ("server", "HTTP, binary", "gRPC"):
        drawn.add_column(column, justify="left" if column == "server" else "right")
    for each, taken in samples.items():
        drawn.add_row(each, *(f"{median(taken[protocol]):.2f}" for protocol in ("http", "grpc")))
    show.print(drawn)
    found: dict[str, Any] = {}
    for protocol in ("http", "grpc"):
        found[f"tensor_gbps_{protocol}"] = round(median(samples[TORPOR][protocol]), 3)
        if triton:
            pairs = zip(samples[TORPOR][protocol], samples[TRITON][protocol], strict=True)
            found[f"tensor_gbps_{protocol}_vs_triton"] = round(median(mine / theirs for mine, theirs in pairs), 3)
    return found


def timeouts(plan: Plan) -> dict[str, Any]:
    """Measure workload `timeouts`; returns the figures, in milliseconds."""
    model = (("STORAGE_URI", f"file://{HERE / 'slow_model'}"),)
    taken: list[float] = []
    with tempfile.TemporaryDirectory(prefix="torpor-bench-") as name:
        for number in range(plan.rounds):
            with running(
                ours(ROOT, model), plan.folder, Path(name) / str(number), plan.server_core, TIMEOUTS
            ) as server:
                taken += waits_ms(server)
    return {
        "asked_ms": TIMEOUT_MS,
        "told_p50_ms": round(median(taken), 1),
        "told_max_ms": round(max(taken), 1),
        "requests": len(taken),
    }


def _load(
    server: Running, connections: int, plan: Plan, folder: Path, workload: str, taken: dict[str, list[float]]
) -> None:
    body = folder / "body.json"
    body.write_bytes(server.peer.body(workload))
    command = ["taskset", "-c", str(plan.load_core), "wrk", "-t1", "--latency", "--timeout=10s"]
    command += [f"-c{connections}", f"-d{plan.seconds}s", "-s", str(Path(__file__).parent / "post.lua")]
    command.append(f"http://127.0.0.1:{server.port}{server.peer.path}")
    busy_s, cpu_s = _busy_s(), server.cpu_s()
    done = subprocess.run(command, env={**os.environ, "BODY": str(body)}, capture_output=True, text=True, check=True)
    told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("JSON "))[5:])
    if told["errors"]:
        raise UpstreamError(f"{told['errors']} requests to {server.peer.name} failed:\n{done.stdout}")
    used_s = server.cpu_s() - cpu_s
    taken[f"rps_{connections}"].append(1e6 * told["requests"] / told["us"])
    taken[f"p50_us_{connections}"].append(told["p50_us"])
    taken[f"p99_us_{connections}"].append(told["p99_us"])
    taken[f"cpu_us_{connections}"].append(1e6 * used_s / max(1, told["requests"]))
    # wrk has a core for itself, and uses at most that.
    taken["foreign"].append(max(0.0, (_busy_s() - busy_s - used_s) * 1e6 / told["us"] - 1))


def _busy_s() -> float:
    used = psutil.cpu_times()
    return float(used.user + used.system + used.nice + used.irq + used.softirq + used.steal)


def _table(samples: Samples, workload: str) -> Table:
    rounds = len(samples[TORPOR]["start_s"])
    drawn = Table(title=f"{workload}, median of {rounds}", title_justify="left")
    columns = ["start s", "PSS MiB"]
    columns += [f"{what}, {count}" for count in CONNECTIONS for what in ("requests/s", "p50 µs", "p99 µs", "CPU µs")]
    for column in ("server", *columns):
        drawn.add_column(column, justify="left" if column == "server" else "right")
    for name, taken in samples.items():
        keys = [f"{what}_{count}" for count in CONNECTIONS for what in ("rps", "p50_us", "p99_us", "cpu_us")]
        cells = [f"{median(taken['start_s']):.2f}", *(f"{median(taken[key]):,.0f}" for key in ("pss_mib", *keys))]
        drawn.add_row(name, *cells)
    return drawn


def _figures(samples: Samples, plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = {}
    everybody = [each.name for each in plan.peers]
    in_python = [each.name for each in plan.peers if each.is_python]
    for key, figure, others in (
        ("overhead_rps_vs_best", "rps_32", everybody),
        ("overhead_rps_vs_best_1", "rps_1", everybody),
        ("fresh_start_vs_best", "start_s", in_python),
        ("pss_vs_best", "pss_mib", in_python),
    ):
        pick = max if figure.startswith("rps") else min
        ratios = [
            samples[TORPOR][figure][number] / pick(samples[each][figure][number] for each in others)
            for number in range(plan.rounds)
            if others
        ]
        found[key] = round(median(ratios), 3) if ratios else None
        found[figure] = {name: round(median(taken[figure]), 3) for name, taken in samples.items()}
    found["foreign_cpu"] = round(median(each for taken in samples.values() for each in taken["foreign"]), 3)
    return found


def _batched_figures(samples: Samples, plan: Plan) -> dict[str, Any]:
    rounds = range(plan.rounds)
    ours_, others = samples[TORPOR], [each.name for each in plan.peers]
    one_by_one = [UNBATCHED, *(each for each in others if each == KSERVE)]
    ratios: dict[str, list[float]] = {
        "batched_rps_vs_best": [
            ours_["rps_32"][each] / max(samples[name]["rps_32"][each] for name in others) for each in rounds if others
        ],
        "batched_vs_ceiling": [ours_["rps_32"][each] / ours_["ceiling"][each] for each in rounds],
        "single_p50_vs_unbatched": [
            ours_["p50_us_1"][each] / min(samples[name]["p50_us_1"][each] for name in one_by_one) for each in rounds
        ],
    }
    found: dict[str, Any] = {key: round(median(taken), 3) if taken else None for key, taken in ratios.items()}
    found["ceiling_rows_per_s"] = round(median(ours_["ceiling"]))
    for figure in ("rps_1", "rps_32", "p50_us_1", "p99_us_32"):
        found[figure] = {name: round(median(taken[figure])) for name, taken in samples.items()}
    found["foreign_cpu"] = round(median(each for taken in samples.values() for each in taken["foreign"]), 3)
    return found


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench/predictor",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workload", choices=(SUM, MLP, "tensors", "timeouts"), default=SUM)
    parser.add_argument("--peers", default=",".join(PEERS), help=f"of {', '.join(PEERS)} (default: all)")
    parser.add_argument("--folder", type=Path, default=ROOT / ".venv" / "peers", help="where their environments are")
    parser.add_argument("--install", action="store_true", help="make the environments that are not there")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is started (default: 5)")
    parser.add_argument("--seconds", type=int, default=2, help="of each load (default: 2)")
    given = parser.parse_args()
    show = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    names = [each for each in given.peers.split(",") if each]
    cores = sorted(os.sched_getaffinity(0))
    try:
        for name in names if given.install else ():
            if name in PEERS:
                show.print(f"installing {name}")
                install(PEERS[name], given.folder)
        peers = installed(given.folder, names) if names else []
        if missing := set(names) - {each.name for each in peers}:
            show.print(f"[yellow]left out, not in {given.folder}: {', '.join(sorted(missing))}")
        plan = Plan(tuple(peers), given.folder, given.rounds, given.seconds, cores[-1], cores[0])
        if given.workload == "tensors":
            result = tensors(plan, show)
        elif given.workload == "timeouts":
            result = timeouts(plan)
        else:
            result = requests(plan, show, given.workload)
    except TorporError as error:
        Console(stderr=True, highlight=False).print(f"[red]failed:[/] {error}", soft_wrap=True)
        return 1
    print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The real front and the real supervisor, as processes, over stand-ins for the services."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import orjson
import psutil

from torpor.aio.backoff import Backoff
from torpor.aio.clock import SystemClock
from torpor.local.up import front
from torpor.local.up.plan import Patience, Service
from torpor.local.up.supervisor import supervise

READY = "everything is ready"
QUICK = Patience(backoff=Backoff(first_s=0.01, limit_s=0.01), tries=3, start_s=20.0, twice_s=0.0)
STANDIN = str(Path(__file__).with_name("standin.py"))
LIMIT_S = 30.0


def stand_in(name: str, *options: str, patience_s: float = 20.0) -> Service:
    return Service(name, (sys.executable, "-I", "-S", STANDIN, name, *options), patience_s)


@dataclass
class Tree:
    """One front and all below it."""

    folder: Path
    stages: tuple[tuple[Service, ...], ...]
    patience: Patience = QUICK
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def start(self) -> None:
        # Every stand-in carries the folder in its command line, so that none of them can hide.
        trace = ("--trace", str(self.folder / "trace"))
        stages = [[replace(each, command=(*each.command, *trace)) for each in stage] for stage in self.stages]
        document = {"stages": [[asdict(each) for each in stage] for stage in stages], "patience": asdict(self.patience)}
        self.plan.write_bytes(orjson.dumps(document))
        command = [sys.executable, "-m", "tests.local.up.tree", "front", str(self.plan)]
        with (self.folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=os.environ | {"STAND_IN": str(self.folder)},
            )

    def until(self, fits: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not fits():
            assert time.monotonic() < deadline, f"{what} did not come; the output is:\n{self.output}"
            time.sleep(0.005)

    def until_said(self, text: str) -> None:
        self.until(lambda: text in self.output, repr(text))

    def until_traced(self, *lines: str) -> None:
        self.until(lambda: set(lines) <= set(self.trace()), f"{lines} in the trace")

    def trace(self) -> list[str]:
        """What the stand-ins did, in order."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "trace").read_text().splitlines()
        return []

    def ended(self) -> int:
        """Wait for the front's end; returns its status."""
        return self.process.wait(LIMIT_S)

    def supervisor(self) -> psutil.Process:
        (found,) = psutil.Process(self.process.pid).children()
        return found

    def processes(self) -> list[psutil.Process]:
        """Everything that was started for this tree and lives, whoever its parent is."""
        return [each for each in psutil.process_iter() if self._is_ours(each)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("STAND_IN") == str(self.folder)
        except psutil.Error:
            return False


@contextlib.contextmanager
def growing(folder: Path, *stages: tuple[Service, ...], patience: Patience = QUICK) -> Iterator[Tree]:
    """Start a tree; whatever the test made of it, nothing is left afterwards."""
    tree = Tree(folder, stages, patience)
    tree.start()
    try:
        yield tree
    finally:
        for process in tree.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        tree.process.wait()


def main(role: str, plan: Path, *rest: str) -> int:
    if role == "front":
        # Whoever runs the tests, nohup for one, may have had these ignored, and a front goes on ignoring them.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        return front.run([sys.executable, "-m", "tests.local.up.tree", "supervisor", str(plan)], last_s=1.0)
    document = orjson.loads(plan.read_bytes())
    patience = Patience(**document["patience"] | {"backoff": Backoff(**document["patience"]["backoff"])})
    stages = tuple(
        tuple(Service(each["name"], tuple(each["command"]), each["patience_s"]) for each in stage)
        for stage in document["stages"]
    )
    lifeline = int(rest[-1])
    return asyncio.run(supervise(stages, READY, plan.parent / "logs", lifeline, clock=SystemClock(), patience=patience))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))

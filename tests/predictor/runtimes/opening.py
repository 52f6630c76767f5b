"""Open a model as the pipeline does: choose, verify, open."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson

from predictor.model import Model
from predictor.runtimes.runtime import Files, Runtime


def opened(runtime: Runtime, folder: Path, *, allow_pickle: bool = False) -> Model:
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = Files(folder, runtime.choose(there, allow_pickle=allow_pickle), allow_pickle)
    runtime.verify(files)
    return runtime.open(files)


def survived(format_: str, path: Path, count: int) -> dict[str, int]:
    """Damage the file `count` times in a process of its own; returns how many were refused and how many opened."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.predictor.runtimes.damaged", format_, str(path), str(count)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{path.name}: {done.stderr[-2000:]}"
    found: dict[str, int] = orjson.loads(done.stdout.splitlines()[-1])
    return found

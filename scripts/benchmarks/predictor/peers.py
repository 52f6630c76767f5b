"""Which servers there are, how each is installed and started, and how it is asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torpor.errors import NotFoundError, UnavailableError

HERE = Path(__file__).parent / "served"
TORPOR = "torpor"
UNBATCHED = "torpor, one by one"
TRITON = "pytriton"
KSERVE = "kserve"
SUM, MLP, TIMEOUTS = "sum", "mlp", "timeouts"
INPUT = [1.0, 2.0, 3.0, 4.0]
"""Of the sum."""
WIDE_INPUT = [round(((index * 37) % 50) / 50 - 0.5, 3) for index in range(64)]
"""Of the network."""
OUTPUTS = 8
TORCH = "torch==2.13.0"
V2 = "/v2/models/m/infer"


@dataclass(frozen=True, slots=True)
class Peer:
    """A server of the same model: see `served/work.py`."""

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    """`{bin}` is where its programs are, `{port}` its port, `{here}` where the scripts are, `{work}` its own folder."""
    path: str = V2
    native: str = ""
    """The key of its answer where it does not speak V2; empty: it does."""
    env: tuple[tuple[str, str], ...] = ()
    is_python: bool = True
    python: str = sys.executable
    """What its environment is made with."""

    takes_rows: bool = False
    """Whether what is batched is sent as one row of many."""

    def body(self, workload: str) -> bytes:
        """Return what it is sent."""
        row = {MLP: WIDE_INPUT, TIMEOUTS: [0.0]}.get(workload, INPUT)
        if self.native:
            return json.dumps({"x": [row] if self.takes_rows and workload == MLP else row}).encode()
        tensor = {"name": "x", "shape": [1, len(row)], "datatype": "FP32", "data": row}
        return json.dumps({"inputs": [tensor]}).encode()

    def is_right(self, raw: bytes, workload: str) -> bool:
        """Tell whether this is the answer: the sum, or as many numbers as the network has outputs."""
        document: Any = json.loads(raw)
        if not self.native:
            found = document["outputs"][0]["data"]
        else:
            found = document[self.native] if isinstance(document, dict) else document
        numbers = list(_flat(found))
        if workload == SUM:
            return abs(numbers[0] - sum(INPUT)) < 1e-6
        return len(numbers) == (OUTPUTS if workload == MLP else 1)


def _flat(found: Any) -> Iterator[float]:
    if isinstance(found, list):
        for each in found:
            yield from _flat(each)
    else:
        yield float(found)


PEERS: Mapping[str, Peer] = {
    each.name: each
    for each in (
        Peer(KSERVE, ("kserve==0.21.0", TORCH), ("{bin}/python", "{here}/kserve_server.py")),
        Peer("mlserver", ("mlserver==1.7.1", TORCH), ("bash", "{here}/mlserver.sh", "{bin}", "{work}")),
        Peer("litserve", ("litserve", "numpy", TORCH), ("{bin}/python", "{here}/litserve_server.py"), "/predict", "y"),
        Peer(
            "bentoml",
            ("bentoml", "numpy", TORCH),
            (
                "{bin}/bentoml",
                "serve",
                "bentoml_server:Served",
                "--host",
                "127.0.0.1",
                "-p",
                "{port}",
                "--working-dir",
                "{here}",
            ),
            "/predict",
            "y",
            (("BENTOML_DO_NOT_TRACK", "True"),),
            takes_rows=True,
        ),
        Peer(
            "torchserve",
            ("torchserve==0.12.0", "torch-model-archiver", TORCH, "numpy", "pyyaml"),
            ("bash", "{here}/torchserve.sh", "{bin}", "{work}"),
            "/predictions/m",
            "y",
            (("TS_DISABLE_TELEMETRY", "1"),),
            is_python=False,
        ),
        # Its stub is built for Debian's Python 3.11.
        Peer(
            TRITON,
            ("nvidia-pytriton==0.7.0", TORCH),
            ("{bin}/python", "{here}/pytriton_server.py"),
            is_python=False,
            python="/usr/bin/python3",
        ),
        Peer(
            "ray",
            ("ray[serve]==2.60.0", "numpy", TORCH),
            ("{bin}/python", "{here}/ray_server.py"),
            "/predict",
            "y",
            (("RAY_USAGE_STATS_ENABLED", "0"),),
        ),
    )
}


def ours(root: Path, more: tuple[tuple[str, str], ...] = (), name: str = TORPOR) -> Peer:
    """Return the predictor of this checkout, with more in its environment."""
    model = HERE / "torpor_model"
    env = (
        ("PYTHONPATH", f"{root}{os.pathsep}{HERE}"),
        ("TORPOR_MODEL_NAME", "m"),
        ("TORPOR_MODEL_FORMAT", "python"),
        ("STORAGE_URI", f"file://{model}"),
        *more,
    )
    return Peer(name, (), (sys.executable, "-m", "predictor"), env=env)


def command(peer: Peer, folder: Path, work: Path, port: int) -> list[str]:
    """Return what starts it."""
    values = {"bin": folder / peer.name / "bin", "here": HERE, "work": work, "port": port}
    return [each.format(**values) for each in peer.command]


def installed(folder: Path, names: list[str]) -> list[Peer]:
    """Return the peers that are there; raises NotFoundError for a name that is none, or where none is there."""
    for name in names:
        if name not in PEERS:
            raise NotFoundError(f"--peers: {name!r} is not known; there are {', '.join(PEERS)}")
    found = [PEERS[name] for name in names if (folder / name / "bin" / "python").exists()]
    if not found:
        raise NotFoundError(f"none of {', '.join(names)} is in {folder}; --install puts them there")
    return found


def install(peer: Peer, folder: Path) -> None:
    """Make its environment, unless it is there; raises UnavailableError with pip's words."""
    where = folder / peer.name
    if (where / ".done").exists():
        return
    shutil.rmtree(where, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    for step in ([peer.python, "-m", "venv", str(where)], [str(where / "bin/pip"), "install", "-q", *peer.packages]):
        done = subprocess.run(step, capture_output=True, text=True, check=False, env=os.environ)
        if done.returncode:
            raise UnavailableError(f"{peer.name} cannot be installed: {done.stderr.strip()[-500:]}")
    (where / ".done").touch()

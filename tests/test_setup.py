"""`scripts/setup` on a machine that is not as it should be: one clear message, and nothing left that is half made."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

# A Python 3.11 that cannot do what one argument asks for; the rest it does as the test says.
PYTHON = """#!/bin/sh
case "$*" in
    *{fails}*) {instead}; exit 1 ;;
    *version_info\\[*) echo python3.11 ;;
    --version) echo "Python 3.11.0" ;;
esac
"""


def set_up(folder: Path, fails: str, instead: str = ":") -> subprocess.CompletedProcess[str]:
    (folder / "scripts").mkdir()
    for name in ("scripts/setup", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    python = folder / "python"
    python.write_text(PYTHON.format(fails=fails, instead=instead))
    python.chmod(0o755)
    env = os.environ | {"PYTHON": str(python)}
    return subprocess.run(
        [folder / "scripts/setup"], env=env, capture_output=True, text=True, timeout=60, check=False, cwd=folder
    )


def test_a_python_without_ensurepip(tmp_path: Path) -> None:
    """Debian's, without a package of its own: that package is named, and no environment is begun."""
    done = set_up(tmp_path, fails="ensurepip")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "apt install python3.11-venv" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_an_environment_that_fails_half_way(tmp_path: Path) -> None:
    """It is removed, or the next run would take it for a whole one; what failed is shown."""
    half = "mkdir -p .venv/bin; cp /bin/true .venv/bin/python; echo no space left"
    done = set_up(tmp_path, fails="venv", instead=half)
    assert done.returncode == 1
    assert "no space left" in done.stderr
    assert "failed: creating .venv with Python 3.11.0" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_an_environment_without_pip(tmp_path: Path) -> None:
    """Left by a run that was broken off: it is given one, and where that fails it is said what to do."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    shutil.copy("/bin/false", tmp_path / ".venv/bin/python")
    done = set_up(tmp_path, fails="nothing")
    assert done.returncode == 1
    assert "failed: giving .venv a pip (where that fails: rm -rf .venv, and try again)" in done.stderr


def test_no_setting_of_one_run_decides_what_the_next_finds() -> None:
    """The stamp says what an environment was made from: files, and nothing else."""
    assert "AWS_" not in (ROOT / "scripts/setup").read_text()

"""`scripts/demo` shows what it promises, and leaves nothing behind when it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import psutil
import pytest

from tests.support.laptop import wait_for

pytestmark = pytest.mark.e2e

DEMO = Path(__file__).parents[2] / "scripts" / "demonstration"


def environment(folder: Path) -> dict[str, str]:
    """Temporary files go into a folder of the test's, so that leftovers can be seen."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {"TMPDIR": str(folder)}


def leftovers(folder: Path) -> list[str]:
    """Processes that know the demo's folder, and files in it."""
    found = [str(path) for path in folder.iterdir()]
    for process in psutil.process_iter():
        try:
            if any(f"{folder}/torpor-demo-" in word for word in process.cmdline()):
                found.append(str(process.cmdline()))
        except psutil.Error:
            continue
    return found


@pytest.mark.timeout(600)
def test_the_demo_ends_with_its_figures(tmp_path: Path) -> None:
    """200 of 200 right, more than one replica, zero again; one line of JSON at the end."""
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    figures = orjson.loads(done.stdout.splitlines()[-1])
    assert (figures["requests"], figures["lost"], figures["wrong"]) == (200, 0, 0)
    assert figures["scaled_to_zero"] is True
    assert figures["replicas_peak"] >= 2
    assert figures["cold_start_s"] > 0
    assert {"resolve", "fetch", "verify", "open", "warm"} <= figures["stages"].keys()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_demo_that_is_stopped_leaves_nothing_behind(how: signal.Signals, tmp_path: Path) -> None:
    """Not a process, not a file."""
    # Whoever runs the tests in the background may have had it ignored, and a process goes on ignoring it.
    before = signal.signal(how, signal.SIG_DFL)
    demo = subprocess.Popen(
        [sys.executable, str(DEMO)],
        env=environment(tmp_path) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    signal.signal(how, before)
    assert demo.stdout is not None
    seen = []
    for line in demo.stdout:
        seen.append(line)
        if "torpor is ready" in line:
            break
    demo.send_signal(how)
    rest = demo.stdout.read()
    demo.stdout.close()
    assert demo.wait(60) == 130, "".join([*seen, rest])
    assert "stopped; nothing is left behind" in rest
    wait_for(lambda: not leftovers(tmp_path), 10, f"nothing is left: {leftovers(tmp_path)}")

"""`torpor up`: its life, its death, and what it says when it cannot start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.laptop import Laptop, new_laptop, running_laptop, wait_for
from tests.support.manifests import knative_service

pytestmark = pytest.mark.e2e

RUNAWAY = """
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()
    os._exit(0)
"""
"""A pod that starts like this has a grandchild in a session of its own that is deaf to SIGTERM."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Laptop]:
    """A laptop that a test starts, kills and stops itself."""
    with new_laptop(tmp_path) as laptop:
        yield laptop


def test_after_kill_9_and_a_new_start_everything_is_there_and_answers(own: Laptop) -> None:
    """No orphan survives the kill; the same directory gives the same objects, and a sleeping service wakes."""
    own.start()
    own.apply(knative_service("stays"))
    own.wait_ready("ksvc", "stays")
    before = own.get("ksvc", "stays")
    with own.client("stays") as http:
        assert http.get("/?n=1").json()["n"] == "1"
    own.kill()

    own.start()
    after = own.get("ksvc", "stays")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"] == before["spec"]
    with own.client("stays") as http:
        assert http.get("/?n=2").json()["n"] == "2"
    assert own.stop() == 0


def test_a_running_pod_ends_with_torpor_up(tmp_path: Path) -> None:
    """SIGTERM drains and exits with 0; nothing is left of it."""
    with running_laptop(tmp_path) as laptop:
        laptop.apply(knative_service("awake"))
        laptop.wait_ready("ksvc", "awake")
        assert len(laptop.processes()) > 4
        assert (laptop.data_dir / "pods").stat().st_mode & 0o077 == 0, "what pods are told is nobody else's to read"
        assert laptop.stop() == 0


def command_line(process: psutil.Process) -> str:
    """Empty for one that ended since it was found."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.mark.parametrize("victim", ["front", "supervisor", "both"])
def test_nothing_survives_a_kill_9(victim: str, own: Laptop) -> None:
    """Not even what ran away from a pod, whichever of the two processes above the services is killed."""
    own.start()
    assert own.process is not None
    obj = knative_service("runaway")
    (container,) = obj["spec"]["template"]["spec"]["containers"]
    container["command"][-1] = RUNAWAY + container["command"][-1]
    own.apply(obj)
    own.wait_ready("ksvc", "runaway")
    assert len([each for each in own.processes() if RUNAWAY in command_line(each)]) == 2
    (supervisor,) = psutil.Process(own.process.pid).children()
    if victim != "front":
        supervisor.kill()
    if victim != "supervisor":
        own.process.kill()
    own.process.wait(30)
    wait_for(lambda: not own.processes(), 30, "no orphan survives")


def test_nothing_survives_the_tests_that_started_it(own: Laptop) -> None:
    """Tests that are killed, or broken off, take their `torpor up` with them."""
    tests = "import sys; from pathlib import Path; from tests.support.laptop import Laptop\n"
    tests += "Laptop.new(Path(sys.argv[1])).start(); print('up', flush=True); input()"
    command = [sys.executable, "-c", tests, str(own.data_dir.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert len(own.processes()) > 4
        process.kill()
    wait_for(lambda: not own.processes(), 30, "no orphan survives")


def test_services_that_are_killed_come_back(tmp_path: Path) -> None:
    """Each of the four: that is said, what is there answers again, and what is new gets ready."""
    with running_laptop(tmp_path) as laptop:
        laptop.apply(knative_service("there"))
        laptop.wait_ready("ksvc", "there")
        assert laptop.process is not None
        for number, module in enumerate(("activator", "controller", "torpor.local.kubelet", "torpor.local.apiserver")):
            below = psutil.Process(laptop.process.pid).children(recursive=True)
            (victim,) = [each for each in below if f" {module} " in f" {command_line(each)} "]
            victim.kill()
            wait_for(lambda count=number + 1: laptop.log.read_text().count("is started again") == count, 30, module)
            wait_for(lambda: _answers(laptop, "there"), 60, f"an answer without the {module} of before")
            wait_for(lambda: laptop.kubectl("get", "namespaces").returncode == 0, 60, "an API server")
            laptop.apply(knative_service(f"new-{number}"))
            laptop.wait_ready("ksvc", f"new-{number}")
            wait_for(lambda name=f"new-{number}": _answers(laptop, name), 60, f"an answer of new-{number}")


def _answers(laptop: Laptop, name: str) -> bool:
    with laptop.client(name) as http:
        try:
            return http.get("/?n=1").status_code == 200
        except httpx.TransportError:
            return False


def refused(laptop: Laptop, *args: str) -> str:
    done = laptop.torpor("up", "--data-dir", str(laptop.data_dir), *args, timeout_s=30)
    assert done.returncode not in {0, None}, done.stdout
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_second_instance_on_the_same_directory_is_refused(laptop: Laptop) -> None:
    """One line that names the directory."""
    ports = ("--http-port", "0", "--grpc-port", "0", "--api-port", "0", "--admin-port", "0")
    assert str(laptop.data_dir) in refused(laptop, *ports)


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """One line that names the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert port in refused(Laptop.new(tmp_path), "--http-port", port)


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """One line that names the directory; root may write anywhere, so a file stands in the way."""
    laptop = Laptop.new(tmp_path)
    laptop.data_dir = Path(os.devnull) / "data"
    assert str(laptop.data_dir) in refused(laptop)

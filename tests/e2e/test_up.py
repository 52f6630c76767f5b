"""`torpor up`: its life, its death, and what it says when it cannot start."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.support.laptop import Laptop, running_laptop
from tests.support.manifests import knative_service

pytestmark = pytest.mark.e2e


def test_after_kill_9_and_a_new_start_everything_is_there_and_answers(tmp_path: Path) -> None:
    """No orphan survives the kill; the same directory gives the same objects, and a sleeping service wakes."""
    laptop = Laptop.new(tmp_path)
    laptop.start()
    laptop.apply(knative_service("stays"))
    laptop.wait_ready("ksvc", "stays")
    before = laptop.get("ksvc", "stays")
    with laptop.client("stays") as http:
        assert http.get("/?n=1").json()["n"] == "1"
    laptop.kill()

    laptop.start()
    after = laptop.get("ksvc", "stays")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"] == before["spec"]
    with laptop.client("stays") as http:
        assert http.get("/?n=2").json()["n"] == "2"
    assert laptop.stop() == 0


def test_a_running_pod_ends_with_torpor_up(tmp_path: Path) -> None:
    """SIGTERM drains and exits with 0; nothing is left of it."""
    with running_laptop(tmp_path) as laptop:
        laptop.apply(knative_service("awake"))
        laptop.wait_ready("ksvc", "awake")
        assert len(laptop.processes()) > 4
        assert laptop.stop() == 0


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

"""`torpor up` at the command line: what it refuses, and how."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from torpor.cli.main import run
from torpor.local.apiserver.files import locked
from torpor.local.up import front

FREE = ("--http-port", "0", "--grpc-port", "0", "--api-port", "0", "--admin-port", "0")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The supervisors that would have been started."""
    commands: list[list[str]] = []

    def instead(command: list[str]) -> int:
        commands.append(list(command))
        return 0

    monkeypatch.setattr(front, "run", instead)
    return commands


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert run(["up", *args]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_it_starts_the_supervisor_with_all_settings(tmp_path: Path, started: list[list[str]]) -> None:
    """Ports 0 have become ports, and a relative directory a full path."""
    assert run(["up", "--data-dir", str(tmp_path / "data"), "--domain", "example.com", *FREE]) == 0
    (command,) = started
    options = dict(zip(command[4::2], command[5::2], strict=True))
    assert options["--data-dir"] == str(tmp_path / "data")
    assert options["--domain"] == "example.com"
    assert options["--host"] == "127.0.0.1"
    assert all(int(options[f"--{name}-port"]) > 0 for name in ("http", "grpc", "api", "admin"))


def test_the_default_directory_is_in_the_home(
    tmp_path: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every other command looks for the kubeconfig."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["up", *FREE]) == 0
    assert str(tmp_path / ".torpor") in started[0]


def test_a_taken_port_a_foreign_host_a_busy_directory_and_a_bad_one(
    tmp_path: Path, started: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line each, with status 1, that names what is wrong; nothing is started."""
    data = ("--data-dir", str(tmp_path / "data"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        assert f"error: --api-port: {port} is not allowed" in refused(capsys, *data, *FREE, "--api-port", port)
    assert "error: --host: '192.0.2.1' is not allowed" in refused(capsys, *data, *FREE, "--host", "192.0.2.1")
    assert "error: --domain: 'A b' is not allowed" in refused(capsys, *data, *FREE, "--domain", "A b")
    with locked(tmp_path / "data"):
        assert f"'{tmp_path}/data' is not allowed; another Torpor" in refused(capsys, *data, *FREE)
    (tmp_path / "file").touch()
    assert f"'{tmp_path}/file/data' is not allowed" in refused(capsys, "--data-dir", str(tmp_path / "file/data"), *FREE)
    assert started == []


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(["--http-port", "65536"], id="no-such-port"),
        pytest.param(["--http-port", "http"], id="no-number"),
        pytest.param(["here"], id="an-argument"),
    ],
)
def test_wrong_usage(args: list[str], started: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and how it is meant."""
    assert run(["up", *args]) == 2
    assert "Usage: torpor up" in capsys.readouterr().err
    assert started == []


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    """How it is started, and where services answer."""
    assert run(["up", "--help"]) == 0
    out = capsys.readouterr().out
    assert "Examples:\n    torpor up\n" in out
    assert "Where services answer by gRPC." in " ".join(out.split())

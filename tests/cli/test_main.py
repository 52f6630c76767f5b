"""Exit codes, one-line errors, and how quickly the command is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import free_ports
from torpor.cli.main import COMMANDS, run


def torpor(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torpor.cli.main", *args]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=30, check=False)


def test_help_imports_no_subcommand() -> None:
    """Neither the Kubernetes client nor rich is paid for by who only asks what there is."""
    code = "import sys; from torpor.cli.main import run; run(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for module in ("aiohttp", "kubernetes", "rich", "torpor.kube"):
        assert f"'{module}'" not in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` shows how it is used."""
    assert run([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Example" in out
    assert f"torpor {name}" in out


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(["fly"], id="no-such-command"),
        pytest.param(["get", "--loud", "pods"], id="no-such-option"),
        pytest.param(["apply"], id="apply-what"),
        pytest.param(["delete"], id="delete-what"),
        pytest.param(["delete", "pod"], id="delete-which-pod"),
        pytest.param(["delete", "pod/a", "b"], id="delete-by-two-ways-at-once"),
        pytest.param(["get", "pods", "-o", "xml"], id="an-output-that-is-none"),
        pytest.param(["get", "pods", "a", "-A"], id="a-name-in-all-namespaces"),
        pytest.param(["get", "pods,ksvc", "-w"], id="watch-two-kinds"),
        pytest.param(["predict", "m", "-d", "1", "--text", "x"], id="two-kinds-of-data"),
        pytest.param(["predict", "m", "--timeout", "soon"], id="a-duration-that-is-none"),
        pytest.param(["logs", "m", "--tail", "-1"], id="fewer-lines-than-none"),
    ],
)
def test_wrong_usage_exits_with_2(
    args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says which command was meant."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, 1)))
    assert run(args) == 2
    assert "Usage: torpor" in capsys.readouterr().err


@pytest.mark.parametrize(
    "args",
    [
        ["get", "pods"],
        ["delete", "pod", "a"],
        ["logs", "a"],
        ["predict", "a", "-d", "[1]"],
        ["get", "pods", "-w"],
    ],
    ids=" ".join,
)
def test_without_a_cluster_one_line_says_what_to_do(
    args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether there is no kubeconfig, or nobody at the address that it names."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert run(args) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "error: there is no kubeconfig at" in line
    assert "is `torpor up` running?" in line
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, *free_ports(1))))
    assert run(args) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "error: nobody answers at http://127.0.0.1:" in line
    assert "is `torpor up` running?" in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("a: [", "cannot be read", id="malformed"),
        pytest.param("a text", "clusters, users and contexts", id="no-kubeconfig-at-all"),
        pytest.param("{}", "kubeconfig", id="empty"),
    ],
)
def test_a_kubeconfig_that_is_none_is_said_so(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, with the file's name."""
    (tmp_path / "config").write_text(text)
    assert run(["get", "pods", "--kubeconfig", str(tmp_path / "config")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert "config" in line


def test_several_kubeconfigs_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Which one is meant is not guessed."""
    monkeypatch.setenv("KUBECONFIG", f"/a{os.pathsep}/b")
    assert run(["get", "pods"]) == 1
    assert "name one file" in capsys.readouterr().err


def test_a_bug_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is shown a traceback who did not ask for one."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("torpor.cli.connection.find", broken)
    monkeypatch.delenv("TORPOR_DEBUG", raising=False)
    assert run(["get", "pods"]) == 1
    assert "ZeroDivisionError: oops (this is a bug; TORPOR_DEBUG=1" in capsys.readouterr().err


def kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        f"""{{"current-context": "c", "contexts": [{{"name": "c", "context": {{"cluster": "c", "user": "u"}}}}],
        "clusters": [{{"name": "c", "cluster": {{"server": "http://127.0.0.1:{port}"}}}}],
        "users": [{{"name": "u", "user": {{"token": "t"}}}}]}}"""
    )
    return path

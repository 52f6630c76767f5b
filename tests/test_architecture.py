"""The import rules hold, and each of them can fail: a rule that nothing breaks proves nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGES = ("torpor", "activator", "predictor", "controller")

LAYERS = "Downward only; services meet on the wire, never by import"
PLACED = "Every part of torpor has its layer"
CLIENT = "Only torpor.kube imports a Kubernetes client"
MODELS = "Only predictor.runtimes imports a model library"
CLOUD = "Only predictor.storage imports a cloud SDK"
PURE = "What decides imports no clock, dice, log or loop"


def lint(root: Path) -> dict[str, bool]:
    """Run import-linter; returns for each contract whether it is kept."""
    environment = os.environ | {"PYTHONPATH": str(root)}
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    kept = {}
    for line in done.stdout.splitlines():
        for verdict in ("KEPT", "BROKEN"):
            if f" {verdict}" in line:
                kept[line.partition(f" {verdict}")[0].strip()] = verdict == "KEPT"
    assert kept, done.stdout + done.stderr
    return kept


def test_the_rules_hold() -> None:
    """As checked in, every contract is kept."""
    kept = lint(ROOT)
    assert set(kept) == {LAYERS, PLACED, CLIENT, MODELS, CLOUD, PURE}
    assert all(kept.values()), kept


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages to break."""
    root = tmp_path_factory.mktemp("architecture")
    shutil.copy(ROOT / ".importlinter", root)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.mark.parametrize(
    ("violations", "contract"),
    [
        pytest.param({"activator/autoscaler/loop.py": "import controller"}, LAYERS, id="a service imports another"),
        pytest.param({"controller/__init__.py": "import torpor.local"}, LAYERS, id="a service imports the laptop"),
        pytest.param({"torpor/local/__init__.py": "import predictor"}, LAYERS, id="the laptop imports a service"),
        pytest.param({"torpor/spec/fields.py": "import torpor.kube.client"}, LAYERS, id="upward within torpor"),
        pytest.param({"torpor/errors.py": "import torpor.settings"}, LAYERS, id="the lowest imports anything"),
        pytest.param({"torpor/helpers.py": ""}, PLACED, id="a part without a place"),
        pytest.param({"activator/__init__.py": "import kubernetes.aio"}, CLIENT, id="a client in a service"),
        pytest.param({"torpor/errors.py": "def f():\n    import kubernetes"}, CLIENT, id="a client in a function"),
        pytest.param({"predictor/__init__.py": "import torch"}, MODELS, id="a model library beside the runtimes"),
        pytest.param({"torpor/spec/fields.py": "from sklearn import base"}, MODELS, id="a model library in a spec"),
        pytest.param({"predictor/runtimes/__init__.py": "import boto3"}, CLOUD, id="a cloud SDK in a runtime"),
        pytest.param({"controller/__init__.py": "import botocore.session"}, CLOUD, id="a cloud SDK in a service"),
        pytest.param({"activator/autoscaler/decide.py": "import time"}, PURE, id="a clock in a decision"),
        pytest.param({"activator/autoscaler/decide.py": "import torpor.kube"}, PURE, id="the API in a decision"),
        pytest.param({"torpor/spec/knative.py": "import logging"}, PURE, id="a log in a spec"),
        pytest.param({"activator/throttle/balancer.py": "import random"}, PURE, id="dice in a choice"),
        pytest.param({"controller/knative/resources/revision.py": "import datetime"}, PURE, id="a clock in a builder"),
    ],
)
def test_each_rule_can_fail(copy: Path, violations: dict[str, str], contract: str) -> None:
    """One line in the wrong place breaks the contract that is there for it."""
    new = [path for path in violations if not (ROOT / path).exists()]
    assert new == [path for path, line in violations.items() if not line], "a line is added to a file that is there"
    before = {path: (copy / path).read_text() if (copy / path).exists() else None for path in violations}
    try:
        for path, line in violations.items():
            (copy / path).write_text((before[path] or "") + f"\n{line}\n")
        assert lint(copy)[contract] is False
    finally:
        for path, text in before.items():
            if text is None:
                (copy / path).unlink()
            else:
                (copy / path).write_text(text)

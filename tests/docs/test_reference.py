"""The reference of the command line says what the command itself says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from torpor.cli.main import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def words(text: str) -> str:
    """A text without its lines: how wide a terminal is changes nothing of what is said."""
    return " ".join(text.split())


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_each_command_is_described_as_its_help_does(command: str) -> None:
    """As somebody sees who types it."""
    asked = [sys.executable, "-m", "torpor.cli.main", *command.split(), "--help"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
    shown = done.stdout.replace("Usage: python -m torpor.cli.main", "Usage: torpor")
    assert shown.startswith(f"Usage: torpor {command}".strip())
    assert words(shown) in words(PAGE.read_text())

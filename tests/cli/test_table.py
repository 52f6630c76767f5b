"""The server's table on a terminal and in a pipe."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from torpor.cli.table import Printer

COLUMNS = [{"name": "Name"}, {"name": "Ready"}, {"name": "Node", "priority": 1}]


def table(*rows: list[Any], columns: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "kind": "Table",
        "metadata": {"resourceVersion": "7"},
        "columnDefinitions": COLUMNS if columns is None else columns,
        "rows": [
            {"cells": row, "object": {"metadata": {"namespace": "default", "resourceVersion": str(at + 10)}}}
            for at, row in enumerate(rows)
        ],
    }


def printer(**options: bool) -> tuple[Printer, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, width=20, soft_wrap=True, highlight=False)
    return Printer(**({"everywhere": False, "wide": False} | options), console=console), out


def lines(out: io.StringIO) -> list[str]:
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_columns_of_lower_priority_are_left_out() -> None:
    """They are for `-o wide`."""
    shown, out = printer()
    shown.add(table(["a", "True", "n1"]))
    shown.flush()
    assert lines(out) == ["NAME   READY", "a      True"]


def test_wide_shows_all_columns_and_an_empty_cell_is_empty() -> None:
    """A null cell is no word."""
    shown, out = printer(wide=True)
    shown.add(table(["a", None, "n1"]))
    shown.flush()
    assert lines(out) == ["NAME   READY   NODE", "a              n1"]


def test_everywhere_shows_the_namespace() -> None:
    """The same name may be in several."""
    shown, out = printer(everywhere=True)
    shown.add(table(["a", "True", ""]))
    shown.flush()
    assert lines(out)[1] == "default     a      True"


def test_a_pipe_gets_whole_lines_however_long() -> None:
    """Nothing is cut off for a program that reads."""
    shown, out = printer()
    shown.add(table(["n" * 300, "False", ""]))
    shown.flush()
    assert lines(out)[1] == "n" * 300 + "   False"


def test_a_watch_goes_on_under_the_same_header() -> None:
    """Columns come with the first event only, and the version is that of the last row."""
    shown, out = printer()
    shown.add(table(["long-name", "True", ""]))
    shown.flush()
    shown.add(table(["b", "False", ""], columns=[]))
    shown.flush()
    assert lines(out) == ["NAME        READY", "long-name   True", "b           False"]
    assert shown.version == "10"

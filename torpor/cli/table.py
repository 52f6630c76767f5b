"""Print the API's Table objects: aligned columns, colour where a word says good or bad."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from torpor.spec.kinds import Object

GOOD = frozenset({"True", "Running", "Ready", "Active", "UpToDate", "Loaded"})
BAD = frozenset({"False", "Failed", "Error", "CrashLoopBackOff", "ErrImageNeverPull", "BlockedByFailedLoad"})
GAP = 3


class Printer:
    """Collects rows and prints them; knows the columns and widths of what it printed before."""

    def __init__(self, *, everywhere: bool, wide: bool, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._everywhere = everywhere
        self._wide = wide
        self._columns: list[Object] = []
        self._widths: list[int] = []
        self._rows: list[list[str]] = []
        self._header_shown = False
        self.version = ""
        """The resourceVersion up to which rows were added."""

    def remember(self, table: Object) -> None:
        """Take over columns and version, without rows."""
        # A watch sends the columns with its first event only.
        self._columns = table.get("columnDefinitions") or self._columns
        self.version = (table.get("metadata") or {}).get("resourceVersion") or self.version

    def add(self, table: Object, prefix: str = "") -> None:
        """Add the rows of a Table."""
        self.remember(table)
        shown = [at for at, column in enumerate(self._columns) if self._wide or not column.get("priority")]
        for row in table.get("rows") or ():
            metadata = (row.get("object") or {}).get("metadata") or {}
            self.version = metadata.get("resourceVersion") or self.version
            cells = [_text(row["cells"][at]) for at in shown]
            cells[0] = prefix + cells[0]
            self._rows.append([metadata.get("namespace", ""), *cells] if self._everywhere else cells)

    def flush(self) -> None:
        """Print the rows added since the last time; the header only once."""
        if not self._rows:
            return
        header = [column["name"].upper() for column in self._columns if self._wide or not column.get("priority")]
        header = ["NAMESPACE", *header] if self._everywhere else header
        lines = self._rows if self._header_shown else [header, *self._rows]
        widest = [max(len(line[at]) for line in lines) for at in range(len(header))]
        self._widths = [max(pair) for pair in zip(widest, self._widths or widest, strict=True)]
        grid = Table.grid(padding=(0, GAP, 0, 0))
        for width in self._widths:
            grid.add_column(no_wrap=True, min_width=width)
        for line in lines:
            grid.add_row(*(Text(cell, style="bold" if line is header else _style(cell)) for cell in line))
        if not self._console.is_terminal:  # a program or a file has no width: whole lines
            self._console.width = sum(self._widths) + GAP * len(self._widths)
        self._console.print(grid)
        self._rows, self._header_shown = [], True


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _style(cell: str) -> str:
    return "green" if cell in GOOD else "red" if cell in BAD else ""

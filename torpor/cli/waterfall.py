"""Draw a cold start: one bar per stage, each beginning where it began."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from torpor.cli.timeline import Stage

COLOURS = {
    "wake": "bright_black",
    "start": "blue",
    "resolve": "cyan",
    "fetch": "magenta",
    "verify": "yellow",
    "open": "green",
    "warm": "bright_red",
    "answer": "bright_green",
}


def waterfall(stages: Sequence[Stage], now_s: float, width: int = 40, note: str = "") -> Table:
    """Return the stages as a table of name, bar, seconds and bytes; `now_s` is where open ones end for now."""
    whole = max([stage.began_s + stage.length_s(now_s) for stage in stages], default=0.0) or 1e-9
    grid = Table.grid(padding=(0, 2, 0, 0))
    # Where the terminal is narrow the last column gives way, for a cut-off number says nothing.
    grid.add_column(no_wrap=True, min_width=max([len(stage.name) for stage in stages], default=0))
    grid.add_column(no_wrap=True, width=width)
    grid.add_column(justify="right", no_wrap=True, min_width=len("000.000 s"))
    grid.add_column(no_wrap=True, style="dim")
    for stage in stages:
        length = stage.length_s(now_s)
        grid.add_row(
            Text(stage.name, style="" if stage.seconds is not None else "bold"),
            bar(stage.began_s / whole, length / whole, width, COLOURS.get(stage.name, "white")),
            f"{length:.3f} s",
            transferred(stage, length),
        )
    if note:
        grid.add_row("", Text(note, style="dim"), "", "")
    return grid


def bar(begin: float, length: float, width: int, colour: str) -> Text:
    """Return a bar from `begin`, of `length`, both as fractions of `width` cells; never shorter than one cell."""
    first = min(round(begin * width), width - 1)
    cells = max(1, min(round(length * width), width - first))
    return Text(" " * first) + Text("━" * cells, style=colour)


def transferred(stage: Stage, length_s: float) -> str:
    """Return bytes, of how many, and how fast."""
    if not stage.bytes:
        return ""
    total = f" of {size(stage.bytes_total)}" if stage.bytes_total else ""
    speed = f", {size(stage.bytes / length_s)}/s" if length_s > 0.001 else ""
    return f"{size(stage.bytes)}{total}{speed}"


def size(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"

"""The picture of a cold start."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from torpor.cli.timeline import Stage
from torpor.cli.waterfall import bar, size, waterfall


def drawn(stages: list[Stage], now_s: float) -> list[str]:
    out = Console(file=io.StringIO(), width=100)
    out.print(waterfall(stages, now_s, 10))
    return [line.rstrip() for line in out.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_each_bar_begins_where_its_stage_began() -> None:
    """One second of ten cells is split as the seconds are."""
    lines = drawn([Stage("wake", 0.0, 0.5), Stage("fetch", 0.5, 0.5, 2_000_000)], 1.0)
    assert lines == ["wake   ━━━━━         0.500 s", "fetch       ━━━━━    0.500 s  2.0 MB, 4.0 MB/s"]


def test_an_open_stage_ends_now() -> None:
    """What goes on is drawn as long as it has lasted."""
    assert drawn([Stage("wake", 0.0, None)], 2.0) == ["wake  ━━━━━━━━━━    2.000 s"]


@given(st.floats(0, 1), st.floats(0, 1), st.integers(5, 80))
def test_a_bar_fits_and_is_never_invisible(begin: float, length: float, width: int) -> None:
    """Rounding never draws over the edge, nor nothing at all."""
    text = bar(begin, length, width, "red").plain
    assert len(text) <= width
    assert "━" in text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (90_900_000, "90.9 MB"), (4.2e9, "4.20 GB")]
)
def test_sizes_are_written_as_people_read_them(count: float, text: str) -> None:
    """Decimal units, as disks and networks have them."""
    assert size(count) == text

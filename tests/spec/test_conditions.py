"""Conditions: their order, their times, and how Ready comes from the others."""

from __future__ import annotations

import pytest

from torpor.spec.conditions import TRUE, UNKNOWN, Mark, failed, read, summary, unknown, write

NOW, LATER = "2026-11-25T22:40:00Z", "2026-11-25T22:41:00Z"


@pytest.mark.parametrize(
    ("marks", "ready"),
    [
        pytest.param([TRUE, TRUE], TRUE, id="all true"),
        pytest.param([], TRUE, id="nothing stands against it"),
        pytest.param([TRUE, UNKNOWN], UNKNOWN, id="one undecided"),
        pytest.param([UNKNOWN, unknown("Why")], unknown("Why"), id="of two undecided the one that says why"),
        pytest.param([unknown("First"), unknown("Second")], unknown("First"), id="else the first"),
        pytest.param([unknown("Why"), failed("No", "no")], failed("No", "no"), id="a failure before all"),
    ],
)
def test_summary(marks: list[Mark], ready: Mark) -> None:
    """Ready is what keeps an object from being ready."""
    assert summary(marks) == ready


def test_write() -> None:
    """Sorted by type; only what informs has a severity; no empty reasons."""
    found = write([], NOW, terminal={"B": TRUE, "A": failed("No", "no")}, info={"C": unknown("Why")})
    assert found == [
        {"type": "A", "status": "False", "reason": "No", "message": "no", "lastTransitionTime": NOW},
        {"type": "B", "status": "True", "lastTransitionTime": NOW},
        {"type": "C", "status": "Unknown", "severity": "Info", "reason": "Why", "lastTransitionTime": NOW},
        {"type": "Ready", "status": "False", "reason": "No", "message": "no", "lastTransitionTime": NOW},
    ]
    assert write(found, LATER, terminal={"B": TRUE, "A": failed("No", "no")}, info={"C": unknown("Why")}) == found


def test_a_time_changes_with_what_it_is_about() -> None:
    """And with nothing else."""
    first = write([], NOW, terminal={"A": UNKNOWN, "B": UNKNOWN})
    second = write(first, LATER, terminal={"A": TRUE, "B": UNKNOWN})
    assert {item["type"]: item["lastTransitionTime"] for item in second} == {"A": LATER, "B": NOW, "Ready": NOW}


def test_read() -> None:
    """A condition that is not there is None; a status that is no status is Unknown."""
    assert read(None, "A") is None
    assert read({"status": {"conditions": [{"type": "A", "status": "Perhaps"}]}}, "A") == UNKNOWN
    assert read({"status": {"conditions": [{"type": "A", "status": "True", "reason": "R"}]}}, "A") == Mark("True", "R")

"""Knative's limits, and whether a run is within them."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.benchmarks.load.judge import broken, figures, scale_for


def said(**changes: Any) -> dict[str, Any]:
    awake = {"p95_us": 104_000.0, "p50_us": 101_000.0, "p99_us": 110_000.0}
    good = {
        "after_wake": awake | {key: changes.pop(key) for key in list(changes) if key in awake},
        "max_us": 1_200_000.0,
        "first_answer_s": 0.8,
        "drained_s": 1.1,
        "errors": 0,
        "failed": {},
        "planned": 10_000,
        "sent": 10_000,
        "answered": 10_000,
        "late_p99_us": 900.0,
    }
    return good | changes


def test_keys() -> None:
    """The JSON line has the keys that are promised."""
    found = figures(said(), 0.5)
    assert {"p95_ms", "errors", "sent", "answered", "scale"} <= set(found)
    assert (found["p95_ms"], found["scale"]) == (104.0, 0.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({}, [], id="within"),
        pytest.param({"answered": 9_991}, [], id="nine of ten thousand missing"),
        pytest.param({"p95_us": 115_100.0}, ["p95"], id="slow"),
        pytest.param({"p95_us": None}, ["p95"], id="never awake"),
        pytest.param({"max_us": 10_000_100.0}, ["longest"], id="one that took too long"),
        pytest.param({"errors": 1, "failed": {"status 502": 1}}, ["status 502"], id="one error"),
        pytest.param({"answered": 9_989}, ["9989 of 10000"], id="eleven of ten thousand missing"),
    ],
)
def test_limits(changes: dict[str, Any], words: list[str]) -> None:
    """Each limit that is broken is said, with the figure that breaks it."""
    sentences = broken(figures(said(**changes), 1.0))
    assert len(sentences) == len(words)
    assert all(word in sentence for word, sentence in zip(words, sentences, strict=True))


@pytest.mark.parametrize(("cores", "scale"), [(1, 0.25), (2, 0.5), (4, 1.0), (16, 1.0)])
def test_scale(cores: int, scale: float) -> None:
    """A small machine is asked for less, a large one not for more."""
    assert scale_for(cores) == scale

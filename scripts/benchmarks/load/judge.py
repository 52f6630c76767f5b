"""Knative's own limits for its load test (test/performance, `load-test`), and whether a run is within them; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RATES = (1000.0, 2000.0, 3000.0)
"""Requests a second, one step after the other, from zero."""
P95_MS = 115.0
LONGEST_MS = 10_000.0
MISSING = 0.001


def figures(said: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """Return the figures of the JSON line from what the sender says."""
    awake = said["after_wake"]
    return {
        "p95_ms": _ms(awake["p95_us"]),
        "p50_ms": _ms(awake["p50_us"]),
        "p99_ms": _ms(awake["p99_us"]),
        "max_ms": _ms(said["max_us"]),
        "wake_s": round(said["first_answer_s"], 3),
        "drained_s": round(said["drained_s"], 3),
        "errors": said["errors"],
        "failed": said["failed"],
        "planned": said["planned"],
        "sent": said["sent"],
        "answered": said["answered"],
        "late_p99_ms": _ms(said["late_p99_us"]),
        "scale": scale,
    }


def broken(found: Mapping[str, Any]) -> Sequence[str]:
    """Return which limits are broken, each in one sentence."""
    said = []
    if found["p95_ms"] is None or found["p95_ms"] > P95_MS:
        said.append(f"p95 after the wake is {found['p95_ms']} ms, over {P95_MS:g}")
    if found["max_ms"] is None or found["max_ms"] > LONGEST_MS:
        said.append(f"the longest took {found['max_ms']} ms, over {LONGEST_MS:g}")
    if found["errors"]:
        said.append(f"{found['errors']} requests failed: {found['failed']}")
    if found["planned"] - found["answered"] > MISSING * found["planned"]:
        said.append(f"{found['answered']} of {found['planned']} were answered, fewer than {1 - MISSING:.1%}")
    return said


def scale_for(cores: int) -> float:
    """Return the part of Knative's rates that so many cores are asked for: four for sender, door, pods and cluster."""
    return min(1.0, cores / 4)


def _ms(microseconds: float | None) -> float | None:
    return None if microseconds is None else round(microseconds / 1000, 2)

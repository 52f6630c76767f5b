"""What a cold start was made of, as stages on one line of time. Pure: the times are arguments.

The line begins when the request was sent. Before the predictor reports, what is known comes from the pod; once it
does, its own clock says when its process started, when it listened, and how long each stage of the load took.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WAKE = "wake"
"""From the request to the pod."""
START = "start"
"""From the pod to a process that listens."""
ANSWER = "answer"
"""From ready to the last byte of the answer."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One bar of the waterfall. Times are seconds after the request was sent."""

    name: str
    began_s: float
    seconds: float | None
    """None: it goes on."""
    bytes: int = 0
    bytes_total: int | None = None

    def length_s(self, now_s: float) -> float:
        return max(0.0, now_s - self.began_s) if self.seconds is None else self.seconds


@dataclass(frozen=True, slots=True)
class LoadStage:
    """One stage of a model's load as its predictor reports it; times are seconds since 1970."""

    name: str
    started_at: float
    seconds: float | None
    bytes: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What a predictor says of its load."""

    state: str
    listening_at: float | None
    ready_at: float | None
    bytes_done: int
    bytes_total: int | None
    stages: tuple[LoadStage, ...]
    error: str


def parse_progress(document: Mapping[str, Any]) -> Progress:
    """Read the JSON of `/progress`. What another server leaves out is unknown, not an error."""
    error = document.get("error") or {}
    return Progress(
        state=str(document.get("state") or "loading"),
        listening_at=document.get("listening_at"),
        ready_at=document.get("ready_at"),
        bytes_done=int(document.get("bytes_done") or 0),
        bytes_total=document.get("bytes_total"),
        stages=tuple(
            LoadStage(str(each["name"]), float(each["started_at"]), each.get("seconds"), int(each.get("bytes") or 0))
            for each in document.get("stages") or ()
        ),
        error=f"{error.get('stage', '')}: {error.get('message', '')}" if error else "",
    )


def timeline(
    sent_at: float,
    *,
    pod_at: float | None = None,
    ready_at: float | None = None,
    progress: Progress | None = None,
    answered_at: float | None = None,
) -> tuple[Stage, ...]:
    """Return the stages known so far, in order; the last one goes on unless the answer is there.

    `pod_at` is when the pod was seen, `ready_at` when Kubernetes called it ready (for pods that report no progress).
    """
    if pod_at is None:
        return (_stage(WAKE, sent_at, sent_at, answered_at),)
    stages = [_stage(WAKE, sent_at, sent_at, max(pod_at, sent_at))]
    listening = progress.listening_at if progress else None
    ready = (progress.ready_at if progress else None) or ready_at
    stages.append(_stage(START, sent_at, pod_at, listening or ready or answered_at))
    for each in progress.stages if progress else ():
        ended = None if each.seconds is None else each.started_at + each.seconds
        moving = progress is not None and each.bytes > 0 and ended is None
        total = progress.bytes_total if progress is not None and moving else None
        stage = _stage(each.name, sent_at, each.started_at, ended)
        stages.append(Stage(stage.name, stage.began_s, stage.seconds, each.bytes, total))
    if ready is not None:
        stages.append(_stage(ANSWER, sent_at, ready, answered_at))
    return tuple(stages)


def parse_cold_start(header: str) -> dict[str, float]:
    """Read `Torpor-Cold-Start: queue=1.234;start=0.400`; parts that are no number are left out."""
    parts: dict[str, float] = {}
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        try:
            parts[name] = float(value)
        except ValueError:
            continue
    return parts


def _stage(name: str, sent_at: float, began_at: float, ended_at: float | None) -> Stage:
    """Cut off what was before the request: it cost the one who asked nothing."""
    began_at = max(began_at, sent_at)
    return Stage(name, began_at - sent_at, None if ended_at is None else max(0.0, ended_at - began_at))

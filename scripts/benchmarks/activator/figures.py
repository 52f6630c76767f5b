"""What the load generators say, and what is made of it; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

DIRECT = "direct"
ACTIVATOR = "activator"
ACTIVATOR_ALL_ON = "activator, all on"
NGINX = "nginx"
ENVOY = "envoy"
UVICORN = "uvicorn+httpx"

_UNITS_US = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of the load."""

    rps: float
    p50_us: float
    p99_us: float
    requests: int
    errors: int
    """Answers other than 2xx and 3xx, and connections that failed."""
    cpu_us: float = 0.0
    """Processor time of the proxy per request."""
    foreign: float = 0.0
    """Part of the time of the cores in use that went to other work of the machine."""


@dataclass(frozen=True, slots=True)
class Paced:
    """One run at a given rate. Latencies are those from when a request was really sent."""

    p50_us: float
    p99_us: float
    late_p99_us: float
    """How late the sender was."""
    errors: int

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Paced:
        """Take what `openloop.py` prints."""
        return cls(said["sent_p50_us"], said["sent_p99_us"], said["late_p99_us"], said["errors"])


Round = Mapping[str, Sample]
"""By target; all taken one after the other, so that what else the machine does is much the same for all."""


def parse(text: str) -> Sample:
    """Read the output of `wrk --latency`; raises ValueError where it is none."""
    return Sample(
        rps=float(_find(r"Requests/sec:\s+([\d.]+)", text)),
        p50_us=_microseconds(_find(r"\n\s+50%\s+(\S+)", text)),
        p99_us=_microseconds(_find(r"\n\s+99%\s+(\S+)", text)),
        requests=int(_find(r"(\d+) requests in ", text)),
        errors=_errors(text),
    )


def medians(rounds: Sequence[Round], target: str) -> Sample:
    """Return the middle of every figure of one target, each by itself."""
    samples = [each[target] for each in rounds]
    return Sample(
        rps=median(each.rps for each in samples),
        p50_us=median(each.p50_us for each in samples),
        p99_us=median(each.p99_us for each in samples),
        requests=sum(each.requests for each in samples),
        errors=sum(each.errors for each in samples),
        cpu_us=median(each.cpu_us for each in samples),
        foreign=median(each.foreign for each in samples),
    )


def rate_ratio(rounds: Sequence[Round], other: str) -> float:
    """Return how many requests the activator serves for each of another's: the middle of the rounds' ratios."""
    return median(each[ACTIVATOR].rps / each[other].rps for each in rounds)


def added_ratio(rounds: Sequence[Round], figure: str) -> float | None:
    """Return the latency that the activator adds to the direct way, as a part of what Envoy adds.

    Of the medians: a difference of two single samples may be next to nothing. None where Envoy seems to add nothing.
    """
    direct, ours, envoys = (getattr(medians(rounds, target), figure) for target in (DIRECT, ACTIVATOR, ENVOY))
    return None if envoys <= direct else (ours - direct) / (envoys - direct)


def summary(rounds: Sequence[Round]) -> dict[str, float | None]:
    """Return the figures of the JSON line for one kind of load."""
    figures = {
        "rps": round(medians(rounds, ACTIVATOR).rps, 1),
        "rps_vs_envoy": _rounded(rate_ratio(rounds, ENVOY)),
        "rps_vs_nginx": _rounded(rate_ratio(rounds, NGINX)),
        "added_p50_vs_envoy": _rounded(added_ratio(rounds, "p50_us")),
        "added_p99_vs_envoy": _rounded(added_ratio(rounds, "p99_us")),
    }
    if all(UVICORN in each for each in rounds):
        figures["rps_vs_uvicorn"] = _rounded(rate_ratio(rounds, UVICORN))
    if all(ACTIVATOR_ALL_ON in each for each in rounds):
        figures["rps_all_on_vs_off"] = _rounded(
            median(each[ACTIVATOR_ALL_ON].rps / each[ACTIVATOR].rps for each in rounds)
        )
    return figures


def inflation(few: Sequence[Round], many: Sequence[Round], target: str) -> float:
    """Return how much longer the slowest hundredth takes when many ask at once."""
    return medians(many, target).p99_us / medians(few, target).p99_us


def paced_summary(rounds: Sequence[Mapping[str, Paced]]) -> dict[str, float | None]:
    """Return what is added at a rate that all of them can serve, as a part of what Envoy adds."""
    figures: dict[str, float | None] = {}
    for name in ("p50_us", "p99_us"):
        direct, ours, envoys = (
            median(getattr(each[target], name) for each in rounds) for target in (DIRECT, ACTIVATOR, ENVOY)
        )
        ratio = None if envoys <= direct else (ours - direct) / (envoys - direct)
        figures[f"added_{name[:3]}_vs_envoy_at_half_load"] = _rounded(ratio)
    late = max(each.late_p99_us for taken in rounds for each in taken.values())
    return figures | {"late_p99_us": late}


def foreign(rounds: Sequence[Round]) -> float:
    """Return how much of the cores went elsewhere while proxies were measured; the more, the rougher all is."""
    return round(median(sample.foreign for each in rounds for name, sample in each.items() if name != DIRECT), 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"wrk has said something else than expected ({pattern!r} is not in it):\n{text}")
    return found[1]


def _microseconds(text: str) -> float:
    found = re.fullmatch(r"([\d.]+)(us|ms|s|m|h)", text)
    if found is None:
        raise ValueError(f"{text!r} is no time as wrk writes them")
    return float(found[1]) * _UNITS_US[found[2]]


def _errors(text: str) -> int:
    answers = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return int(answers[1] if answers else 0) + sum(map(int, sockets.groups() if sockets else ()))

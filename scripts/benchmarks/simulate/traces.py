"""When requests come, to services of three kinds, or as a file says."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

from torpor.errors import InvalidInputError

KINDS = ("poisson", "bursty", "diurnal")
DAY_S = 24 * 3600.0

GAPS_S = (30.0, 7200.0)
"""Mean pauses of Poisson and diurnal services, evenly spread over their logarithm: some are busy, most are not."""
BURST_GAPS_S = (300.0, 14400.0)
BURST = 20
"""Requests of a burst, on average; their number is geometric."""
IN_BURST_S = 3.0
START_S, START_SIGMA, START_LIMITS_S = 15.0, 0.7, (2.0, 120.0)
"""From asking for a pod to its being ready: log-normal between services (models differ), the same for one."""
EVENLY = (0.7548776662466927, 0.5698402909980532)
"""Steps of the R2 sequence (Roberts 2018)."""
SERVE_S = 0.3
"""Time on a pod, exponential."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What one service has to answer."""

    kind: str
    start_s: float
    arrivals: list[float]
    serve: list[float]
    """Time on a pod, of each."""


def made(kind: str, number: int, horizon_s: float, seed: int) -> Trace:
    """Return the trace of one service; the same for the same numbers."""
    dice = np.random.default_rng((seed, KINDS.index(kind), number))
    start, pace = _evenly(np.random.default_rng((seed, KINDS.index(kind))).random(2), number)
    spread = NormalDist(math.log(START_S), START_SIGMA).inv_cdf(start)
    times = _MAKERS[kind](dice, pace, horizon_s)
    start_s = float(np.clip(math.exp(spread), *START_LIMITS_S))
    return Trace(kind, start_s, times.tolist(), dice.exponential(SERVE_S, len(times)).tolist())


def _evenly(begin: np.ndarray, number: int) -> list[float]:
    """Return a point of a sequence that fills the unit square evenly: so a few services are as mixed as many."""
    return [float(np.clip((at + number * step) % 1, 1e-6, 1 - 1e-6)) for at, step in zip(begin, EVENLY, strict=True)]


def _between(limits: tuple[float, float], part: float) -> float:
    return math.exp(math.log(limits[0]) + part * math.log(limits[1] / limits[0]))


def _uniform(dice: np.random.Generator, expected: float, horizon_s: float) -> np.ndarray:
    """Return the times of a Poisson process, of which `expected` fall into the horizon."""
    return np.sort(dice.uniform(0, horizon_s, dice.poisson(expected)))


def _poisson(dice: np.random.Generator, pace: float, horizon_s: float) -> np.ndarray:
    return _uniform(dice, horizon_s / _between(GAPS_S, pace), horizon_s)


def _bursty(dice: np.random.Generator, pace: float, horizon_s: float) -> np.ndarray:
    begins = _uniform(dice, horizon_s / _between(BURST_GAPS_S, pace), horizon_s)
    bursts = [begin + np.cumsum(dice.exponential(IN_BURST_S, dice.geometric(1 / BURST))) for begin in begins]
    times = np.sort(np.concatenate(bursts)) if bursts else np.empty(0)
    return times[times < horizon_s]


def _diurnal(dice: np.random.Generator, pace: float, horizon_s: float) -> np.ndarray:
    """Twice the mean by day, next to nothing by night; each service has its own noon."""
    times = _uniform(dice, 2 * horizon_s / _between(GAPS_S, pace), horizon_s)
    noon = dice.uniform(0, DAY_S)
    level = (0.02 + 0.98 * (0.5 + 0.5 * np.cos(2 * math.pi * (times - noon) / DAY_S))) ** 1.5
    return times[dice.uniform(0, 1, len(times)) < level]


_MAKERS = {"poisson": _poisson, "bursty": _bursty, "diurnal": _diurnal}


def read(path: Path, seed: int) -> list[Trace]:
    """Read arrivals from a CSV file, one a line: `seconds`, and if it has them `service`, `serve_s`, `start_s`."""
    rows: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    starts: dict[str, float] = {}
    dice = np.random.default_rng(seed)
    for line, row in _rows(path):
        name = row.get("service") or "service"
        try:
            serve_s = float(row["serve_s"]) if row.get("serve_s") else float(dice.exponential(SERVE_S))
            rows[name].append((float(row["seconds"] or "nan"), serve_s))
            starts.setdefault(name, float(row.get("start_s") or START_S))
        except ValueError as error:
            raise InvalidInputError(f"{path}, line {line}", row, "use numbers of seconds") from error
        if not math.isfinite(rows[name][-1][0]) or rows[name][-1][0] < 0:
            raise InvalidInputError(f"{path}, line {line}", row["seconds"], "use seconds from 0 up")
    traces = []
    for name, requests in rows.items():
        requests.sort()
        traces.append(Trace("csv", starts[name], [at for at, _ in requests], [serve for _, serve in requests]))
    return traces


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if "seconds" not in (reader.fieldnames or ()):
            raise InvalidInputError(str(path), reader.fieldnames, "the first line names the columns; one is seconds")
        for row in reader:
            yield reader.line_num, row

"""Show what is counted of each version of each model, under our names and under Triton's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    UnknownMetricFamily,
)

from predictor.served import Served
from predictor.statistics import Lap, Statistics
from torpor.telemetry import metrics
from torpor.telemetry.metrics import Family

ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Bounds of the histogram of batches."""


_COUNTED: tuple[tuple[Family, Family, Callable[[Statistics], float]], ...] = (
    (metrics.PREDICTOR_MODEL_REQUESTS, metrics.TRITON_SUCCESS, lambda each: each.success.count),
    (metrics.PREDICTOR_MODEL_INFERENCES, metrics.TRITON_COUNT, lambda each: each.inferences),
    (metrics.PREDICTOR_MODEL_EXECUTIONS, metrics.TRITON_EXECUTIONS, lambda each: each.executions),
    (metrics.PREDICTOR_MODEL_CACHE_HITS, metrics.TRITON_CACHE_HITS, lambda each: each.cache_hit.count),
    (metrics.PREDICTOR_MODEL_CACHE_MISSES, metrics.TRITON_CACHE_MISSES, lambda each: each.cache_miss.count),
)
"""(ours, Triton's, the number): his counters have no `_total` in their names, as counters here would have."""


def families(models: Iterable[Served]) -> Iterator[Metric]:
    """Yield every family, with a series for each version."""
    all_ = tuple(models)
    for ours, tritons, number in _COUNTED:
        yield _counters(CounterMetricFamily, ours, all_, number)
        yield _counters(UnknownMetricFamily, tritons, all_, number)
    yield _failures(CounterMetricFamily, metrics.PREDICTOR_MODEL_FAILURES, all_)
    yield _failures(UnknownMetricFamily, metrics.TRITON_FAILURE, all_)
    for family in (metrics.PREDICTOR_MODEL_WAITING, metrics.TRITON_PENDING):
        gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
        for each in all_:
            gauge.add_metric(_labels(each), waiting(each))
        yield gauge
    yield from _times(all_)
    yield _batches(all_)


def _times(models: tuple[Served, ...]) -> Iterator[Metric]:
    family = metrics.PREDICTOR_MODEL_SECONDS
    seconds = CounterMetricFamily(family.name, family.help, labels=family.labels)
    tritons = {
        part: UnknownMetricFamily(each.name, each.help, labels=each.labels)
        for part, each in metrics.TRITON_PARTS.items()
    }
    for each in models:
        for part, lap in _parts(each.statistics).items():
            seconds.add_metric([*_labels(each), part], lap.total_ns / 1e9)
            tritons[part].add_metric(_labels(each), lap.total_ns // 1000)
    yield seconds
    yield from tritons.values()


def _counters(
    kind: type[CounterMetricFamily | UnknownMetricFamily],
    family: Family,
    models: Iterable[Served],
    number: Callable[[Statistics], float],
) -> Metric:
    counter = kind(family.name, family.help, labels=family.labels)
    for each in models:
        counter.add_metric(_labels(each), number(each.statistics))
    return counter


def _failures(
    kind: type[CounterMetricFamily | UnknownMetricFamily], family: Family, models: Iterable[Served]
) -> Metric:
    counter = kind(family.name, family.help, labels=family.labels)
    for each in models:
        for reason, count in each.statistics.failures.items():
            counter.add_metric([*_labels(each), reason], count)
    return counter


def _batches(models: Iterable[Served]) -> Metric:
    family = metrics.PREDICTOR_MODEL_BATCH_ROWS
    histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    for each in models:
        sizes = each.statistics.batches
        sums = [
            (str(bound), float(sum(batch.compute_infer.count for rows, batch in sizes.items() if rows <= bound)))
            for bound in ROWS
        ]
        sums.append(("+Inf", float(sum(batch.compute_infer.count for batch in sizes.values()))))
        total = sum(rows * batch.compute_infer.count for rows, batch in sizes.items())
        histogram.add_metric(_labels(each), sums, sum_value=total)
    return histogram


def _parts(statistics: Statistics) -> Mapping[str, Lap]:
    return {
        "request": statistics.success,
        "queue": statistics.queue,
        "input": statistics.compute_input,
        "infer": statistics.compute_infer,
        "output": statistics.compute_output,
    }


def waiting(served: Served) -> int:
    """Return how many requests wait for an execution of the model."""
    held = served.held
    batcher = None if held is None else held.batcher
    return served.turns.waiting if batcher is None else batcher.waiting


def _labels(served: Served) -> list[str]:
    return [served.name, served.version]

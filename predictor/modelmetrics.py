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


def families(models: Iterable[Served]) -> Iterator[Metric]:
    """Yield every family, with a series for each version."""
    all_ = tuple(models)
    for family, number in (
        (metrics.PREDICTOR_MODEL_REQUESTS, lambda each: each.success.count),
        (metrics.PREDICTOR_MODEL_INFERENCES, lambda each: each.inferences),
        (metrics.PREDICTOR_MODEL_EXECUTIONS, lambda each: each.executions),
        (metrics.PREDICTOR_MODEL_CACHE_HITS, lambda each: each.cache_hit.count),
        (metrics.PREDICTOR_MODEL_CACHE_MISSES, lambda each: each.cache_miss.count),
    ):
        yield _counters(CounterMetricFamily, family, all_, number)
    yield _failures(CounterMetricFamily, metrics.PREDICTOR_MODEL_FAILURES, all_)
    family = metrics.PREDICTOR_MODEL_WAITING
    gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for each in all_:
        gauge.add_metric(_labels(each), waiting(each))
    yield gauge
    family = metrics.PREDICTOR_MODEL_SECONDS
    seconds = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for each in all_:
        for part, lap in _parts(each.statistics).items():
            seconds.add_metric([*_labels(each), part], lap.total_ns / 1e9)
    yield seconds
    yield _batches(all_)
    yield from _tritons(all_)


def _tritons(models: tuple[Served, ...]) -> Iterator[Metric]:
    """Yield Triton's own, whose counters have no `_total` in their names, as counters here would have."""
    for family, number in (
        (metrics.TRITON_SUCCESS, lambda each: each.success.count),
        (metrics.TRITON_COUNT, lambda each: each.inferences),
        (metrics.TRITON_EXECUTIONS, lambda each: each.executions),
        (metrics.TRITON_CACHE_HITS, lambda each: each.cache_hit.count),
        (metrics.TRITON_CACHE_MISSES, lambda each: each.cache_miss.count),
    ):
        yield _counters(UnknownMetricFamily, family, models, number)
    yield _failures(UnknownMetricFamily, metrics.TRITON_FAILURE, models)
    family = metrics.TRITON_PENDING
    gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for each in models:
        gauge.add_metric(_labels(each), waiting(each))
    yield gauge
    for part, family in metrics.TRITON_PARTS.items():
        times = UnknownMetricFamily(family.name, family.help, labels=family.labels)
        for each in models:
            times.add_metric(_labels(each), _parts(each.statistics)[part].total_ns // 1000)
        yield times


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

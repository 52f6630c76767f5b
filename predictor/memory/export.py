"""Show what each version of each model takes, and how often it came and went."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from predictor.memory.amount import KINDS, Amount
from predictor.memory.stay import Stay
from predictor.served import Served
from torpor.telemetry import metrics
from torpor.telemetry.metrics import Family


def stays(models: Iterable[Served]) -> Iterator[Metric]:
    """Yield every family, with a series for each version."""
    all_ = tuple(models)
    family = metrics.PREDICTOR_MODEL_MEMORY_BYTES
    gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for each in all_:
        takes = Amount() if each.held is None or each.stay.takes is None else each.stay.takes
        for kind in KINDS:
            gauge.add_metric([each.name, each.version, kind], takes.of(kind))
    yield gauge
    yield _counter(metrics.PREDICTOR_MODEL_LOADS, all_, lambda stay: stay.loads)
    yield _counter(metrics.PREDICTOR_MODEL_LOAD_SECONDS, all_, lambda stay: stay.load_s)
    yield _counter(metrics.PREDICTOR_MODEL_EVICTIONS, all_, lambda stay: stay.evictions)


def _counter(family: Family, models: Iterable[Served], number: Callable[[Stay], float]) -> Metric:
    counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for each in models:
        counter.add_metric([each.name, each.version], number(each.stay))
    return counter

"""Show the processes of each version of each model, and how often they were started again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from predictor.served import Served
from torpor.telemetry import metrics


def processes(models: Iterable[Served]) -> Iterator[Metric]:
    """Yield both families; of models without processes, nothing was ever started again."""
    family = metrics.PREDICTOR_MODEL_PROCESSES
    gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    family = metrics.PREDICTOR_MODEL_RESTARTS
    counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for each in models:
        apart = None if each.held is None else each.held.apart
        gauge.add_metric([each.name, each.version], 0 if apart is None else apart.processes)
        for reason, count in ({} if apart is None else apart.restarts).items():
            counter.add_metric([each.name, each.version, reason], count)
    yield gauge
    yield counter

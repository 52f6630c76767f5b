"""Show the predictor's numbers as metrics. Imported when they are asked for: prometheus_client takes 30 ms."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from predictor.counters import BOUNDS_S, Counters, Durations
from predictor.memory.export import stays
from predictor.modelmetrics import families
from predictor.models import Models
from predictor.processes.export import processes
from torpor.aio.clock import Clock
from torpor.telemetry import metrics
from torpor.telemetry.metrics import Family

log = logging.getLogger(__name__)


def exposition(models: Models, counters: Counters, clock: Clock) -> tuple[bytes, str]:
    """Return (body, content type) for `/metrics`."""
    registry = CollectorRegistry()
    registry.register(Collector(models, counters, clock))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class Collector:
    """Fits prometheus_client's registry."""

    def __init__(self, models: Models, counters: Counters, clock: Clock) -> None:
        self._clock = clock
        self._models = models
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        model = self._models.first.name
        family = metrics.PREDICTOR_REQUESTS
        requests = CounterMetricFamily(family.name, family.help, labels=family.labels)
        for (protocol, digit), count in self._counters.codes.items():
            requests.add_metric([model, protocol, f"{digit}xx"], count)
        yield requests
        family = metrics.PREDICTOR_DURATION_SECONDS
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for protocol, durations in self._counters.durations.items():
            histogram.add_metric([model, protocol], _sums(durations), sum_value=durations.total_s)
        yield histogram
        yield _gauge(metrics.PREDICTOR_IN_FLIGHT, [((model,), self._counters.in_flight)])
        yield _gauge(metrics.PREDICTOR_READY, [((model,), float(self._models.is_ready))])
        waits_s = self._counters.waits.seconds(self._clock.monotonic())
        yield _gauge(metrics.PREDICTOR_QUEUE_WAIT_SECONDS, [((model,), waits_s)])
        tokens = self._tokens()
        yield _gauge(metrics.PREDICTOR_TOKENS_IN_FLIGHT, [] if tokens is None else [((model,), tokens)])
        yield from families(self._models)
        yield from stays(self._models)
        yield from processes(self._models)
        stages = self._models.progress.snapshot()["stages"]
        ended = [((model, each["name"]), each["seconds"]) for each in stages if each["seconds"] is not None]
        yield _gauge(metrics.PREDICTOR_LOAD_STAGE_SECONDS, ended)
        yield _gauge(metrics.PREDICTOR_LOAD_STAGE_BYTES, [((model, each["name"]), each["bytes"]) for each in stages])

    def _tokens(self) -> float | None:
        """Return how many tokens the model is at work on; None where it does not say, or not rightly."""
        held = self._models.first.held
        if held is None or held.counts_tokens is None:
            return None
        try:
            tokens = held.counts_tokens.tokens_in_flight()
            return None if tokens is None else float(tokens)
        except Exception:  # the model's own code must not take the other numbers with it
            log.exception("tokens_in_flight of the model failed")
            return None


def _gauge(family: Family, rows: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in rows:
        gauge.add_metric(labels, value)
    return gauge


def _sums(durations: Durations) -> list[tuple[str, float]]:
    sums: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), durations.counts, strict=True):
        total += count
        sums.append((bound, total))
    return sums

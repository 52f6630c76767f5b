"""Show the hot path's numbers as metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from activator.proxy.door import Door
from activator.throttle.counters import Buckets, Counters
from activator.throttle.throttler import Throttler
from torpor.telemetry import metrics
from torpor.telemetry.metrics import Family

_GAUGES: tuple[tuple[Family, Callable[[Throttler], int]], ...] = (
    (metrics.ACTIVATOR_IN_FLIGHT, lambda throttler: throttler.in_flight),
    (metrics.ACTIVATOR_QUEUED, lambda throttler: throttler.queued),
    (metrics.ACTIVATOR_QUEUED_BYTES, lambda throttler: throttler.held),
)
_OF_DOOR: tuple[tuple[Family, Callable[[Door], int]], ...] = (
    (metrics.ACTIVATOR_CONNECTIONS, lambda door: len(door.connections)),
    (metrics.ACTIVATOR_DEFERRED, lambda door: len(door.shelf)),
    (metrics.ACTIVATOR_DEFERRED_BYTES, lambda door: door.shelf.held),
)
_COUNTERS: tuple[tuple[Family, Callable[[Counters], int]], ...] = (
    (metrics.ACTIVATOR_UPSTREAM_ERRORS, lambda counters: counters.upstream_errors),
    (metrics.ACTIVATOR_RETRIES, lambda counters: counters.retries),
    (metrics.ACTIVATOR_CLIENT_DISCONNECTS, lambda counters: counters.disconnects),
)
_HISTOGRAMS: tuple[tuple[Family, Callable[[Counters], Buckets]], ...] = (
    (metrics.ACTIVATOR_DURATION_SECONDS, lambda counters: counters.durations),
    (metrics.ACTIVATOR_QUEUE_WAIT_SECONDS, lambda counters: counters.waits),
)


class DoorCollector(Collector):
    """Revisions without a request so far, and without pods, are left out."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        throttlers = [each for each in self._door.throttlers if each.pods or each.queued or any(each.counters.codes)]
        requests = CounterMetricFamily(*metrics.ACTIVATOR_REQUESTS[:2], labels=metrics.ACTIVATOR_REQUESTS.labels)
        for key, codes in [(("", ""), self._door.codes), *((each.key, each.counters.codes) for each in throttlers)]:
            for digit, count in enumerate(codes):
                if count:
                    requests.add_metric([*key, f"{digit}xx"], count)
        yield requests
        for family, of in _GAUGES:
            gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for each in throttlers:
                gauge.add_metric(each.key, of(each))
            yield gauge
        for family, count_of in _COUNTERS:
            counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
            for each in throttlers:
                counter.add_metric(each.key, count_of(each.counters))
            yield counter
        for family, buckets_of in _HISTOGRAMS:
            yield _histogram(family, [(each.key, buckets_of(each.counters)) for each in throttlers])
        family = metrics.ACTIVATOR_MIRRORED
        mirrored = CounterMetricFamily(family.name, family.help, labels=family.labels)
        for (key, result), count in self._door.mirroring.counts.items():
            mirrored.add_metric([*key, result], count)
        yield mirrored
        yield _access(self._door)
        yield from _gauges(self._door)


def _access(door: Door) -> Metric:
    family = metrics.ACTIVATOR_ACCESS
    counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
    guards = {entry.guard.key: entry.guard for entry in door.router.table.by_path.values() if entry.guard is not None}
    for key, guard in guards.items():
        for result, count in guard.counts.items():
            counter.add_metric([*key, result], count)
    return counter


def _gauges(door: Door) -> Iterator[Metric]:
    for family, of in _OF_DOOR:
        yield GaugeMetricFamily(family.name, family.help, value=of(door))


def _histogram(family: Family, rows: list[tuple[tuple[str, str], Buckets]]) -> Metric:
    histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    for key, buckets in rows:
        sums: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*buckets.bounds, float("inf")), buckets.counts, strict=True):
            total += count
            sums.append(("+Inf" if bound == float("inf") else str(bound), total))
        histogram.add_metric(key, sums, sum_value=buckets.total)
    return histogram

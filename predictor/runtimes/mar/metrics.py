"""The metrics that handlers report: counted while the model is open, and asked for by name; nothing else reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum
from typing import Any


class MetricTypes(Enum):
    """What a metric is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Dimension:
    """A label of a metric: a name and a value."""

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        return f"{self.name}:{self.value}"


class Metric:
    """One metric, by name."""

    def __init__(self, name: str, seen: Counter[str]) -> None:
        self.name = name
        self._seen = seen

    def add_or_update(self, value: float, dimension_values: Sequence[str] = (), request_id: str = "") -> None:
        del value, dimension_values, request_id
        self._seen[self.name] += 1


class MetricsCache:
    """`context.metrics`."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        """How often each name was reported."""

    def _add(self, name: str, *args: Any, **kwargs: Any) -> None:
        del args, kwargs
        self.seen[name] += 1

    add_counter = add_time = add_size = add_percent = add_error = add_metric = _add

    def get_metric(self, metric_name: str, *args: Any, **kwargs: Any) -> Metric:
        del args, kwargs
        return Metric(metric_name, self.seen)

    add_metric_to_cache = get_metric

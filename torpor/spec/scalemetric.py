"""A metric that pods report themselves, by which a revision is scaled: annotation `torpor.dev/scale-metric`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from torpor.errors import InvalidInputError
from torpor.spec.duration import parse_duration

TOKENS, QUEUE_WAIT = "tokens", "queue-wait"
TOKENS_GAUGE = "torpor_predictor_tokens_in_flight"
QUEUE_WAIT_GAUGE = "torpor_predictor_queue_wait_seconds"
_GAUGE = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}\Z")
"""Prometheus' names of metrics."""


@dataclass(frozen=True, slots=True)
class ScaleMetric:
    """What is summed up over all ready pods, and how much of it one pod can take."""

    gauge: str
    """By its name on the pods' `/metrics`; of several series with this name the sum counts."""
    target: float
    """For each pod, in the gauge's own unit; for a wait: seconds."""
    is_wait: bool = False
    """It says nothing of how much room is left: none waits, whether a pod is half busy or not at all."""

    @property
    def name(self) -> str:
        """As people read it."""
        return {TOKENS_GAUGE: TOKENS, QUEUE_WAIT_GAUGE: QUEUE_WAIT}.get(self.gauge, self.gauge)


def parse_scale_metric(field: str, raw: str) -> ScaleMetric:
    """Read `tokens=4000`, `queue-wait=200ms` or `GAUGE=NUMBER`; raises InvalidInputError naming `field`."""
    name, equals, rest = (part.strip() for part in raw.partition("="))
    if equals and name == QUEUE_WAIT:
        seconds = parse_duration(field, rest)
        if 0.001 <= seconds <= 3600:
            return ScaleMetric(QUEUE_WAIT_GAUGE, seconds, is_wait=True)
    elif equals and _GAUGE.match(name):
        try:
            target = float(rest)
        except ValueError:
            target = math.nan
        if 0.001 <= target <= 1e12:
            return ScaleMetric(TOKENS_GAUGE if name == TOKENS else name, target)
    raise InvalidInputError(
        field, raw, "use tokens=NUMBER, queue-wait=DURATION from 1ms to 1h, or GAUGE=NUMBER, from 0.001 for each pod"
    )

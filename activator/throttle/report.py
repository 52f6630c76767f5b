"""What the throttlers tell the autoscaler."""

from __future__ import annotations

from dataclasses import dataclass

RevisionKey = tuple[str, str]
"""(namespace, name)"""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What went on at one revision since the last report, and what is at this moment."""

    revision: RevisionKey
    average_concurrency: float
    """Requests queued or being served, on average over the time since the last report."""
    requests: int
    """Requests that came since the last report."""
    queued: int
    in_flight: int
    ready_pods: int

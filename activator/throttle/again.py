"""When a pod that did not start is tried again, and so when another request is worth it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from typing import NamedTuple

from torpor.spec.kinds import Object

MENDED_S = 60.0
"""Where nothing is tried again by itself, somebody must change something: a minute is soon enough to look whether they
have."""
FIRST_S, LIMIT_S = 10.0, 300.0
"""Kubernetes' pauses: none before the second run, then 10 s, doubling up to 5 min."""

_BACK_OFF = "CrashLoopBackOff"
_SAID = re.compile(r"back-off (?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)? restarting")
_UNITS_S = (3600.0, 60.0, 1.0)


class Again(NamedTuple):
    """The next run of a container that ended before it was ready, or the one that is under way."""

    begins_s: float
    """When it begins, or began; on the wall clock."""
    took_s: float
    """How long the last one took to fail: this one may know as soon."""

    def worth_s(self, usual_s: float | None, wall_s: float) -> float:
        """Return after how long another request is worth it: this run has failed by then, or its pod is ready.

        `usual_s`: how long starts take that end well, where that was measured. The kubelet's clock may differ from
        ours, so no more is said than there can be.
        """
        takes_s = self.took_s if usual_s is None else usual_s
        return max(0.0, min(self.begins_s - wall_s, LIMIT_S) + takes_s)


def next_run(pod: Object) -> Again | None:
    """Return the next run of a pod's container that has failed, the latest where there are several; None: not known."""
    return max(_runs(pod), default=None)


def _runs(pod: Object) -> Iterator[Again]:
    status = pod.get("status") or {}
    for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        state = each.get("state") or {}
        ended = state.get("terminated") or (each.get("lastState") or {}).get("terminated") or {}
        began_s, ended_s = _wall(ended.get("startedAt")), _wall(ended.get("finishedAt"))
        if ended_s is None or (state.get("waiting") or {}).get("reason", _BACK_OFF) != _BACK_OFF:
            continue  # it has not ended, or waits for something else
        running_s = _wall((state.get("running") or {}).get("startedAt"))
        begins_s = ended_s + _pause_s(each) if running_s is None else running_s
        yield Again(begins_s, 0.0 if began_s is None else max(0.0, ended_s - began_s))


def _pause_s(status: Object) -> float:
    """Return how long the kubelet lets a container alone: its own word where it gave one, else Kubernetes' rule."""
    waiting = (status.get("state") or {}).get("waiting") or {}
    said = _SAID.search(waiting.get("message") or "")
    if said is not None:
        return sum(float(part) * unit for part, unit in zip(said.groups(), _UNITS_S, strict=True) if part)
    restarts = int(status.get("restartCount", 0))
    return min(LIMIT_S, FIRST_S * 2.0 ** min(restarts - 1, 10)) if restarts else 0.0


def _wall(text: str | None) -> float | None:
    return datetime.datetime.fromisoformat(text).timestamp() if text else None

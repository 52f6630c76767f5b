"""Which revision of a predictor gets how much: everything to the newest, or a canary beside the one before."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from torpor.spec.kinds import Object

PREVIOUS, LATEST = "prev", "latest"
"""KServe's tags."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """Revisions that had all the traffic: the last of them, and the one before."""

    latest: str = ""
    previous: str = ""


def rolled_out(component: Object, service: Object | None) -> Rollout:
    """Return what is rolled out, from the status before and from what the Knative Service says now."""
    known = Rollout(component.get("latestRolledoutRevision", ""), component.get("previousRolledoutRevision", ""))
    shares: Counter[str] = Counter()
    for target in ((service or {}).get("status") or {}).get("traffic") or ():
        shares[target.get("revisionName", "")] += target.get("percent") or 0
    (name, share), *_ = shares.most_common(1) or [("", 0)]
    if not name or share < 100 or name == known.latest:
        return known
    # Also after a roll-back, so that a later canary stands beside the good one.
    return Rollout(name, known.latest)


def traffic(percent: int | None, stable: str, *, tagged: bool) -> list[Object]:
    """Return the traffic of a Knative Service; `stable` has what the canary leaves, where there is one."""
    newest: Object = {"latestRevision": True, "percent": 100}
    if tagged:
        newest["tag"] = LATEST
    if percent is None or percent == 100 or not stable:
        return [newest]
    rest = {"revisionName": stable, "latestRevision": False, "percent": 100 - percent, "tag": PREVIOUS}
    return [newest | {"percent": percent}, rest]


def stable_revision(rollout: Rollout, service: Object | None, *, changing: bool) -> str:
    """Return the revision that a canary stands beside; empty: there is none yet.

    While a canary is on, that does not move. Else it is the one rolled out, unless it is itself the newest: then
    asking for less than all is a roll-back. `changing`: a newer revision is about to be made.
    """
    if service is None:
        return ""
    if decided := _decided(service):
        return decided
    status = service.get("status") or {}
    settled = not changing and status.get("observedGeneration", 0) >= service["metadata"].get("generation", 0)
    newest = settled and status.get("latestCreatedRevisionName") == rollout.latest
    return rollout.previous if newest else rollout.latest


def _decided(service: Object) -> str:
    for target in (service.get("spec") or {}).get("traffic") or ():
        if target.get("tag") == PREVIOUS:
            return str(target.get("revisionName") or "")
    return ""

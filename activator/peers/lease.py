"""Who holds a Lease, judged by our own clock.

The algorithm is client-go's (tools/leaderelection): times that others have written are never compared with ours. A
Lease counts as held for its duration after we have *seen* it change, so clocks that differ, or are set, do no harm.
"""

from __future__ import annotations

from dataclasses import dataclass

from torpor.spec.kinds import Object


@dataclass(frozen=True, slots=True)
class Sighting:
    """A Lease as it is, and when it was first seen to be so."""

    holder: str
    """Empty: given back."""
    version: str
    """Whatever differs after each renewal."""
    duration_s: float
    seen_s: float
    """On our own monotonic clock."""

    def is_held(self, now_s: float) -> bool:
        return bool(self.holder) and now_s - self.seen_s <= self.duration_s


def sight(lease: Object, before: Sighting | None, now_s: float) -> Sighting:
    """Take in a Lease that was read or heard of; one that did not change was not renewed."""
    spec, metadata = lease.get("spec") or {}, lease["metadata"]
    holder = str(spec.get("holderIdentity") or "")
    version = f"{metadata.get('uid')} {spec.get('renewTime')}"
    if before is not None and (before.holder, before.version) == (holder, version):
        return before
    return Sighting(holder, version, float(spec.get("leaseDurationSeconds") or 0), now_s)


def may_take(seen: Sighting | None, me: str, now_s: float) -> bool:
    """Tell whether a Lease may be taken: nobody has it, it is ours, or its holder has not renewed it in time."""
    return seen is None or seen.holder == me or not seen.is_held(now_s)

"""Which revisions nobody needs any more: Knative's rule and defaults (ConfigMap config-gc). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from controller.knative.resources.metadata import annotations_of, labels_of
from controller.knative.resources.revision import RESERVE
from torpor.errors import InvalidInputError
from torpor.spec import names
from torpor.spec.kinds import Object
from torpor.spec.timestamps import seconds


@dataclass(frozen=True, slots=True)
class Retention:
    """How long and how many."""

    since_created_s: float = 48 * 3600.0
    """A younger revision is not stale."""
    since_active_s: float = 15 * 3600.0
    """Nor is one that a route named within this time."""
    at_least: int = 20
    """So many out of use are kept, however old."""
    at_most: int = 1000
    """More than so many out of use are not kept, however young."""


KNATIVES = Retention()


def unused(
    revisions: Iterable[Object], keep: Collection[str | None], now: str, retention: Retention = KNATIVES
) -> list[Object]:
    """Return the revisions to delete, the one out of use for the longest time first."""
    reserve = sorted((each for each in revisions if _may_go(each, keep)), key=_last_active)
    spare = len(reserve) - retention.at_least
    if spare <= 0:
        return []
    stale = {each["metadata"]["name"] for each in reserve if _is_stale(each, seconds(now), retention)}
    gone = [each for each in reserve if each["metadata"]["name"] in stale][:spare]
    too_many = max(0, len(reserve) - len(gone) - retention.at_most)
    return gone + [each for each in reserve if each not in gone][:too_many]


def _may_go(revision: Object, keep: Collection[str | None]) -> bool:
    metadata = revision["metadata"]
    return (
        labels_of(revision).get(names.ROUTING_STATE) == RESERVE
        and annotations_of(revision).get(names.NO_GC) != "true"
        and metadata["name"] not in keep
        and "deletionTimestamp" not in metadata
    )


def _is_stale(revision: Object, now_s: float, retention: Retention) -> bool:
    created_s = seconds(revision["metadata"]["creationTimestamp"])
    return now_s - created_s > retention.since_created_s and now_s - _last_active(revision) > retention.since_active_s


def _last_active(revision: Object) -> float:
    created_s = seconds(revision["metadata"]["creationTimestamp"])
    try:
        return seconds(annotations_of(revision).get(names.ROUTING_STATE_MODIFIED, ""))
    except InvalidInputError:  # absent, or somebody's hand
        return created_s

"""The columns of Knative's and KServe's kinds, as their CustomResourceDefinitions have them."""

from __future__ import annotations

import datetime
from typing import Any

from torpor.local.apiserver.kinds.reading import CUSTOM_AGE, NAME, at, condition, find
from torpor.local.apiserver.kinds.resource import Cell, Column
from torpor.spec import names
from torpor.spec.kinds import Object

URL = Column("URL", at("status", "url"))
LATEST_CREATED = Column("LatestCreated", at("status", "latestCreatedRevisionName"))
LATEST_READY = Column("LatestReady", at("status", "latestReadyRevisionName"))
READY = Column("Ready", condition("Ready", "status"))
REASON = Column("Reason", condition("Ready", "reason"))

KSERVICE = (NAME, URL, LATEST_CREATED, LATEST_READY, READY, REASON)
CONFIGURATION = (NAME, LATEST_CREATED, LATEST_READY, READY, REASON)
ROUTE = (NAME, URL, READY, REASON)
REVISION = (
    NAME,
    Column("Config Name", at("metadata", "labels", names.CONFIGURATION)),
    Column("Generation", at("metadata", "labels", names.CONFIGURATION_GENERATION)),
    READY,
    REASON,
    Column("Actual Replicas", at("status", "actualReplicas"), type="integer"),
    Column("Desired Replicas", at("status", "desiredReplicas"), type="integer"),
)


def _traffic(part: str, *, previous: bool) -> Any:
    """A cell from the predictor's traffic: of the target tagged `prev`, or of the latest revision's."""

    def read(obj: Object, _now: datetime.datetime) -> Cell:
        for target in find(obj, "status", "components", "predictor", "traffic") or ():
            if (target.get("tag") == "prev") if previous else target.get("latestRevision") is True:
                value = target.get(part)
                return value if isinstance(value, str | int) else None
        return None

    return read


INFERENCE_SERVICE = (
    NAME,
    URL,
    READY,
    Column("Prev", _traffic("percent", previous=True), type="integer"),
    Column("Latest", _traffic("percent", previous=False), type="integer"),
    Column("PrevRolledoutRevision", _traffic("revisionName", previous=True)),
    Column("LatestReadyRevision", _traffic("revisionName", previous=False)),
    CUSTOM_AGE,
)

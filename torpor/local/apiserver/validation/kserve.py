"""What KServe's validation webhook says about an InferenceService."""

from __future__ import annotations

from typing import Any

from torpor.errors import InvalidInputError
from torpor.local.apiserver.status import denied
from torpor.spec.annotations import check_no_lock, check_revision, check_route
from torpor.spec.cluster import ClusterWide
from torpor.spec.fields import Fields
from torpor.spec.inferenceservice import parse_inference_service
from torpor.spec.kinds import Object
from torpor.spec.runtimes import NoSupportingRuntimeError, UnknownRuntimeError
from torpor.spec.storage import NotOfferedError

WEBHOOK = "inferenceservice.kserve-webhook-server.validator"
_ACCEPTED = (NoSupportingRuntimeError, UnknownRuntimeError, NotOfferedError)
"""The manifest is right, and elsewhere it is served: its status says why it is not here."""


def admit_inference_service(new: Object, old: Object | None, cluster: ClusterWide) -> None:
    """Refuse what no cluster could serve."""
    if new["metadata"].get("deletionTimestamp") or (old is not None and _wish(new) == _wish(old)):
        return  # what was accepted once stays, and can always be deleted
    try:
        parse_inference_service(new, cluster.revisions)
        for metadata in (Fields(new).object("metadata"), Fields(new).object("spec").object("predictor")):
            check_route(metadata)
            check_revision(metadata)
        check_no_lock(Fields(new).object("spec").object("predictor"))
    except _ACCEPTED:
        return
    except InvalidInputError as error:
        raise denied(WEBHOOK, str(error)) from error


def _wish(obj: Object) -> tuple[Any, Any]:
    return obj.get("spec"), obj["metadata"].get("annotations")

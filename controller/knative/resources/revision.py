"""The Revision that a Configuration's template asks for. Pure."""

from __future__ import annotations

from typing import Any

from controller.knative.resources.metadata import annotations_of, child, labels_of
from torpor.spec import names
from torpor.spec.children import child_name
from torpor.spec.kinds import CONFIGURATION, REVISION, Object
from torpor.spec.knative import TIMEOUT_S

PENDING = "pending"
ACTIVE = "active"
RESERVE = "reserve"


def revision_name(configuration: Object) -> str:
    """Return the name its owner brings, else one from the generation: `svc-00001`."""
    name = _template_metadata(configuration).get("name")
    metadata = configuration["metadata"]
    return str(name) if name else child_name(metadata["name"], f"-{metadata['generation']:05d}")


def revision(configuration: Object, now: str) -> Object:
    """Return the Revision: the template, with defaults filled in, for it never changes again."""
    template = configuration["spec"]["template"]
    inherited = _template_metadata(configuration)
    return {
        **child(
            REVISION,
            CONFIGURATION,
            configuration,
            revision_name(configuration),
            labels=dict(inherited.get("labels") or {}) | _labels(configuration),
            annotations=dict(inherited.get("annotations") or {}) | _annotations(configuration, now),
        ),
        "spec": revision_spec(template.get("spec") or {}),
    }


def revision_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a RevisionSpec with Knative's defaults written into it."""
    containers = [
        {"name": names.USER_CONTAINER if index == 0 else f"{names.USER_CONTAINER}-{index}"} | _without_empty_name(each)
        for index, each in enumerate(spec.get("containers") or ())
    ]
    return {"containerConcurrency": 0, "timeoutSeconds": TIMEOUT_S, **spec, "containers": containers}


def generation_of(revision: Object) -> int:
    """Return the generation of the Configuration that a Revision was made for; 0 where that is not known."""
    text = labels_of(revision).get(names.CONFIGURATION_GENERATION, "")
    return int(text) if text.isdecimal() else 0


def _template_metadata(configuration: Object) -> dict[str, Any]:
    return configuration["spec"]["template"].get("metadata") or {}


def _labels(configuration: Object) -> dict[str, str]:
    metadata = configuration["metadata"]
    own = labels_of(configuration)
    of_service = {label: own[label] for label in (names.SERVICE, names.SERVICE_UID) if label in own}
    return of_service | {
        names.CONFIGURATION: metadata["name"],
        names.CONFIGURATION_GENERATION: str(metadata["generation"]),
        names.CONFIGURATION_UID: metadata["uid"],
        names.ROUTING_STATE: PENDING,
    }


def _annotations(configuration: Object, now: str) -> dict[str, str]:
    """Who caused this revision, as far as somebody told, and since when it is not yet routed."""
    own = annotations_of(configuration)
    creator = own.get(names.LAST_MODIFIER) or own.get(names.CREATOR)
    return ({names.CREATOR: creator} if creator else {}) | {names.ROUTING_STATE_MODIFIED: now}


def _without_empty_name(container: dict[str, Any]) -> dict[str, Any]:
    return container if container.get("name") else {key: value for key, value in container.items() if key != "name"}

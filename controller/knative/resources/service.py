"""The Configuration and the Route of a Knative Service. Pure."""

from __future__ import annotations

from typing import Any

from controller.knative.resources.metadata import child, handed_on, labels_of
from torpor.spec import names
from torpor.spec.kinds import CONFIGURATION, KSERVICE, ROUTE, Object


def configuration(service: Object) -> Object:
    """Return the Configuration: the Service's template, and the name of the Route that serves it."""
    name = service["metadata"]["name"]
    annotations = handed_on(service) | {names.ROUTES: name}
    annotations.pop(names.ROLLOUT_DURATION, None)  # the Route's
    made = child(CONFIGURATION, KSERVICE, service, name, labels=_labels(service), annotations=annotations)
    return {**made, "spec": {"template": (service.get("spec") or {}).get("template") or {}}}


def route(service: Object) -> Object:
    """Return the Route: the Service's traffic, where what names no revision means the Service's own latest."""
    name = service["metadata"]["name"]
    traffic = (service.get("spec") or {}).get("traffic") or [{"latestRevision": True, "percent": 100}]
    made = child(ROUTE, KSERVICE, service, name, labels=_labels(service), annotations=handed_on(service))
    return {**made, "spec": {"traffic": [_target(each, name) for each in traffic]}}


def _labels(service: Object) -> dict[str, str]:
    metadata = service["metadata"]
    return labels_of(service) | {names.SERVICE: metadata["name"], names.SERVICE_UID: metadata["uid"]}


def _target(target: dict[str, Any], name: str) -> dict[str, Any]:
    asked = {key: value for key, value in target.items() if key != "url"}
    if asked.get("revisionName"):
        return {**asked, "latestRevision": False}
    return {**asked, "configurationName": name, "latestRevision": True}

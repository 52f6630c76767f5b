"""Objects as the API has them, and what the reconcilers make of them until nothing is left to do."""

from __future__ import annotations

import copy
from typing import Any

from controller.knative.reconcile import configuration as configurations
from controller.knative.resources import service as children
from controller.knative.resources.revision import revision as make_revision
from controller.options import Options
from controller.plan import Plan
from torpor.spec import conditions
from torpor.spec.kinds import CONFIGURATION, KSERVICE, REVISION, ROUTE, Kind, Object

NOW = "2026-11-25T22:40:00Z"
LATER = "2026-11-25T22:41:00Z"
OPTIONS = Options("localhost", 8080)


def stored(kind: Kind, obj: Object, *, uid: str = "", generation: int = 1) -> Object:
    """Return an object as the API gives it back."""
    made = copy.deepcopy(obj)
    made |= {"apiVersion": kind.api_version, "kind": kind.kind}
    made["metadata"] = {
        "namespace": "default",
        "uid": uid or f"uid-of-{kind.kind}-{obj['metadata']['name']}",
        "generation": generation,
        "resourceVersion": "1",
        "creationTimestamp": "2026-11-01T00:00:00Z",
    } | made["metadata"]
    return made


def service(name: str = "svc", *, traffic: list[Object] | None = None, generation: int = 1, **metadata: Any) -> Object:
    """A Knative Service with one container."""
    spec: Object = {"template": template()}
    if traffic is not None:
        spec["traffic"] = traffic
    return stored(KSERVICE, {"metadata": {"name": name, **metadata}, "spec": spec}, generation=generation)


def template(image: str = "example.com/app", *, name: str = "", annotations: dict[str, str] | None = None) -> Object:
    metadata: Object = {}
    if name:
        metadata["name"] = name
    if annotations:
        metadata["annotations"] = annotations
    made: Object = {"spec": {"containers": [{"image": image}]}}
    return {"metadata": metadata, **made} if metadata else made


def configuration(*, generation: int = 1, template_: Object | None = None, status: Object | None = None) -> Object:
    """The Configuration of `service()`."""
    made = stored(CONFIGURATION, children.configuration(service()), generation=generation)
    if template_ is not None:
        made["spec"]["template"] = template_
    return made if status is None else made | {"status": status}


def route(*, traffic: list[Object] | None = None, generation: int = 1) -> Object:
    """The Route of `service()`."""
    return stored(ROUTE, children.route(service(traffic=traffic)), generation=generation)


def revision(
    generation: int = 1, *, ready: str = "", reason: str = "", message: str = "", template_: Object | None = None
) -> Object:
    """The Revision of one generation of `configuration()`; `ready` is its condition's status."""
    made = stored(REVISION, make_revision(configuration(generation=generation, template_=template_), NOW))
    if ready:
        made["status"] = {"observedGeneration": 1, "conditions": [condition("Ready", ready, reason, message)]}
    return made


def condition(type_: str, status: str, reason: str = "", message: str = "", severity: str = "") -> Object:
    said = {"reason": reason, "message": message, "severity": severity}
    given = {key: value for key, value in said.items() if value}
    return {"type": type_, "status": status, **given, "lastTransitionTime": NOW}


def marks(status: Object | None) -> dict[str, tuple[str, str, str]]:
    """Return (status, reason, message) of each condition."""
    obj = {"status": status}
    found = {item["type"]: conditions.read(obj, item["type"]) for item in conditions.conditions_of(obj)}
    return {type_: (mark.status, mark.reason, mark.message) for type_, mark in found.items() if mark is not None}


def created(plan: Plan) -> list[tuple[str, str]]:
    return [(write.kind.kind, write.obj["metadata"]["name"]) for write in plan.creates]


def replaced(plan: Plan) -> list[tuple[str, str]]:
    return [(write.kind.kind, write.obj["metadata"]["name"]) for write in plan.replaces]


def with_status(obj: Object, plan: Plan) -> Object:
    """Return the object after the plan's status was written."""
    return obj if plan.status is None else {**obj, "status": plan.status}


def settled_configuration(*revisions: Object, generation: int = 1, template_: Object | None = None) -> Object:
    """Return a Configuration that has looked at these revisions."""
    obj = configuration(generation=generation, template_=template_)
    seen = configurations.Seen(revisions=revisions)
    return with_status(obj, configurations.reconcile(obj, seen, OPTIONS, NOW))

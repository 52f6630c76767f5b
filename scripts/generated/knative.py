"""Knative Serving's four kinds, by its API specification 1.0.2; the PodSpec in them is Kubernetes' own."""

from __future__ import annotations

import copy
from typing import Any

Schema = dict[str, Any]

PACKAGE = "dev.knative.serving.v1"
ADDRESSABLE = "dev.knative.pkg.Addressable"
CONDITION = "dev.knative.pkg.Condition"
TRAFFIC_TARGET = f"{PACKAGE}.TrafficTarget"

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "format": "int64"}
HANDLERS = {"httpGet": "HTTPGetAction", "tcpSocket": "TCPSocketAction"}
"""Of a probe: those that ask a port."""
STRINGS: Schema = {"type": "object", "additionalProperties": TEXT}


def definitions(kubernetes: dict[str, Schema]) -> dict[str, Schema]:
    """Return Knative's definitions; `kubernetes` holds those of PodSpec and Container."""
    return {
        ADDRESSABLE: _object({"url": TEXT, "name": TEXT, "CACerts": TEXT, "audience": TEXT}),
        CONDITION: _condition(),
        TRAFFIC_TARGET: _traffic_target(),
        f"{PACKAGE}.Container": _container(kubernetes["io.k8s.v1.Container"]),
        f"{PACKAGE}.Probe": _probe(kubernetes["io.k8s.v1.Probe"]),
        **{f"{PACKAGE}.{name}": _without_port(kubernetes[f"io.k8s.v1.{name}"]) for name in HANDLERS.values()},
        f"{PACKAGE}.RevisionSpec": _revision_spec(kubernetes["io.k8s.v1.PodSpec"]),
        f"{PACKAGE}.RevisionTemplateSpec": _object(
            {"metadata": _ref("io.k8s.v1.ObjectMeta"), "spec": _ref(f"{PACKAGE}.RevisionSpec")},
            "How the next revision shall look.",
        ),
        **_kind("Service", {"template": _template(), "traffic": _traffic()}, {**_route_status(), **_latest()}),
        **_kind("Configuration", {"template": _template()}, _latest()),
        **_kind("Route", {"traffic": _traffic()}, _route_status()),
        **_kind("Revision", None, _revision_status()),
    }


def _object(properties: dict[str, Schema], description: str = "", required: tuple[str, ...] = ()) -> Schema:
    schema: Schema = {"type": "object", "properties": copy.deepcopy(properties)}
    if description:
        schema["description"] = description
    if required:
        schema["required"] = list(required)
    return schema


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _about(schema: Schema, description: str) -> Schema:
    return {**copy.deepcopy(schema), "description": description}


def _list(items: Schema, description: str = "") -> Schema:
    schema: Schema = {"type": "array", "items": items, "x-kubernetes-list-type": "atomic"}
    return _about(schema, description) if description else schema


def _kind(name: str, spec: dict[str, Schema] | None, status: dict[str, Schema]) -> dict[str, Schema]:
    """Return the definitions of one kind; without a spec of its own it has the RevisionSpec."""
    spec_name = f"{PACKAGE}.{name}Spec"
    common = {
        "conditions": _list(_ref(CONDITION), "What is known of it, by type."),
        "observedGeneration": _about(COUNT, "The generation of the spec that this status is about."),
        "annotations": STRINGS,
    }
    found = {
        f"{PACKAGE}.{name}": _object(
            {
                "apiVersion": TEXT,
                "kind": TEXT,
                "metadata": _ref("io.k8s.v1.ObjectMeta"),
                "spec": _ref(spec_name),
                "status": _ref(f"{PACKAGE}.{name}Status"),
            }
        ),
        f"{PACKAGE}.{name}Status": _object({**common, **status}),
    }
    if spec is not None:
        found[spec_name] = _object(spec)
    return found


def _template() -> Schema:
    return _about(_ref(f"{PACKAGE}.RevisionTemplateSpec"), "How the next revision shall look.")


def _traffic() -> Schema:
    return _list(_ref(TRAFFIC_TARGET), "Which revision gets how much of the requests.")


def _latest() -> dict[str, Schema]:
    return {
        "latestCreatedRevisionName": _about(TEXT, "The newest revision, ready or not."),
        "latestReadyRevisionName": _about(TEXT, "The newest revision that has been ready."),
    }


def _route_status() -> dict[str, Schema]:
    return {
        "address": _about(_ref(ADDRESSABLE), "Where it is reached from within the cluster."),
        "url": _about(TEXT, "Where it is reached."),
        "traffic": _traffic(),
    }


def _revision_status() -> dict[str, Schema]:
    container = _object({"name": TEXT, "imageDigest": TEXT})
    return {
        "actualReplicas": _about(COUNT, "Ready pods."),
        "desiredReplicas": _about(COUNT, "Pods asked for."),
        "containerStatuses": _list(container),
        "initContainerStatuses": _list(container),
        "logUrl": TEXT,
    }


def _condition() -> Schema:
    return _object(
        {
            "type": TEXT,
            "status": _about(TEXT, "True, False or Unknown."),
            "severity": _about(TEXT, "Empty where False means failure; Warning or Info."),
            "reason": TEXT,
            "message": TEXT,
            "lastTransitionTime": TEXT,
        },
        required=("type", "status"),
    )


def _traffic_target() -> Schema:
    return _object(
        {
            "configurationName": _about(TEXT, "Routes only: whose newest ready revision."),
            "latestRevision": {"type": "boolean", "description": "Whether it follows the newest ready revision."},
            "percent": _about(COUNT, "0 to 100; all together 100."),
            "revisionName": _about(TEXT, "Which revision; not together with configurationName."),
            "tag": _about(TEXT, "A name that gives this target a URL of its own."),
            "url": _about(TEXT, "Status only: the URL of the tag."),
        }
    )


def _container(container: Schema) -> Schema:
    """Knative gives a container a name where it has none."""
    schema = copy.deepcopy(container)
    schema.pop("required", None)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        schema["properties"][name] = _about(_ref(f"{PACKAGE}.Probe"), schema["properties"][name].get("description", ""))
    return schema


def _probe(probe: Schema) -> Schema:
    schema = copy.deepcopy(probe)
    for name, handler in HANDLERS.items():
        schema["properties"][name] = _about(
            _ref(f"{PACKAGE}.{handler}"), schema["properties"][name].get("description", "")
        )
    return schema


def _without_port(handler: Schema) -> Schema:
    """A revision serves on one port, so a probe need not say which."""
    schema = copy.deepcopy(handler)
    schema["required"] = [name for name in schema.get("required", ()) if name != "port"]
    return schema if schema["required"] else {key: value for key, value in schema.items() if key != "required"}


def _revision_spec(pod_spec: Schema) -> Schema:
    schema = copy.deepcopy(pod_spec)
    properties = schema["properties"]
    for name in ("containers", "initContainers"):
        # Containers without a name cannot be told apart by it: the list is replaced as a whole.
        properties[name] = _list(_ref(f"{PACKAGE}.Container"), properties[name].get("description", ""))
    properties |= {
        "containerConcurrency": _about(COUNT, "Requests that one pod may have at once; 0 is no limit."),
        "timeoutSeconds": _about(COUNT, "The longest a request may take."),
        "responseStartTimeoutSeconds": _about(COUNT, "The longest until the first byte of the answer."),
        "idleTimeoutSeconds": _about(COUNT, "The longest silence within an answer."),
    }
    schema["description"] = "What a revision runs: a PodSpec with limits on requests."
    schema["required"] = ["containers"]
    schema["properties"] = dict(sorted(properties.items()))
    return schema

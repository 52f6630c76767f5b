"""Pods and the templates for them: what Kubernetes refuses, as far as a laptop's pods can have it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torpor.local.apiserver.status import (
    Cause,
    duplicate,
    forbidden_field,
    missing,
    unsupported,
    wrong,
)
from torpor.local.apiserver.validation.metadata import (
    name_problems,
    validate_annotations,
    validate_labels,
)
from torpor.spec.kinds import Object

_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_ENV_RULE = (
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not "
    "start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is "
    "'[-._a-zA-Z][-._a-zA-Z0-9]*')"
)
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")


def validate_pod(new: Object, old: Object | None) -> list[Cause]:
    if old is None:
        return validate_pod_spec(new.get("spec") or {}, "spec")
    return _pod_update(new.get("spec") or {}, old.get("spec") or {})


def validate_template(template: Any, path: str) -> list[Cause]:
    """Check a pod template: its metadata and spec."""
    metadata = template.get("metadata") or {}
    return [
        *validate_labels(metadata.get("labels"), f"{path}.metadata.labels"),
        *validate_annotations(metadata.get("annotations"), f"{path}.metadata.annotations"),
        *validate_pod_spec(template.get("spec") or {}, f"{path}.spec"),
    ]


def validate_pod_spec(spec: Any, path: str) -> list[Cause]:
    containers = spec.get("containers") or []
    if not containers:
        return [missing(f"{path}.containers")]
    volumes = [volume.get("name", "") for volume in spec.get("volumes") or ()]
    causes = _unique(volumes, f"{path}.volumes", "name")
    lists = (("containers", containers), ("initContainers", spec.get("initContainers") or []))
    for field, listed in lists:
        for index, container in enumerate(listed):
            causes += validate_container(container, f"{path}.{field}[{index}]", volumes)
    names = [container.get("name", "") for _, listed in lists for container in listed]
    causes += _unique([name for name in names if name], f"{path}.containers", "name")
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        text = "must be greater than or equal to 0"
        causes.append(wrong(f"{path}.terminationGracePeriodSeconds", grace, text))
    policy = spec.get("restartPolicy")
    if policy not in {None, "Always", "OnFailure", "Never"}:
        causes.append(unsupported(f"{path}.restartPolicy", policy, ("Always", "OnFailure", "Never")))
    return causes


def validate_container(container: Any, path: str, volumes: Iterable[str]) -> list[Cause]:
    name = container.get("name", "")
    causes = [wrong(f"{path}.name", name, text) for text in name_problems(name, "label")] if name else []
    if not name:
        causes.append(missing(f"{path}.name"))
    if not container.get("image"):
        causes.append(missing(f"{path}.image"))
    for index, item in enumerate(container.get("env") or ()):
        causes += _env(item, f"{path}.env[{index}]")
    for index, port in enumerate(container.get("ports") or ()):
        causes += _port(port, f"{path}.ports[{index}]")
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            name = mount.get("name", "")
            where = f"{path}.volumeMounts[{index}].name"
            causes.append(Cause(where, "FieldValueNotFound", f'Not found: "{name}"'))
    mounts = [mount.get("mountPath", "") for mount in container.get("volumeMounts") or ()]
    causes += _unique(mounts, f"{path}.volumeMounts", "mountPath", "must be unique")
    for field in _PROBES:
        if field in container:
            causes += _probe(container[field], f"{path}.{field}")
    return causes


def _env(item: Any, path: str) -> list[Cause]:
    name = item.get("name", "")
    if not name:
        return [missing(f"{path}.name")]
    causes = [] if _ENV_NAME.fullmatch(name) else [wrong(f"{path}.name", name, _ENV_RULE)]
    source = item.get("valueFrom")
    if source is not None:
        if item.get("value"):
            causes.append(wrong(f"{path}.valueFrom", "", "may not be specified when `value` is not empty"))
        if len(source) != 1:
            text = (
                "must specify one of: `configMapKeyRef`, `fieldRef`, `fileKeyRef`, `resourceFieldRef`, `secretKeyRef`"
            )
            more = "may not have more than one field specified at a time"
            causes.append(wrong(f"{path}.valueFrom", "", more if source else text))
    return causes


def _port(port: Any, path: str) -> list[Cause]:
    causes = port_problems(port.get("containerPort"), f"{path}.containerPort")
    protocol = port.get("protocol", "TCP")
    if protocol not in {"TCP", "UDP", "SCTP"}:
        causes.append(unsupported(f"{path}.protocol", protocol, ("SCTP", "TCP", "UDP")))
    return causes


def port_problems(port: Any, path: str) -> list[Cause]:
    """Check a port number; a name is left to whoever resolves it."""
    if isinstance(port, int) and not 1 <= port <= 65535:
        return [wrong(path, port, "must be between 1 and 65535, inclusive")]
    return []


def _probe(probe: Any, path: str) -> list[Cause]:
    handlers = [name for name in _HANDLERS if name in probe]
    if not handlers:
        return [missing(path, "must specify a handler type")]
    causes = [forbidden_field(f"{path}.{name}", "may not specify more than 1 handler type") for name in handlers[1:]]
    numbers = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
    causes += [
        wrong(f"{path}.{name}", probe[name], "must be greater than or equal to 0")
        for name in numbers
        if (probe.get(name) or 0) < 0
    ]
    for name in ("httpGet", "tcpSocket"):
        if name in probe:
            causes += port_problems(probe[name].get("port"), f"{path}.{name}.port")
    return causes


def _unique(values: Iterable[str], path: str, key: str, detail: str = "") -> list[Cause]:
    seen: set[str] = set()
    causes: list[Cause] = []
    for index, value in enumerate(values):
        if value in seen:
            where = f"{path}[{index}].{key}"
            causes.append(wrong(where, value, detail) if detail else duplicate(where, value))
        seen.add(value)
    return causes


_MUTABLE = ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "nodeName", "schedulingGates")


def _pod_update(new: Any, old: Any) -> list[Cause]:
    """A pod's spec is what runs: only images, and little else, may change."""

    def fixed(spec: Any) -> Any:
        rest = {key: value for key, value in spec.items() if key not in _MUTABLE}
        for name in ("containers", "initContainers"):
            if name in rest:
                rest[name] = [{**container, "image": ""} for container in rest[name]]
        return rest

    causes: list[Cause] = []
    if fixed(new) != fixed(old):
        text = (
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds`"
        )
        causes.append(forbidden_field("spec", text))
    if old.get("nodeName") and new.get("nodeName") != old["nodeName"]:
        causes.append(forbidden_field("spec.nodeName", "a pod that has a node stays there"))
    return causes

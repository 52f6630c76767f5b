"""Kubernetes' own kinds other than Pod: what it refuses beyond the schema."""

from __future__ import annotations

import re
from typing import Any

from torpor.local.apiserver.selectors import Requirement
from torpor.local.apiserver.status import Cause, forbidden_field, missing, unsupported, wrong
from torpor.local.apiserver.validation.metadata import name_problems, validate_labels
from torpor.local.apiserver.validation.pods import port_problems, validate_template
from torpor.spec.kinds import Object

_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
MAX_DATA = 1024 * 1024
_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent"}


def validate_deployment(new: Object, old: Object | None) -> list[Cause]:
    spec = new.get("spec") or {}
    selector = spec.get("selector")
    template = spec.get("template") or {}
    causes = validate_template(template, "spec.template")
    replicas = spec.get("replicas", 1)
    if replicas < 0:
        causes.append(wrong("spec.replicas", replicas, "must be greater than or equal to 0"))
    if not selector:
        return [*causes, missing("spec.selector")]
    causes += validate_labels(selector.get("matchLabels"), "spec.selector.matchLabels")
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not causes and not _selects(selector, labels):
        causes.append(wrong("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"))
    policy = (template.get("spec") or {}).get("restartPolicy", "Always")
    if policy != "Always":
        causes.append(unsupported("spec.template.spec.restartPolicy", policy, ("Always",)))
    if old is not None and selector != (old.get("spec") or {}).get("selector"):
        causes.append(wrong("spec.selector", selector, "field is immutable"))
    return causes


def _selects(selector: Any, labels: Any) -> bool:
    requirements = [
        Requirement(key, "in", frozenset({value})) for key, value in (selector.get("matchLabels") or {}).items()
    ]
    for each in selector.get("matchExpressions") or ():
        operator: Any = _OPERATORS.get(each.get("operator"), "absent")
        requirements.append(Requirement(each.get("key", ""), operator, frozenset(each.get("values") or ())))
    return all(requirement.matches(labels) for requirement in requirements)


def validate_core_service(new: Object, old: Object | None) -> list[Cause]:
    del old
    spec = new.get("spec") or {}
    ports = spec.get("ports") or []
    type_ = spec.get("type", "ClusterIP")
    causes: list[Cause] = []
    if type_ not in {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"}:
        allowed = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
        causes.append(unsupported("spec.type", type_, allowed))
    if not ports and type_ != "ExternalName" and spec.get("clusterIP") != "None":
        causes.append(missing("spec.ports"))
    names: set[str] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        causes += port_problems(port.get("port"), f"{path}.port")
        causes += port_problems(port.get("targetPort"), f"{path}.targetPort")
        name = port.get("name", "")
        if len(ports) > 1 and not name:
            causes.append(missing(f"{path}.name"))
        elif name in names:
            causes.append(Cause(f"{path}.name", "FieldValueDuplicate", f'Duplicate value: "{name}"'))
        names.add(name)
    return causes


def validate_config_map(new: Object, old: Object | None) -> list[Cause]:
    data, binary = new.get("data") or {}, new.get("binaryData") or {}
    causes = [*_keys(data, "data"), *_keys(binary, "binaryData")]
    causes += [wrong(f"data[{key}]", key, "duplicate of key present in binaryData") for key in data if key in binary]
    causes += _size([*data.values(), *binary.values()])
    return causes + _immutable(new, old, ("data", "binaryData"))


def validate_secret(new: Object, old: Object | None) -> list[Cause]:
    data = new.get("data") or {}
    causes = [*_keys(data, "data"), *_size(data.values())]
    if old is not None and new.get("type") != old.get("type"):
        causes.append(wrong("type", new.get("type"), "field is immutable"))
    return causes + _immutable(new, old, ("data",))


def _keys(data: Any, path: str) -> list[Cause]:
    return [wrong(f"{path}[{key}]", key, _KEY_RULE) for key in data if not _KEY.fullmatch(key) or key in {".", ".."}]


def _size(values: Any) -> list[Cause]:
    if sum(len(value) for value in values) <= MAX_DATA:
        return []
    return [Cause("", "FieldValueTooLong", f"Too long: may not be more than {MAX_DATA} bytes")]


def _immutable(new: Object, old: Object | None, fields: tuple[str, ...]) -> list[Cause]:
    if old is None or not old.get("immutable"):
        return []
    text = "field is immutable when `immutable` is set"
    changed = [forbidden_field(name, text) for name in fields if new.get(name) != old.get(name)]
    return changed if new.get("immutable") else [*changed, forbidden_field("immutable", text)]


def validate_event(new: Object, old: Object | None) -> list[Cause]:
    del old
    about = (new.get("involvedObject") or {}).get("namespace") or "default"
    if about != new["metadata"].get("namespace"):
        return [wrong("involvedObject.namespace", about, "does not match event.namespace")]
    return []


def validate_endpoint_slice(new: Object, old: Object | None) -> list[Cause]:
    type_ = new.get("addressType", "")
    causes: list[Cause] = []
    if type_ not in {"IPv4", "IPv6", "FQDN"}:
        causes.append(unsupported("addressType", type_, ("FQDN", "IPv4", "IPv6")))
    if old is not None and type_ != old.get("addressType"):
        causes.append(wrong("addressType", type_, "field is immutable"))
    for index, endpoint in enumerate(new.get("endpoints") or ()):
        if not endpoint.get("addresses"):
            causes.append(missing(f"endpoints[{index}].addresses", "must contain at least 1 address"))
    return causes


def validate_lease(new: Object, old: Object | None) -> list[Cause]:
    del old
    duration = (new.get("spec") or {}).get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        return [wrong("spec.leaseDurationSeconds", duration, "must be greater than 0")]
    return []


def validate_service_account(new: Object, old: Object | None) -> list[Cause]:
    del old
    names = [reference.get("name", "") for reference in new.get("secrets") or ()]
    return [
        wrong(f"secrets[{index}].name", name, text) for index, name in enumerate(names) for text in name_problems(name)
    ]

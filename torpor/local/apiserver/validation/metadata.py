"""Names, labels, annotations and owners, in Kubernetes' words."""

from __future__ import annotations

import re
from typing import Any

from torpor.local.apiserver.kinds.resource import NameRule
from torpor.local.apiserver.status import Cause, forbidden_field, missing, wrong
from torpor.spec.kinds import Object

MAX_ANNOTATIONS = 256 * 1024

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

SUBDOMAIN = re.compile(_SUBDOMAIN)
LABEL = re.compile(_LABEL)
QUALIFIED = re.compile(_QUALIFIED)

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_LABEL_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    f"'{_LABEL_1035}')"
)
_QUALIFIED_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'({_QUALIFIED})?')"
)
_RULES: dict[NameRule, tuple[re.Pattern[str], int, str]] = {
    "subdomain": (SUBDOMAIN, 253, _SUBDOMAIN_RULE),
    "label": (LABEL, 63, _LABEL_RULE),
    "label1035": (re.compile(_LABEL_1035), 63, _LABEL_1035_RULE),
}


def name_problems(name: str, rule: NameRule = "subdomain") -> list[str]:
    """Return what is wrong with a name."""
    pattern, limit, text = _RULES[rule]
    found = [f"must be no more than {limit} bytes"] if len(name) > limit else []
    return found if pattern.fullmatch(name) else [*found, text]


def validate_metadata(obj: Object, rule: NameRule) -> list[Cause]:
    """Check `metadata` of an object whose types are right."""
    metadata = obj["metadata"]
    name = metadata.get("name", "")
    if not name:
        return [missing("metadata.name", "name or generateName is required")]
    causes = [wrong("metadata.name", name, text) for text in name_problems(name, rule)]
    causes += validate_labels(metadata.get("labels"), "metadata.labels")
    causes += validate_annotations(metadata.get("annotations"), "metadata.annotations")
    causes += _finalizers(metadata.get("finalizers") or ())
    causes += _owners(metadata.get("ownerReferences") or ())
    return causes


def validate_labels(labels: Any, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for key, value in (labels or {}).items():
        causes += [wrong(path, key, text) for text in key_problems(key)]
        if len(value) > 63:
            causes.append(wrong(path, value, "must be no more than 63 bytes"))
        if value and not QUALIFIED.fullmatch(value):
            causes.append(wrong(path, value, _VALUE_RULE))
    return causes


def validate_annotations(annotations: Any, path: str) -> list[Cause]:
    causes = [wrong(path, key, text) for key in annotations or {} for text in key_problems(key.lower())]
    size = sum(len(key) + len(value.encode()) for key, value in (annotations or {}).items())
    if size > MAX_ANNOTATIONS:
        causes.append(Cause(path, "FieldValueTooLong", f"Too long: may not be more than {MAX_ANNOTATIONS} bytes"))
    return causes


def key_problems(key: str) -> list[str]:
    """Return what is wrong with the key of a label or annotation."""
    prefix, slash, name = key.rpartition("/")
    found: list[str] = []
    if slash and (not prefix or not SUBDOMAIN.fullmatch(prefix) or len(prefix) > 253):
        found.append(f"prefix part {_SUBDOMAIN_RULE}" if prefix else "prefix part must be non-empty")
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > 63:
        found.append("name part must be no more than 63 bytes")
    if not QUALIFIED.fullmatch(name):
        found.append(_QUALIFIED_RULE)
    return found


def _finalizers(finalizers: Any) -> list[Cause]:
    causes = [wrong("metadata.finalizers", each, text) for each in finalizers for text in key_problems(each)]
    for index, each in enumerate(finalizers):
        # One without a domain is Kubernetes' own, and it has these two.
        if "/" not in each and each not in {"foregroundDeletion", "orphan", "kubernetes"}:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            causes.append(wrong(f"metadata.finalizers[{index}]", each, text))
    return causes


def _owners(owners: Any) -> list[Cause]:
    causes: list[Cause] = []
    for index, owner in enumerate(owners):
        path = f"metadata.ownerReferences[{index}]"
        causes += [missing(f"{path}.{key}") for key in ("apiVersion", "kind", "name", "uid") if not owner.get(key)]
    if sum(1 for owner in owners if owner.get("controller")) > 1:
        text = "Only one reference can have Controller set to true"
        causes.append(wrong("metadata.ownerReferences", owners, text))
    return causes


def validate_unchanged(new: Object, old: Object) -> list[Cause]:
    """Check that an update does not touch what an object keeps for life."""
    causes: list[Cause] = []
    if old["metadata"].get("deletionTimestamp"):
        was = set(old["metadata"].get("finalizers") or ())
        added = [each for each in new["metadata"].get("finalizers") or () if each not in was]
        if added:
            text = f"no new finalizers can be added if the object is being deleted, found new finalizers {added}"
            causes.append(forbidden_field("metadata.finalizers", text))
    return causes

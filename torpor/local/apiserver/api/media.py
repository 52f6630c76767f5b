"""Which form of an answer a client asks for: the object, its metadata alone, or rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torpor.local.apiserver.status import not_acceptable

Form = Literal["object", "table", "metadata"]

_FORMS: dict[str, Form] = {
    "table": "table",
    "partialobjectmetadata": "metadata",
    "partialobjectmetadatalist": "metadata",
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """One form that the client takes."""

    form: Form
    version: str = "v1"
    """Of meta.k8s.io, for tables and metadata."""


@dataclass(frozen=True, slots=True)
class Media:
    """One entry of an Accept header."""

    type: str
    parameters: dict[str, str]


def parse_accept(header: str) -> list[Media]:
    """Return the entries in the order in which they are written, which is how Kubernetes' clients rank them."""
    found: list[Media] = []
    for entry in header.split(","):
        type_, *rest = (part.strip().lower() for part in entry.split(";"))
        if type_:
            pairs = (part.partition("=") for part in rest)
            found.append(Media(type_, {key.strip(): value.strip() for key, _, value in pairs}))
    return found


def accepted(header: str) -> Accepted:
    """Return the first form that is served here; raises a 406 if there is none."""
    entries = parse_accept(header)
    if not entries:
        return Accepted("object")
    for entry in entries:
        if entry.type not in {"application/json", "application/*", "*/*"}:
            continue
        if "as" not in entry.parameters:
            return Accepted("object")
        form = _FORMS.get(entry.parameters["as"])
        version = entry.parameters.get("v", "v1")
        if form and entry.parameters.get("g") == "meta.k8s.io" and version in {"v1", "v1beta1"}:
            return Accepted(form, version)
    raise not_acceptable("application/json")

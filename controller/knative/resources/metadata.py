"""Labels and annotations, and what is handed on of them. Pure."""

from __future__ import annotations

from controller.ownership import controller_reference
from torpor.spec import names
from torpor.spec.kinds import Kind, Object


def labels_of(obj: Object) -> dict[str, str]:
    return dict(obj["metadata"].get("labels") or {})


def annotations_of(obj: Object) -> dict[str, str]:
    return dict(obj["metadata"].get("annotations") or {})


def handed_on(obj: Object) -> dict[str, str]:
    """Return the annotations that children get too: not what kubectl keeps for itself about this very object."""
    return {key: value for key, value in annotations_of(obj).items() if key != names.LAST_APPLIED}


def child(kind: Kind, owner_kind: Kind, owner: Object, name: str, **metadata: dict[str, str]) -> Object:
    """Return the beginning of an object that `owner` controls; labels and annotations only where there are some."""
    given = {key: value for key, value in metadata.items() if value}
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            **given,
            "ownerReferences": [controller_reference(owner_kind, owner)],
        },
    }

"""Who owns whom: the controller reference, through which deletion cascades."""

from __future__ import annotations

from torpor.spec.kinds import Kind, Object


def controller_reference(kind: Kind, owner: Object) -> Object:
    """Return the ownerReference that a child of `owner` carries."""
    metadata = owner["metadata"]
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_controlled_by(child: Object, owner: Object) -> bool:
    """Tell whether `owner`, in this very incarnation, is the controller of `child`."""
    uid = owner["metadata"]["uid"]
    return any(reference.get("controller") and reference.get("uid") == uid for reference in references(child))


def references(child: Object) -> list[Object]:
    return list(child["metadata"].get("ownerReferences") or ())


def controller_name(child: Object, kind: Kind) -> str | None:
    """Return the name of the `kind` that controls `child`, if one does."""
    group = kind.group
    for reference in references(child):
        if (
            reference.get("controller")
            and reference["kind"] == kind.kind
            and reference["apiVersion"].startswith(f"{group}/")
        ):
            return str(reference["name"])
    return None

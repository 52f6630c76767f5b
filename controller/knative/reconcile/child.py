"""One child of an object: make it, bring it to what is wanted, or find that its name is taken. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controller.compare import covers
from controller.ownership import is_controlled_by
from controller.plan import NOTHING, Note, Plan, Write
from torpor.spec.conditions import Mark, failed
from torpor.spec.kinds import Kind, Object

NOT_OWNED = "NotOwned"


@dataclass(frozen=True, slots=True)
class Child:
    """A child as it was found, and what is to be done about it."""

    kind: Kind
    there: Object | None
    plan: Plan = NOTHING
    foreign: Mark | None = None
    """Its name is taken by an object that is not ours."""

    @property
    def current(self) -> bool:
        """Whether what it says of itself is about what is wanted now."""
        if self.there is None or self.foreign is not None or self.plan != NOTHING:
            return False
        return bool(observed(self.there).get("observedGeneration") == self.there["metadata"].get("generation"))


def keep(kind: Kind, owner: Object, there: Object | None, wanted: Object, *, exact: bool = True) -> Child:
    """Return the child, to be created or replaced where it is not what is wanted.

    `exact`: labels and annotations that are not wanted go; otherwise they are somebody else's and stay.
    """
    if there is None:
        note = Note("Normal", "Created", f'Created {kind.kind} "{wanted["metadata"]["name"]}"')
        return Child(kind, None, Plan(creates=(Write(kind, wanted),), notes=(note,)))
    if not is_controlled_by(there, owner):
        return Child(kind, there, foreign=not_owned(kind.kind, there["metadata"]["name"]))
    if _is_as_wanted(there, wanted, exact=exact):
        return Child(kind, there)
    return Child(kind, there, Plan(replaces=(Write(kind, replacement(there, wanted, exact=exact)),)))


def not_owned(what: str, name: str) -> Mark:
    return failed(NOT_OWNED, f'There is an existing {what} "{name}" that we do not own.')


def replacement(there: Object, wanted: Object, *, exact: bool) -> Object:
    """Return what is there with the spec that is wanted; what else others wrote into its metadata stays."""
    metadata = dict(there["metadata"])
    for field in ("labels", "annotations"):
        given = wanted["metadata"].get(field) or {}
        metadata[field] = given if exact else {**(metadata.get(field) or {}), **given}
    spec = wanted["spec"] if exact else {**there["spec"], **wanted["spec"]}
    return {**there, "metadata": metadata, "spec": spec}


def observed(obj: Object) -> Object:
    """Return an object's status; it may have none yet."""
    return obj.get("status") or {}


def _is_as_wanted(there: Object, wanted: Object, *, exact: bool) -> bool:
    if not exact:
        parts = {"metadata": {key: wanted["metadata"].get(key) or {} for key in ("labels", "annotations")}}
        have = {key: there["metadata"].get(key) or {} for key in ("labels", "annotations")}
        return covers({"metadata": have, "spec": there.get("spec")}, {**parts, "spec": wanted["spec"]})
    same = all(
        (there["metadata"].get(field) or {}) == (wanted["metadata"].get(field) or {})
        for field in ("labels", "annotations")
    )
    return same and bool(there.get("spec") == wanted["spec"])

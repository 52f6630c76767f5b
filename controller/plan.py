"""What a reconciler decided: the writes it wants, in the order in which they are made. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torpor.spec.kinds import Kind, Object


@dataclass(frozen=True, slots=True)
class Write:
    """An object to be created, or replaced as it was seen (its resourceVersion decides)."""

    kind: Kind
    obj: Object


@dataclass(frozen=True, slots=True)
class Delete:
    """An object to be deleted, in this incarnation of its name only."""

    kind: Kind
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Note:
    """An event about the object itself, told when what the plan writes is written: a plan without writes tells nothing.

    So a look that finds nothing to do never tells the same again.
    """

    type_: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one look at one object leads to. The default is: nothing to do."""

    creates: tuple[Write, ...] = ()
    replaces: tuple[Write, ...] = ()
    deletes: tuple[Delete, ...] = ()
    status: Object | None = None
    """The object's new status; None: it is right as it is."""
    notes: tuple[Note, ...] = ()
    again_s: float | None = None
    """Look once more after this long, although nothing may have changed."""

    def __add__(self, other: Plan) -> Plan:
        """Do both, this one's writes first; a status only one of them may have."""
        waits = [plan.again_s for plan in (self, other) if plan.again_s is not None]
        return Plan(
            creates=self.creates + other.creates,
            replaces=self.replaces + other.replaces,
            deletes=self.deletes + other.deletes,
            status=other.status if self.status is None else self.status,
            notes=self.notes + other.notes,
            again_s=min(waits, default=None),
        )

    def with_status(self, status: Object | None, *notes: Note) -> Plan:
        """Return the same with a status to write, and what is told when it is written."""
        return replace(self, status=status, notes=self.notes + notes)


NOTHING = Plan()


def delete_of(kind: Kind, obj: Object) -> Delete:
    """Return the deletion of an object as it was seen."""
    metadata = obj["metadata"]
    return Delete(kind, metadata.get("namespace", ""), metadata["name"], metadata["uid"])


def status_change(obj: Object, wanted: Object) -> Object | None:
    """Return the status to write, or None where the object has it already."""
    return None if obj.get("status") == wanted else wanted

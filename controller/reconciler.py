"""What a reconciler is: how it looks, what it decides, and whose changes make it look again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from controller.options import Options
from controller.ownership import controller_name
from controller.plan import Plan
from controller.view import Index, View
from torpor.kube.informer import Key
from torpor.spec.kinds import Kind, Object

S = TypeVar("S")

Keys = Callable[[View, Object], Iterable[Key]]
"""Which objects to look at again when this one came, changed or went. Called with the old object and with the new."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Another kind whose changes matter."""

    kind: Kind
    keys: Keys
    labels: str = ""
    """Only objects that this label selector fits. Of several watches of one kind, one without wins."""


@dataclass(frozen=True, slots=True)
class Reconciler(Generic[S]):
    """Makes the cluster match the objects of one kind.

    `observe` is the only part that looks anywhere: it returns a frozen dataclass of what this reconciler goes by.
    `reconcile(obj, seen, options, now)` is pure; `now` is what a condition gets as its time when it changes.
    Objects that are being deleted are not looked at: what they own goes with them.
    """

    kind: Kind
    observe: Callable[[View, Object], S]
    reconcile: Callable[[Object, S, Options, str], Plan]
    watches: tuple[Watch, ...] = ()
    indexes: tuple[tuple[Kind, Index], ...] = ()
    """Indexes of its own, for `View.by`."""


def controlled_by(kind: Kind) -> Keys:
    """Look again at the `kind` that controls the object which changed."""

    def keys(_view: View, obj: Object) -> Iterable[Key]:
        name = controller_name(obj, kind)
        return () if name is None else ((obj["metadata"].get("namespace", ""), name),)

    return keys


def labelled_with(label: str) -> Keys:
    """Look again at the object whose name the one that changed has in a label."""

    def keys(_view: View, obj: Object) -> Iterable[Key]:
        name = (obj["metadata"].get("labels") or {}).get(label)
        return ((obj["metadata"].get("namespace", ""), name),) if name else ()

    return keys

"""What the controller sees: the informers' objects, found by name, by owner, by label, or by an index of one's own."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from controller.ownership import references
from torpor.kube import Change, Informer
from torpor.kube.informer import Key
from torpor.spec.kinds import Kind, Object, key_of


@dataclass(frozen=True, slots=True)
class Index:
    """A way to find objects: under each of the values that `of` gives for one."""

    name: str
    of: Callable[[Object], Iterable[Hashable]]


def _owner_uids(obj: Object) -> Iterable[Hashable]:
    return (reference["uid"] for reference in references(obj) if reference.get("controller"))


def _labels(obj: Object) -> Iterable[Hashable]:
    metadata = obj["metadata"]
    namespace = metadata.get("namespace", "")
    return ((namespace, label, value) for label, value in (metadata.get("labels") or {}).items())


OWNER = Index("owner", _owner_uids)
LABEL = Index("label", _labels)


class View:
    """All kinds that are watched. Objects are shared: whoever reads them must not change them."""

    def __init__(self, informers: Iterable[Informer], indexes: Iterable[tuple[Kind, Index]] = ()) -> None:
        self._informers = {informer.kind: informer for informer in informers}
        # By kind and index: under each value the objects' keys, in the order in which they came.
        self._found: dict[tuple[Kind, str], dict[Hashable, dict[Key, None]]] = {}
        every = [(kind, index) for kind in self._informers for index in (OWNER, LABEL)]
        for kind, index in (*every, *indexes):
            self._add(self._informers[kind], index)

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        return self._informers[kind].get(name, namespace)

    def all(self, kind: Kind) -> list[Object]:
        return list(self._informers[kind].items.values())

    def owned(self, kind: Kind, owner: Object) -> list[Object]:
        """Return the objects of `kind` whose controller is `owner`, in this incarnation, by name."""
        return self.by(kind, OWNER, owner["metadata"]["uid"])

    def labelled(self, kind: Kind, namespace: str, label: str, value: str) -> list[Object]:
        """Return the objects of `kind` in a namespace that have this label with this value, by name."""
        return self.by(kind, LABEL, (namespace, label, value))

    def by(self, kind: Kind, index: Index, value: Hashable) -> list[Object]:
        """Return the objects under a value of an index, by name."""
        items = self._informers[kind].items
        return [items[key] for key in sorted(self._found[kind, index.name].get(value, ()))]

    def _add(self, informer: Informer, index: Index) -> None:
        found = self._found.setdefault((informer.kind, index.name), {})

        def keep(change: Change) -> None:
            for obj, there in ((change.old, False), (change.new, True)):
                for value in () if obj is None else index.of(obj):
                    if there:
                        found.setdefault(value, {})[change.key] = None
                    elif value in found:
                        found[value].pop(change.key, None)
                        if not found[value]:
                            del found[value]

        for obj in informer.items.values():
            keep(Change(informer.kind, key_of(obj), None, obj))
        informer.subscribe(keep)

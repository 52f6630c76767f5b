"""What holds for all revisions of this cluster: Knative's ConfigMaps, read anew when they have changed."""

from __future__ import annotations

from typing import Generic, TypeVar

from torpor.local.apiserver.store import Store
from torpor.spec.cluster import ClusterWide
from torpor.spec.clusterrevisions import REVISIONS
from torpor.spec.clusterscaling import SCALING
from torpor.spec.configmap import NAMESPACE, Page, Values
from torpor.spec.kinds import CONFIG_MAP

T = TypeVar("T", bound=Values)


class Wide:
    """Who admits objects asks for it. What cannot be used others tell about: the controller and the autoscaler."""

    def __init__(self, store: Store) -> None:
        self._scaling = _Read(store, SCALING)
        self._revisions = _Read(store, REVISIONS)

    def now(self) -> ClusterWide:
        """Return what holds at this moment."""
        return ClusterWide(self._scaling.now(), self._revisions.now())


class _Read(Generic[T]):
    """One ConfigMap, as it was read last."""

    def __init__(self, store: Store, page: Page[T]) -> None:
        self._store = store
        self._page = page
        self._value = page.blank
        self._version = 0

    def now(self) -> T:
        stored = self._store.get(CONFIG_MAP, NAMESPACE, self._page.name)
        version = 0 if stored is None else stored.version
        if version != self._version:
            data = {} if stored is None else stored.object().get("data") or {}
            self._value, _ = self._page.read(data, self._value)
            self._version = version
        return self._value

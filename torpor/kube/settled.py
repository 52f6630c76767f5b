"""Follow a ConfigMap whose values hold for a whole cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from torpor.kube.client import Cluster
from torpor.kube.events import Recorder
from torpor.kube.informer import Change, Informer
from torpor.spec.configmap import NAMESPACE, Page, Values
from torpor.spec.kinds import CONFIG_MAP

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Values)


class Settled(Generic[T]):
    """What it says now. Without it, or without a key, the built-in values hold; a bad value changes nothing."""

    def __init__(
        self, cluster: Cluster, page: Page[T], use: Callable[[T], None], recorder: Recorder | None = None
    ) -> None:
        """`use` is called with what holds from now on; `informer` is to be run.

        `recorder`: tells of what cannot be used, by events; None: another of our processes does that.
        """
        self.current = page.blank
        self._page = page
        self._use = use
        self._recorder = recorder
        self.informer = Informer(
            cluster, CONFIG_MAP, self.changed, namespace=NAMESPACE, fields=f"metadata.name={page.name}"
        )

    def changed(self, change: Change) -> None:
        """The ConfigMap came, changed, or went."""
        where = (NAMESPACE, self._page.name)
        if change.key != where:
            return
        data = {} if change.new is None else change.new.get("data") or {}
        fresh, errors = self._page.read(data, self.current)
        if news := self._page.differences(self.current, fresh):
            log.info("ConfigMap %s/%s: from now on: %s", *where, ", ".join(news))
            self.current = fresh
            self._use(fresh)
        for error in errors:
            said = f"what was there before is used on: {error}"
            log.warning("ConfigMap %s/%s: %s", *where, said)
            if change.new is not None and self._recorder is not None:
                self._recorder.emit(change.new, "Warning", "InvalidConfiguration", said)

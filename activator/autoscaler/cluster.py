"""Follow Knative's ConfigMap `config-autoscaler`, whose values hold for every revision that does not say otherwise."""

from __future__ import annotations

import logging
from collections.abc import Callable

from torpor.kube import Change, Cluster, Informer, Recorder
from torpor.spec.autoscaling import Defaults
from torpor.spec.clusterscaling import NAME, NAMESPACE, differences, read_defaults
from torpor.spec.kinds import CONFIG_MAP

log = logging.getLogger(__name__)


class ClusterDefaults:
    """What it says now. Without it, or without a key, Knative's own defaults hold; a bad value changes nothing."""

    def __init__(self, cluster: Cluster, recorder: Recorder, use: Callable[[Defaults], None]) -> None:
        """`use` is called with what holds from now on; `informer` is to be run."""
        self.current = Defaults()
        self._recorder = recorder
        self._use = use
        self.informer = Informer(cluster, CONFIG_MAP, self.changed, namespace=NAMESPACE, fields=f"metadata.name={NAME}")

    def changed(self, change: Change) -> None:
        """The ConfigMap came, changed, or went."""
        if change.key != (NAMESPACE, NAME):
            return
        data = {} if change.new is None else change.new.get("data") or {}
        fresh, errors = read_defaults(data, self.current)
        news = differences(self.current, fresh)
        if news:
            log.info("ConfigMap %s/%s: for all revisions from now on: %s", NAMESPACE, NAME, ", ".join(news))
            self.current = fresh
            self._use(fresh)
        for error in errors:
            log.warning("ConfigMap %s/%s: what was there before is used on: %s", NAMESPACE, NAME, error)
            if change.new is not None:
                said = f"what was there before is used on: {error}"
                self._recorder.emit(change.new, "Warning", "InvalidConfiguration", said)

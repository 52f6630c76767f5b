"""What holds for every revision of a cluster, as far as its owner has said so in Knative's ConfigMaps."""

from __future__ import annotations

from dataclasses import dataclass

from torpor.spec.autoscaling import Defaults
from torpor.spec.knative import BUILT_IN as BUILT_IN_REVISIONS
from torpor.spec.knative import RevisionDefaults

KNATIVES = Defaults()


@dataclass(frozen=True, slots=True)
class ClusterWide:
    """`config-autoscaler` and `config-defaults`."""

    scaling: Defaults = KNATIVES
    revisions: RevisionDefaults = BUILT_IN_REVISIONS


BUILT_IN = ClusterWide()
"""Without any ConfigMap."""

"""What the activator reads of objects, and so keeps: where 10,000 services sleep the rest would be most of its memory.

Whoever reads more adds it here; a test follows what is read.
"""

from __future__ import annotations

from collections.abc import Mapping

from torpor.kube import Cluster, Informer
from torpor.kube.trim import Leaf, Once, Shape, trimmer
from torpor.spec import names
from torpor.spec.kinds import CONFIGURATION, DEPLOYMENT, ENDPOINT_SLICE, POD, REVISION, ROUTE, Kind

OWN, COMMON = Leaf.OWN, Leaf.COMMON

_TORPORS = "torpor.dev/"
_CONDITIONS = Once({"type": OWN, "status": OWN, "reason": OWN, "message": OWN})
_NAMED: Shape = {"name": COMMON, "namespace": COMMON, "uid": OWN, "resourceVersion": OWN}
"""COMMON: other objects have that name too, or name this one."""
_HEAD: Shape = {"apiVersion": COMMON, "kind": COMMON, "metadata": _NAMED}

SHAPES: Mapping[Kind, Shape] = {
    ROUTE: {
        **_HEAD,
        "metadata": {
            **_NAMED,
            "annotations": Once({_TORPORS: OWN}),
            "ownerReferences": {"apiVersion": COMMON, "kind": COMMON, "name": COMMON, "uid": OWN, "controller": OWN},
        },
        "spec": {"traffic": {"revisionName": COMMON, "configurationName": COMMON, "percent": OWN, "tag": COMMON}},
        "status": {
            "url": COMMON,
            "address": {"url": COMMON},
            "traffic": {"revisionName": COMMON, "percent": OWN, "tag": COMMON, "url": COMMON},
            "conditions": _CONDITIONS,
        },
    },
    CONFIGURATION: {**_HEAD, "status": {"latestCreatedRevisionName": COMMON}},
    REVISION: {
        **_HEAD,
        "metadata": {**_NAMED, "annotations": Once({_TORPORS: OWN, names.AUTOSCALING: OWN})},
        "spec": Once(
            {
                "containerConcurrency": OWN,
                "timeoutSeconds": OWN,
                "responseStartTimeoutSeconds": OWN,
                "idleTimeoutSeconds": OWN,
            }
        ),
        "status": {"conditions": _CONDITIONS},
    },
    DEPLOYMENT: {
        **_HEAD,
        "metadata": {**_NAMED, "labels": {names.REVISION: COMMON}},
        "spec": Once({"replicas": OWN, "progressDeadlineSeconds": OWN}),
        "status": Once({"readyReplicas": OWN}),
    },
    POD: {
        **_HEAD,
        "metadata": {
            **_NAMED,
            "labels": {names.REVISION: COMMON},
            "annotations": Once({_TORPORS: OWN}),
            "deletionTimestamp": OWN,
        },
        "spec": {"containers": {"ports": {"containerPort": OWN}}},
        "status": OWN,
    },
    ENDPOINT_SLICE: {
        **_HEAD,
        "metadata": {**_NAMED, "labels": {names.REVISION: COMMON, names.SERVICE_NAME: COMMON}},
        "ports": OWN,
        "endpoints": OWN,
    },
}


def known(cluster: Cluster, kind: Kind, *, labels: str = "") -> Informer:
    """Return an informer that keeps what is read of a kind."""
    return Informer(cluster, kind, labels=labels, trim=trimmer(SHAPES[kind]))

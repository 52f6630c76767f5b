"""Objects that the API takes, as short as that allows."""

from __future__ import annotations

from typing import Any

from tests.local.apiserver.server import Api
from tests.support.owner import owned_by
from torpor.spec.kinds import (
    CONFIG_MAP,
    CONFIGURATION,
    CORE_SERVICE,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EVENT,
    INFERENCE_SERVICE,
    KSERVICE,
    LEASE,
    NAMESPACE,
    POD,
    REVISION,
    ROUTE,
    SECRET,
    SERVICE_ACCOUNT,
    Kind,
    Object,
)

CONTAINER = {"name": "c", "image": "example.com/x:1"}
TEMPLATE = {"spec": {"containers": [{"image": "example.com/x"}]}}
MODEL = {"modelFormat": {"name": "sklearn"}, "storageUri": "pvc://m/iris"}

BODIES: dict[Kind, Object] = {
    NAMESPACE: {},
    POD: {"spec": {"containers": [CONTAINER]}},
    EVENT: {"involvedObject": {}, "reason": "R"},
    SECRET: {"stringData": {"a": "1"}},
    CONFIG_MAP: {"data": {"a": "1"}},
    SERVICE_ACCOUNT: {},
    CORE_SERVICE: {"spec": {"ports": [{"port": 80}]}},
    DEPLOYMENT: {
        "spec": {
            "selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [CONTAINER]}},
        }
    },
    ENDPOINT_SLICE: {"addressType": "IPv4", "endpoints": []},
    LEASE: {"spec": {"holderIdentity": "me"}},
    KSERVICE: {"spec": {"template": TEMPLATE}},
    CONFIGURATION: {"spec": {"template": TEMPLATE}},
    REVISION: {"spec": TEMPLATE["spec"]},
    ROUTE: {"spec": {"traffic": [{"configurationName": "c", "percent": 100}]}},
    INFERENCE_SERVICE: {"spec": {"predictor": {"model": MODEL}}},
}
"""One of each kind that is served."""


def make(kind: Kind, name: str, namespace: str = "", **metadata: Any) -> Object:
    """An object of a kind, with nothing in it that need not be."""
    place = {"namespace": namespace} if kind.namespaced else {}
    body = BODIES[kind]
    if kind == EVENT:
        body = {**body, "involvedObject": {"kind": "Pod", "name": "p", "namespace": namespace}}
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, **place, **metadata},
        **body,
    }


def complete(api: Api, kind: Kind, name: str, namespace: str) -> Object:
    """An object that may be created as it is: a Revision comes with the Configuration that it is of."""
    obj = make(kind, name, namespace)
    if kind == REVISION:
        owner = api.create(CONFIGURATION, make(CONFIGURATION, f"{name}-of", namespace), namespace)
        obj["metadata"]["ownerReferences"] = [owned_by(owner)]
    return obj


def box(name: str, namespace: str, data: dict[str, str] | None = None, **metadata: Any) -> Object:
    """A ConfigMap."""
    return make(CONFIG_MAP, name, namespace, **metadata) | {"data": {"a": "1"} if data is None else data}


def owner_reference(owner: Object, *, blocking: bool = True) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": blocking,
    }

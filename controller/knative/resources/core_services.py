"""The core Services: of a revision's pods, and of a Route's names inside a cluster. Pure."""

from __future__ import annotations

from controller.knative.resources.deployment import pod_labels, selector
from controller.knative.resources.metadata import child, labels_of
from torpor.spec import names
from torpor.spec.children import private_service_name
from torpor.spec.kinds import CORE_SERVICE, REVISION, ROUTE, Object
from torpor.spec.revision import RevisionSpec, is_predictor


def private_service(revision: Object, spec: RevisionSpec) -> Object:
    """Return the Service whose EndpointSlices tell the activator where the revision's pods are."""
    made = child(
        CORE_SERVICE,
        REVISION,
        revision,
        private_service_name(revision["metadata"]["name"]),
        labels=pod_labels(revision),
    )
    ports = [{"name": "h2c" if spec.h2c else "http", "port": 80, "targetPort": spec.port, "protocol": "TCP"}]
    serving = next(each for each in spec.containers if each.name == spec.serving)
    if is_predictor(serving.image) and not spec.h2c:
        # It speaks both on its one port, and tells them apart by a connection's first bytes.
        ports.append({"name": "grpc", "port": 8081, "targetPort": spec.port, "protocol": "TCP"})
    return {**made, "spec": {"selector": selector(revision), "ports": ports}}


def placeholder(route: Object, name: str, gateway: str) -> Object:
    """Return the Service that makes `name.namespace.svc.cluster.local` lead to the activator."""
    route_name = route["metadata"]["name"]
    own = labels_of(route)
    of_service = {names.SERVICE: own[names.SERVICE]} if names.SERVICE in own else {}
    made = child(CORE_SERVICE, ROUTE, route, name, labels=of_service | {names.ROUTE: route_name})
    port = {"name": "http", "port": 80, "targetPort": 80, "protocol": "TCP"}
    return {**made, "spec": {"type": "ExternalName", "externalName": gateway, "ports": [port]}}

"""Which EndpointSlices there should be for a pod: one for each Service that selects it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torpor.local.kubelet.podstatus import ADDRESS
from torpor.spec import names
from torpor.spec.kinds import POD, Object, key_of
from torpor.spec.pod import PodSpec

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "torpor-kubelet"


@dataclass(frozen=True, slots=True)
class Member:
    """A pod, as far as Services are concerned."""

    obj: Object
    spec: PodSpec
    port: int
    """On this machine."""
    ready: bool
    ever_ready: bool
    """Whether its Services have heard of it."""


def slices_of(member: Member, services: Iterable[Object]) -> dict[str, Object]:
    """Return a pod's slices by name. A pod that has not been ready yet has none: there is nothing to say of it."""
    found: dict[str, Object] = {}
    for service in services:
        if not selects(service, member.obj):
            continue
        early = bool((service.get("spec") or {}).get("publishNotReadyAddresses"))
        if member.ever_ready or early:
            slice_ = _slice(member, service, ready=member.ready or early)
            found[slice_["metadata"]["name"]] = slice_
    return found


def selects(service: Object, pod: Object) -> bool:
    """Tell whether a Service's selector fits a pod; without one it fits none."""
    selector = (service.get("spec") or {}).get("selector") or {}
    labels = pod["metadata"].get("labels") or {}
    same_namespace = key_of(service)[0] == key_of(pod)[0]
    return bool(selector) and same_namespace and all(labels.get(key) == value for key, value in selector.items())


def _slice(member: Member, service: Object, *, ready: bool) -> Object:
    metadata, pod = service["metadata"], member.obj["metadata"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            # From the pod's uid: the same again for the same pod, and never another pod's.
            "name": f"{metadata['name']}-{pod['uid'][:8]}",
            "namespace": pod["namespace"],
            "labels": {
                **(metadata.get("labels") or {}),
                names.SERVICE_NAME: metadata["name"],
                MANAGED_BY: MANAGER,
            },
            "ownerReferences": [
                {"apiVersion": POD.api_version, "kind": POD.kind, "name": pod["name"], "uid": pod["uid"]}
            ],
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": [ADDRESS],
                "conditions": {"ready": ready, "serving": ready, "terminating": False},
                "nodeName": (member.obj.get("spec") or {}).get("nodeName", ""),
                "targetRef": {"kind": POD.kind, "namespace": pod["namespace"], "name": pod["name"], "uid": pod["uid"]},
            }
        ],
        "ports": [
            {
                "name": port.get("name", ""),
                "port": host_port(member.spec, member.port, port.get("targetPort", port.get("port"))),
                "protocol": port.get("protocol", "TCP"),
            }
            for port in (service.get("spec") or {}).get("ports") or ()
        ],
    }


def host_port(spec: PodSpec, given: int, target: int | str | None) -> int:
    """Return the port on this machine that a container's port, by number or name, stands for.

    What the serving container says it listens on is the port it was given as PORT; every other number is what it is.
    """
    serving = spec.serving
    own: set[int | str] = {port.number for port in serving.ports} | {port.name for port in serving.ports if port.name}
    if not own or target in own or not target:
        return given
    if isinstance(target, int):
        return target
    others = {port.name: port.number for container in spec.containers for port in container.ports}
    return others.get(target, given)

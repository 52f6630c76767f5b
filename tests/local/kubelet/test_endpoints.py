"""Which slices there are of a pod."""

from __future__ import annotations

from typing import Any

import pytest

from torpor.local.kubelet.endpoints import Member, host_port, selects, slices_of
from torpor.spec.kinds import Object
from torpor.spec.pod import PodSpec, parse_pod

UID = "01234567-89ab-cdef-0123-456789abcdef"


def pod(**labels: str) -> Object:
    return {
        "metadata": {"name": "p", "namespace": "ns", "uid": UID, "labels": labels},
        "spec": {
            "nodeName": "laptop",
            "containers": [
                {"name": "side", "image": "i"},
                {"name": "main", "image": "i", "ports": [{"containerPort": 8080, "name": "http1"}]},
            ],
        },
    }


def member(*, ready: bool = True, ever_ready: bool = True) -> Member:
    obj = pod(app="x", tier="front")
    return Member(obj, parse_pod(obj), 20001, ready, ever_ready)


def service(name: str = "svc", namespace: str = "ns", **spec: Any) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": "http1", "protocol": "TCP"}]
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"a": "b"}},
        "spec": {"selector": {"app": "x"}, "ports": ports, **spec},
    }


def test_a_slice_says_where_and_who() -> None:
    """Labels of the Service, the port on this machine, the pod by name and uid, which owns it."""
    assert slices_of(member(), [service()]) == {
        "svc-01234567": {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "svc-01234567",
                "namespace": "ns",
                "labels": {
                    "a": "b",
                    "kubernetes.io/service-name": "svc",
                    "endpointslice.kubernetes.io/managed-by": "torpor-kubelet",
                },
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": UID}],
            },
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": ["127.0.0.1"],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "nodeName": "laptop",
                    "targetRef": {"kind": "Pod", "namespace": "ns", "name": "p", "uid": UID},
                }
            ],
            "ports": [{"name": "http", "port": 20001, "protocol": "TCP"}],
        }
    }


@pytest.mark.parametrize(
    ("who", "services", "expected"),
    [
        pytest.param(member(), [], {}, id="no-service"),
        pytest.param(member(ready=False, ever_ready=False), [service()], {}, id="not-ready-yet"),
        pytest.param(member(ready=False), [service()], {"svc-01234567": False}, id="not-ready-any-more"),
        pytest.param(
            member(ready=False, ever_ready=False),
            [service(publishNotReadyAddresses=True)],
            {"svc-01234567": True},
            id="a-service-that-does-not-ask",
        ),
        pytest.param(
            member(), [service("a"), service("b")], {"a-01234567": True, "b-01234567": True}, id="one-for-each-service"
        ),
    ],
)
def test_readiness(who: Member, services: list[Object], expected: dict[str, bool]) -> None:
    """By name: whether the endpoint is ready."""
    found = slices_of(who, services)
    assert {name: each["endpoints"][0]["conditions"]["ready"] for name, each in found.items()} == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"selector": {"app": "x"}}, True, id="one-label"),
        pytest.param({"selector": {"app": "x", "tier": "front"}}, True, id="both"),
        pytest.param({"selector": {"app": "x", "tier": "back"}}, False, id="one-does-not-fit"),
        pytest.param({"selector": {}}, False, id="an-empty-selector-fits-nothing"),
        pytest.param({}, False, id="no-selector"),
    ],
)
def test_selects(spec: Object, expected: bool) -> None:  # noqa: FBT001
    """As in Kubernetes, and in the same namespace only."""
    obj = pod(app="x", tier="front")
    assert selects({"metadata": {"name": "s", "namespace": "ns"}, "spec": spec}, obj) is expected
    assert not selects({"metadata": {"name": "s", "namespace": "other"}, "spec": spec}, obj)


TWO = parse_pod(pod())
BARE = parse_pod({"spec": {"containers": [{"name": "c", "image": "i"}]}})


@pytest.mark.parametrize(
    ("spec", "target", "expected"),
    [
        pytest.param(TWO, 8080, 20001, id="the-serving-port"),
        pytest.param(TWO, "http1", 20001, id="by-name"),
        pytest.param(TWO, 0, 20001, id="not-given"),
        pytest.param(TWO, 9091, 9091, id="another-port-is-what-it-is"),
        pytest.param(BARE, 8080, 20001, id="of-a-container-that-names-none"),
    ],
)
def test_host_port(spec: PodSpec, target: int | str, expected: int) -> None:
    """What a container's port is on this machine."""
    assert host_port(spec, 20001, target) == expected

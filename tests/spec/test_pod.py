"""A pod's spec, its probes and its quantities, as they are read."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from torpor.errors import InvalidInputError
from torpor.spec.fields import Fields
from torpor.spec.kinds import Object
from torpor.spec.pod import (
    Container,
    DataVolume,
    EmptyDir,
    EnvFrom,
    EnvVar,
    FieldRef,
    KeyRef,
    OtherVolume,
    PodSpec,
    ResourceRef,
    VolumeItem,
    parse_pod,
)
from torpor.spec.probe import Exec, Grpc, HttpGet, Probe, Purpose, TcpSocket, parse_probe
from torpor.spec.quantity import parse_quantity


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("2", Fraction(2), id="plain"),
        pytest.param(2, Fraction(2), id="a-number"),
        pytest.param("500m", Fraction(1, 2), id="milli"),
        pytest.param("1.5Gi", Fraction(3 * 2**29), id="binary"),
        pytest.param("1G", Fraction(10**9), id="decimal"),
        pytest.param("128k", Fraction(128_000), id="kilo-is-small"),
        pytest.param("5e3", Fraction(5000), id="an-exponent"),
        pytest.param("1E", Fraction(10**18), id="exa-is-no-exponent"),
        pytest.param("100n", Fraction(1, 10**7), id="nano"),
    ],
)
def test_quantity(raw: object, expected: Fraction) -> None:
    """Kubernetes' notation, exactly."""
    assert parse_quantity("f", raw) == expected


@pytest.mark.parametrize("raw", ["", "1 Gi", "Gi", "1gi", "1Ki2", "0x10", None])
def test_what_is_no_quantity_is_refused(raw: object) -> None:
    """Field, value, and what would do."""
    with pytest.raises(InvalidInputError, match=r"f: .* is not allowed; use a quantity"):
        parse_quantity("f", raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param({}, None, id="nothing-to-ask"),
        pytest.param({"tcpSocket": {"port": 80}}, Probe(TcpSocket("", 80)), id="defaults"),
        pytest.param({"tcpSocket": {}}, Probe(TcpSocket("", 0)), id="knative-leaves-the-port-out"),
        pytest.param(
            {"httpGet": {"path": "up", "port": "http", "scheme": "https"}, "periodSeconds": 1, "successThreshold": 2},
            Probe(HttpGet("", "http", "/up", https=True), period_s=1, success_threshold=2),
            id="by-name-over-tls",
        ),
        pytest.param({"exec": {"command": ["true"]}}, Probe(Exec(("true",))), id="a-command"),
        pytest.param({"grpc": {"port": 9}}, Probe(Grpc(9, "")), id="grpc"),
        pytest.param(
            {"tcpSocket": {"port": 1}, "periodSeconds": 0, "timeoutSeconds": 0, "failureThreshold": 0},
            Probe(TcpSocket("", 1)),
            id="zero-is-not-given",
        ),
        pytest.param(
            {"tcpSocket": {"port": 1}, "initialDelaySeconds": 5},
            Probe(TcpSocket("", 1), initial_delay_s=5),
            id="a-delay",
        ),
    ],
)
def test_probe(raw: Object, expected: Probe | None) -> None:
    """What is asked, and how often."""
    assert parse_probe(Fields(raw)) == expected


def one(container: Object, **spec: Any) -> PodSpec:
    return parse_pod({"spec": {"containers": [{"name": "c", "image": "i", **container}], **spec}})


def test_environment() -> None:
    """Each kind of source."""
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
        {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}},
        {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "E", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
    ]
    read = one({"env": env, "envFrom": [{"prefix": "P", "secretRef": {"name": "s"}}]}).containers[0]
    assert read.env == (
        EnvVar("A", "1"),
        EnvVar("B", KeyRef("secret", "s", "k", optional=True)),
        EnvVar("C", KeyRef("configMap", "m", "k", optional=False)),
        EnvVar("D", FieldRef("metadata.name")),
        EnvVar("E", ResourceRef("", "limits.cpu", Fraction(1, 1000))),
    )
    assert read.env_from == (EnvFrom("secret", "s", "P", optional=False),)


def test_volumes() -> None:
    """Those that are made, and those that are only named."""
    read = one(
        {},
        volumes=[
            {"name": "a", "emptyDir": {}},
            {"name": "b", "secret": {"secretName": "s", "items": [{"key": "k", "path": "p"}]}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "x"}},
        ],
    )
    assert read.volumes == (
        EmptyDir("a"),
        DataVolume("b", "secret", "s", (VolumeItem("k", "p"),), optional=False, mode=0o644),
        OtherVolume("c", "persistentVolumeClaim"),
    )


def test_resources_and_probes() -> None:
    """Limits as exact numbers; each probe under its purpose."""
    read = one(
        {"resources": {"limits": {"cpu": "250m", "memory": "1Gi"}}, "livenessProbe": {"tcpSocket": {"port": 1}}}
    ).containers[0]
    assert (read.resources.cpu, read.resources.memory) == (Fraction(1, 4), 2**30)
    assert read.probe(Purpose.LIVENESS) == Probe(TcpSocket("", 1))
    assert read.probe(Purpose.READINESS) is None


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        pytest.param([Container("a", "i")], "a", id="the-only-one"),
        pytest.param([Container("a", "i"), Container("b", "i")], "a", id="the-first"),
    ],
)
def test_serving(containers: list[Container], expected: str) -> None:
    """Without a port declared."""
    assert PodSpec(tuple(containers)).serving.name == expected


def test_the_container_with_a_port_serves() -> None:
    """Wherever it is in the list."""
    spec = {"containers": [{"name": "a"}, {"name": "b", "ports": [{"containerPort": 1}]}]}
    assert parse_pod({"spec": spec}).serving.name == "b"


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        pytest.param({"sleep": {"seconds": 3}}, 3.0, id="sleep"),
        pytest.param({"exec": {"command": ["a"]}}, Exec(("a",)), id="exec"),
        pytest.param({"httpGet": {"port": 1}}, HttpGet("", 1, "/", https=False), id="http"),
        pytest.param({}, None, id="none"),
    ],
)
def test_pre_stop(hook: Object, expected: object) -> None:
    """What is done before SIGTERM."""
    assert one({"lifecycle": {"preStop": hook}}).containers[0].pre_stop == expected


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param({}, "spec.containers", id="no-container"),
        pytest.param({"containers": [{"name": "c"}], "restartPolicy": "Sometimes"}, "spec.restartPolicy", id="policy"),
        pytest.param(
            {"containers": [{"name": "c", "resources": {"limits": {"cpu": "much"}}}]},
            r"spec.containers\[0\].resources.limits.cpu",
            id="a-limit",
        ),
        pytest.param({"containers": [{"image": "i"}]}, r"spec.containers\[0\].name", id="a-container-without-a-name"),
    ],
)
def test_what_is_wrong_is_named(spec: Object, field: str) -> None:
    """By its whole path."""
    with pytest.raises(InvalidInputError, match=field):
        parse_pod({"spec": spec})

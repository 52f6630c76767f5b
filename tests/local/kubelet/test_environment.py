"""What a container finds in its environment."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from torpor.local.kubelet.environment import ConfigError, Machine, environment, expand, references
from torpor.spec.kinds import Object
from torpor.spec.pod import parse_pod

SOURCES: dict[Any, Object | None] = {
    ("configMap", "map"): {"data": {"A": "1", "B": "$(A)"}},
    ("secret", "key"): {"data": {"token": base64.b64encode(b"hush").decode()}},
    ("configMap", "absent"): None,
    ("secret", "absent"): None,
}


def made(container: Object, ours: dict[str, str] | None = None) -> dict[str, str]:
    pod = {
        "metadata": {
            "name": "p",
            "namespace": "ns",
            "uid": "u",
            "labels": {"app": "x"},
            "annotations": {"a/b": "y"},
        },
        "spec": {
            "serviceAccountName": "sa",
            "nodeName": "laptop",
            "containers": [{"name": "c", "image": "i", **container}],
        },
    }
    spec = parse_pod(pod)
    return environment(spec.containers[0], pod, spec, SOURCES, Machine(4, 8 * 1024**3), ours or {})


def value(source: Object) -> Object:
    return {"env": [{"name": "X", "valueFrom": source}]}


def from_field(path: str) -> Object:
    return value({"fieldRef": {"fieldPath": path}})


def from_resource(resource: str, divisor: str | None = None, **resources: Object) -> Object:
    ref = {"resource": resource} | ({"divisor": divisor} if divisor else {})
    return {**value({"resourceFieldRef": ref}), "resources": resources}


def from_key(kind: str, name: str, key: str, **more: bool) -> Object:
    return value({kind: {"name": name, "key": key, **more}})


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"env": [{"name": "X"}]}, "", id="without-a-value-it-is-empty"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "X", "value": "$(A)$(A)"}]}, "11", id="of-an-earlier-one"
        ),
        pytest.param(
            {"env": [{"name": "X", "value": "$(A)"}, {"name": "A", "value": "1"}]}, "$(A)", id="not-of-a-later-one"
        ),
        pytest.param({"env": [{"name": "X", "value": "$$(A)"}]}, "$(A)", id="a-dollar-is-escaped-by-a-dollar"),
        pytest.param(from_key("configMapKeyRef", "map", "A"), "1", id="from-a-config-map"),
        pytest.param(from_key("configMapKeyRef", "map", "B"), "$(A)", id="which-is-not-expanded"),
        pytest.param(from_key("secretKeyRef", "key", "token"), "hush", id="from-a-secret"),
        pytest.param(from_key("secretKeyRef", "absent", "k", optional=True), None, id="an-optional-secret"),
        pytest.param(from_key("secretKeyRef", "key", "k", optional=True), None, id="an-optional-key"),
        pytest.param(
            {"envFrom": [{"configMapRef": {"name": "map"}}], "env": [{"name": "X", "value": "$(A)"}]},
            "1",
            id="of-a-whole-config-map",
        ),
        pytest.param(
            {"envFrom": [{"prefix": "P_", "configMapRef": {"name": "map"}}], "env": [{"name": "X", "value": "$(P_A)"}]},
            "1",
            id="with-a-prefix",
        ),
        pytest.param({"envFrom": [{"secretRef": {"name": "absent", "optional": True}}]}, None, id="an-optional-whole"),
        pytest.param(from_field("metadata.name"), "p", id="name"),
        pytest.param(from_field("metadata.uid"), "u", id="uid"),
        pytest.param(from_field("metadata.labels['app']"), "x", id="label"),
        pytest.param(from_field("metadata.annotations['a/b']"), "y", id="annotation"),
        pytest.param(from_field("metadata.labels['none']"), "", id="no-such-label"),
        pytest.param(from_field("spec.serviceAccountName"), "sa", id="account"),
        pytest.param(from_field("status.podIP"), "127.0.0.1", id="address"),
        pytest.param(from_resource("limits.cpu", limits={"cpu": "1500m"}), "2", id="cores-are-rounded-up"),
        pytest.param(from_resource("limits.cpu", "1m", limits={"cpu": "1500m"}), "1500", id="millicores"),
        pytest.param(from_resource("limits.memory", "1Mi", limits={"memory": "1Gi"}), "1024", id="mebibytes"),
        pytest.param(from_resource("limits.memory"), str(8 * 1024**3), id="without-a-limit-all-of-the-machine"),
        pytest.param(from_resource("requests.cpu", requests={"cpu": "2"}), "2", id="a-request"),
        pytest.param(from_resource("requests.cpu", limits={"cpu": "3"}), "3", id="without-a-request-the-limit"),
    ],
)
def test_one_variable(container: Object, expected: str | None) -> None:
    """X, by where it comes from."""
    assert made(container).get("X") == expected


@pytest.mark.parametrize(
    ("container", "message"),
    [
        pytest.param(from_key("secretKeyRef", "absent", "k"), 'secret "absent" not found', id="no-secret"),
        pytest.param(from_key("configMapKeyRef", "absent", "k"), 'configmap "absent" not found', id="no-config-map"),
        pytest.param(from_key("secretKeyRef", "key", "k"), "couldn't find key k in Secret ns/key", id="no-key"),
        pytest.param(
            from_key("configMapKeyRef", "map", "k"), "couldn't find key k in ConfigMap ns/map", id="no-key-of-a-map"
        ),
        pytest.param(
            {"envFrom": [{"configMapRef": {"name": "absent"}}]}, 'configmap "absent" not found', id="no-whole-map"
        ),
        pytest.param(from_field("spec.secret"), "unsupported fieldPath: spec.secret", id="no-such-field"),
    ],
)
def test_what_is_missing_is_named_in_kubernetes_words(container: Object, message: str) -> None:
    """The message of CreateContainerConfigError."""
    with pytest.raises(ConfigError) as caught:
        made(container)
    assert str(caught.value) == message


def test_ours_win_and_are_known_to_others() -> None:
    """PORT is what the kubelet says, wherever it is used."""
    env = [{"name": "PORT", "value": "8080"}, {"name": "URL", "value": "http://localhost:$(PORT)"}]
    assert made({"env": env}, {"PORT": "20001"}) == {"PORT": "20001", "URL": "http://localhost:20001"}


def test_references() -> None:
    """What has to be read first."""
    container = {
        "name": "c",
        "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}],
        **from_key("secretKeyRef", "c", "k"),
    }
    spec = parse_pod({"spec": {"containers": [container]}})
    assert references(spec.containers) == {("configMap", "a"), ("secret", "b"), ("secret", "c")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("$(A)/$(B)", "1/2", id="two"),
        pytest.param("$(C)", "$(C)", id="unknown"),
        pytest.param("$A ${A} $", "$A ${A} $", id="a-shell's-syntax-is-not-ours"),
        pytest.param("$$$(A)", "$1", id="escaped-and-then-one"),
        pytest.param("$(A", "$(A", id="not-closed"),
        pytest.param("$(A)(B)", "1(B)", id="only-the-first-bracket"),
    ],
)
def test_expand(text: str, expected: str) -> None:
    """`$(NAME)` in commands and arguments."""
    assert expand(text, {"A": "1", "B": "2"}) == expected

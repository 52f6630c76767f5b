"""Kubernetes' protocol buffers, which kubectl writes its own kinds with.

The messages are built here by hand, with the field numbers of Kubernetes' own .proto files.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.apiserver.objects import box
from tests.local.apiserver.server import Api
from torpor.local.apiserver.api.protobuf import MAGIC, MEDIA_TYPE, decode
from torpor.local.apiserver.status import ApiError
from torpor.spec.kinds import CONFIG_MAP, CORE_SERVICE, DEPLOYMENT, Object


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def whole(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def text(number: int, value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def entry(number: int, key: str, value: str | bytes) -> bytes:
    return text(number, text(1, key) + text(2, value))


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return MAGIC + text(1, text(1, api_version) + text(2, kind)) + text(2, raw) + text(3, "") + text(4, "")


METADATA = text(1, "a") + entry(11, "app", "x")
CONFIG = envelope("v1", "ConfigMap", text(1, METADATA) + entry(2, "k", "v") + entry(3, "b", b"\x00\xff") + whole(4, 0))
CONTAINER = (
    text(1, "c")
    + text(2, "example.com/x")
    + text(3, "sleep")
    + text(3, "60")
    + text(6, whole(3, 8080) + text(4, "TCP"))
    + text(8, entry(1, "cpu", text(1, "250m")))
)
TEMPLATE = text(1, METADATA) + text(2, text(2, CONTAINER) + whole(4, 0))
SPEC = whole(1, 0) + text(2, entry(1, "app", "x")) + text(3, TEMPLATE)
DEPLOY = envelope("apps/v1", "Deployment", text(1, METADATA) + text(2, SPEC) + text(3, b""))
PORTS = text(1, text(1, "h") + whole(3, 80) + text(4, whole(1, 1) + text(3, "http"))) + text(
    1, text(1, "m") + whole(3, 81) + text(4, whole(1, 0) + whole(2, 9000))
)
SERVICE = envelope("v1", "Service", text(1, METADATA) + text(2, PORTS))


@pytest.mark.parametrize(
    ("raw", "obj"),
    [
        pytest.param(
            CONFIG,
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "a", "labels": {"app": "x"}},
                "data": {"k": "v"},
                "binaryData": {"b": "AP8="},
                "immutable": False,
            },
            id="texts, bytes, and a false that is said",
        ),
        pytest.param(
            DEPLOY,
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "a", "labels": {"app": "x"}},
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": {"app": "x"}},
                    "template": {
                        "metadata": {"name": "a", "labels": {"app": "x"}},
                        "spec": {
                            "containers": [
                                {
                                    "name": "c",
                                    "image": "example.com/x",
                                    "command": ["sleep", "60"],
                                    "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                                    "resources": {"limits": {"cpu": "250m"}},
                                }
                            ],
                            "terminationGracePeriodSeconds": 0,
                        },
                    },
                },
            },
            id="lists, quantities, and a zero that is said",
        ),
        pytest.param(
            SERVICE,
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "a", "labels": {"app": "x"}},
                "spec": {
                    "ports": [
                        {"name": "h", "port": 80, "targetPort": "http"},
                        {"name": "m", "port": 81, "targetPort": 9000},
                    ]
                },
            },
            id="a port by its name and by its number",
        ),
        pytest.param(
            envelope("v1", "Event", text(1, text(1, "e")) + text(6, whole(1, 1_767_225_600)) + whole(8, -1)),
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": "e"},
                "firstTimestamp": "2026-01-01T00:00:00Z",
                "count": -1,
            },
            id="a time, and a number below zero",
        ),
    ],
)
def test_messages(raw: bytes, obj: Object) -> None:
    """Read as the JSON that says the same."""
    assert decode(raw) == obj


def test_over_http(api: Api, namespace: str) -> None:
    """As kubectl creates its own kinds; the answer is JSON."""
    for kind, raw in ((CONFIG_MAP, CONFIG), (DEPLOYMENT, DEPLOY), (CORE_SERVICE, SERVICE)):
        created = api.create(kind, raw, namespace, type_=MEDIA_TYPE)
        assert api.get(kind, "a", namespace) == created
    assert api.get(CONFIG_MAP, "a", namespace)["data"] == {"k": "v"}


def test_options_of_a_delete(api: Api, namespace: str) -> None:
    """Grace, preconditions and policy come that way too."""
    api.create(CONFIG_MAP, box("a", namespace), namespace)
    options = envelope("v1", "DeleteOptions", text(2, text(1, "another")) + text(4, "Background"))
    path = CONFIG_MAP.path(namespace, "a")
    refused = api.request("DELETE", path, options, type_=MEDIA_TYPE, code=409)
    assert "UID in precondition: another" in refused["message"]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="JSON"),
        pytest.param(CONFIG[: len(CONFIG) // 2], id="half of it"),
        pytest.param(MAGIC + b"\xff" * 20, id="a number without an end"),
        pytest.param(envelope("v1", "ConfigMap", whole(99, 1)), id="a field that is not known"),
        pytest.param(envelope("v1", "ConfigMap", whole(1, 1)), id="a number in place of an object"),
        pytest.param(envelope("v1", "ConfigMap", text(1, text(7, b"x"))), id="a text in place of a number"),
        pytest.param(envelope("v1", "ConfigMap", text(1, text(1, b"\xff"))), id="no UTF-8"),
        pytest.param(envelope("v1", "Event", text(6, whole(1, 2**62))), id="a time that no calendar has"),
    ],
)
def test_what_is_none(api: Api, namespace: str, raw: bytes) -> None:
    """400, whatever is wrong with it."""
    api.create(CONFIG_MAP, raw, namespace, type_=MEDIA_TYPE, code=400)


@given(
    base=st.sampled_from([CONFIG, DEPLOY, SERVICE]),
    changes=st.lists(st.tuples(st.integers(0, 500), st.binary(max_size=4)), max_size=4),
)
def test_any_bytes_are_read_or_refused(base: bytes, changes: list[tuple[int, bytes]]) -> None:
    """Never anything else: they come from outside."""
    raw = bytearray(base)
    for position, put in changes:
        raw[position % len(raw) : position % len(raw) + len(put)] = put
    with contextlib.suppress(ApiError):
        assert isinstance(decode(bytes(raw)), dict)

"""The activator's settings are read at the door; an error names key, value and range."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from activator.settings import (
    PREFIX,
    ClientLimits,
    Deferring,
    Leaving,
    PodLimits,
    Settings,
    StreamLimits,
    Waiting,
    parse,
)
from torpor.errors import SettingError

TOKEN = ("--token-file", "/run/token")
CONCERNS: dict[str, Any] = {
    "client": ClientLimits,
    "streams": StreamLimits,
    "pods": PodLimits,
    "waiting": Waiting,
    "deferring": Deferring,
    "leaving": Leaving,
}


def test_defaults_are_for_a_pod_in_a_cluster() -> None:
    """Its own credentials, the usual ports."""
    pod = {"POD_NAME": "activator-7d9f", "POD_NAMESPACE": "torpor", "POD_IP": "10.1.2.3"}
    assert parse(TOKEN, pod) == Settings(
        name="activator-7d9f",
        namespace="torpor",
        advertise="10.1.2.3",
        host="127.0.0.1",
        http_port=8080,
        grpc_port=8081,
        admin_port=9090,
        domain="localhost",
        token_file=Path("/run/token"),
    )


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        pytest.param("box-1", "box-1", id="a label"),
        pytest.param("My_Mac.local", "my-mac-local", id="no label"),
        pytest.param("\u00fc", "activator", id="nothing of it can be one"),
    ],
)
def test_who_is_no_pod_goes_by_its_machines_name(machine: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as that can be an object's."""
    monkeypatch.setattr("socket.gethostname", lambda: machine)
    found = parse((*TOKEN, "--host", "0.0.0.0"), {})
    assert (found.name, found.namespace, found.advertise) == (name, "default", "127.0.0.1")


def test_the_command_line_says_where() -> None:
    """As `torpor up` writes it."""
    given = (
        "--kubeconfig d/kubeconfig --host 0.0.0.0 --http-port 0 --admin-port 1 --domain a-b.example.com --ready-fd 7"
        " --grpc-port 2 --tls-secret door/certificate --name laptop"
    )
    assert parse((*TOKEN, *given.split()), {}) == Settings(
        name="laptop",
        host="0.0.0.0",
        http_port=0,
        admin_port=1,
        domain="a-b.example.com",
        token_file=Path("/run/token"),
        kubeconfig=Path("d/kubeconfig"),
        ready_fd=7,
        grpc_port=2,
        tls_secret=("door", "certificate"),
    )


def test_the_environment_says_how_much() -> None:
    """Each field of each concern by its own name; what is not named keeps its default."""
    environment = {
        "TORPOR_ACTIVATOR_BODY_BYTES": "1024",
        "TORPOR_ACTIVATOR_CONNECT_TIMEOUT_S": "0.5",
        "TORPOR_ACTIVATOR_QUEUE_LIMIT": "7",
        "TORPOR_ACTIVATOR_GRACE_S": "0",
        "TORPOR_ACTIVATOR_PORT": "tcp://10.0.0.1:80",  # Kubernetes' own, for a Service of our name
        "TORPOR_HOME": "/nowhere",
    }
    read = parse(TOKEN, environment)
    assert read.client == ClientLimits(body_bytes=1024)
    assert read.pods == PodLimits(connect_timeout_s=0.5)
    assert read.waiting == Waiting(queue_limit=7)
    assert read.leaving == Leaving(grace_s=0.0)
    assert parse(TOKEN, {"TORPOR_ACTIVATOR_BODY_BYTES": "none"}).client.body_bytes is None


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        pytest.param("--http-port 99999", {}, "--http-port: '99999' .* from 0 to 65535", id="port"),
        pytest.param("--admin-port http", {}, "--admin-port: 'http' .* from 0 to 65535", id="admin port"),
        pytest.param("--ready-fd -1", {}, "--ready-fd: '-1' .* from 0 to", id="descriptor"),
        pytest.param("--domain Example.com", {}, "--domain: 'Example.com' .* lower case", id="domain in capitals"),
        pytest.param("--domain .com", {}, "--domain: '.com' .* lower case", id="domain with an empty part"),
        pytest.param("", {"QUEUE_LIMIT": "0"}, "QUEUE_LIMIT: '0' .* from 1 to 1000000 requests", id="queue"),
        pytest.param("", {"GRACE_S": "-1"}, "GRACE_S: '-1' .* from 0 to 86400 seconds", id="grace"),
        pytest.param("", {"IDLE_S": "soon"}, "IDLE_S: 'soon' .* from 0.1 to 86400 seconds", id="seconds"),
        pytest.param("", {"BODY_BYTES": "all"}, "BODY_BYTES: 'all' .* bytes, or none", id="body"),
    ],
)
def test_what_is_not_allowed_is_named(arguments: str, environment: dict[str, str], says: str) -> None:
    """Key, value and range."""
    with pytest.raises(SettingError, match=says):
        parse((*TOKEN, *arguments.split()), {PREFIX + key: value for key, value in environment.items()})


def test_no_two_settings_have_one_name() -> None:
    """One variable sets one thing."""
    names = [field.name for concern in CONCERNS.values() for field in fields(concern)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("concern", "name"),
    [
        (concern, field.name)
        for concern, kind in CONCERNS.items()
        for field in fields(kind)
        if getattr(kind(), field.name) is not None
    ],
)
def test_every_default_is_within_its_own_range(concern: str, name: str) -> None:
    """What is written out is what is left out."""
    default = getattr(CONCERNS[concern](), name)
    assert getattr(getattr(parse(TOKEN, {PREFIX + name.upper(): str(default)}), concern), name) == default


def test_silence_on_a_stream_may_not_be_longer_than_what_keeps_it() -> None:
    """Load balancers cut what is silent for long; a setting must not make it so."""
    with pytest.raises(SettingError, match=r"TOLD_EVERY_S: '60' .* to 15 seconds"):
        parse(TOKEN, {"TORPOR_ACTIVATOR_TOLD_EVERY_S": "60"})

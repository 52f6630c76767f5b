"""The controller's command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.options import Options
from controller.settings import parse
from torpor.errors import SettingError


def test_defaults_are_for_a_cluster() -> None:
    """The pod's own credentials, port 80, and Knative's kinds unless Knative is there."""
    settings = parse([])
    assert (settings.kubeconfig, settings.knative, settings.ready_fd) == (None, "auto", None)
    assert settings.options == Options("localhost", 80, "")


def test_everything_can_be_set() -> None:
    """As `torpor up` does, and a cluster's manifest."""
    settings = parse(
        "--kubeconfig /k --domain example.com --http-port 8080 --gateway a.torpor.svc --https --knative on --ready-fd 3".split()  # noqa: E501, SIM905
    )
    assert settings.kubeconfig == Path("/k").resolve()
    assert settings.options == Options("example.com", 8080, "a.torpor.svc", "https")
    assert (settings.knative, settings.ready_fd) == ("on", 3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--http-port", "0"], "--http-port: '0' .* 1 to 65535", id="a port that URLs cannot have"),
        pytest.param(["--domain", "Not DNS"], "--domain: 'Not DNS' .* a DNS name", id="a domain that is none"),
        pytest.param(["--gateway", "a_b"], "--gateway: 'a_b' .* a DNS name", id="a gateway that is none"),
        pytest.param(["--knative", "maybe"], "--knative: 'maybe' .* auto, on, off", id="neither on nor off"),
        pytest.param(["--ready-fd", "x"], "--ready-fd: 'x' .* a whole number", id="a descriptor that is none"),
    ],
)
def test_a_wrong_setting(arguments: list[str], says: str) -> None:
    """Key, value, and what is allowed."""
    with pytest.raises(SettingError, match=says):
        parse(arguments)


@pytest.mark.parametrize(
    ("options", "url", "address"),
    [
        pytest.param(Options("localhost", 8080), "http://a.b.localhost:8080", "http://a.b.localhost:8080", id="laptop"),
        pytest.param(
            Options("example.com", 80, "gw"), "http://a.b.example.com", "http://a.b.svc.cluster.local", id="cluster"
        ),
        pytest.param(
            Options("example.com", 443, "gw", "https"),
            "https://a.b.example.com",
            "https://a.b.svc.cluster.local",
            id="cluster with TLS",
        ),
        pytest.param(
            Options("localhost", 80, "", "https"),
            "https://a.b.localhost:80",
            "https://a.b.localhost:80",
            id="TLS where nobody expects it",
        ),
    ],
)
def test_urls(options: Options, url: str, address: str) -> None:
    """How a Route is reached from outside, and from inside."""
    assert (options.url("a", "b"), options.address("a", "b")) == (url, address)

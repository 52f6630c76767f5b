"""Which services there are, and what follows when one ends: tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.app import DRAIN_S
from torpor.errors import SettingError
from torpor.local.up.plan import Patience, announcement, ending, next_start, stages
from torpor.local.up.settings import Settings, domain, parse

SETTINGS = Settings(Path("/data"), "127.0.0.1", 8080, 8081, 6443, 9090, "localhost")
PATIENCE = Patience()

ports = st.integers(0, 65535)
names = st.from_regex(r"[a-z][a-z0-9]{0,9}(\.[a-z]{1,9})?", fullmatch=True)
settings = st.builds(
    Settings,
    data_dir=st.from_regex(r"/[a-z /=-]{0,20}", fullmatch=True).map(Path),
    host=st.sampled_from(["127.0.0.1", "::1", "0.0.0.0"]),
    http_port=ports,
    grpc_port=ports,
    api_port=ports,
    admin_port=ports,
    domain=names,
    tls_secret=st.sampled_from(["", "default/door", "a/b.c"]),
)


@given(given=settings)
def test_the_supervisor_is_told_exactly_what_the_front_was(given: Settings) -> None:
    """Its command line and back again."""
    assert parse([*given.arguments(), "--lifeline-fd", "7"]) == (given, 7)
    assert parse(given.arguments()) == (given, None)


@given(given=settings)
def test_the_api_server_is_first_and_everybody_else_needs_it(given: Settings) -> None:
    """Whatever is set, and every service is told where the kubeconfig is that the first one writes."""
    (first,), others = stages(given)
    assert first.name == "apiserver"
    assert [each.name for each in others] == ["kubelet", "controller", "activator"]
    for each in others:
        assert str(given.kubeconfig) in each.command


def test_the_services_are_started_as_their_contract_says() -> None:
    """Module and options of each; none sees modules of the folder where `torpor up` was typed."""
    commands = {service.name: service.command[1:] for stage in stages(SETTINGS) for service in stage}
    words = {name: " ".join(command) for name, command in commands.items()}
    assert words == {
        "apiserver": "-P -m torpor.local.apiserver --data-dir /data --host 127.0.0.1 --port 6443",
        "kubelet": "-P -m torpor.local.kubelet --data-dir /data --kubeconfig /data/kubeconfig",
        "controller": "-P -m controller --kubeconfig /data/kubeconfig --domain localhost --http-port 8080",
        "activator": "-P -m activator --name laptop --kubeconfig /data/kubeconfig --host 127.0.0.1 --domain localhost"
        " --http-port 8080 --grpc-port 8081 --admin-port 9090 --token-file /data/token",
    }


def test_with_tls_the_activator_has_a_certificate_and_urls_say_so() -> None:
    """Who makes the URLs is told as well."""
    given = replace(SETTINGS, tls_secret="default/door")
    words = {service.name: " ".join(service.command) for stage in stages(given) for service in stage}
    assert "--tls-secret default/door" in words["activator"]
    assert words["controller"].endswith("--http-port 8080 --https")
    assert "services https://NAME.NAMESPACE.localhost:8080, gRPC 127.0.0.1:8081" in announcement(given)


def test_the_activator_outwaits_its_requests() -> None:
    """It is given more time than it gives them (30 s), or it would be killed while it drains."""
    patience = {service.name: service.patience_s for stage in stages(SETTINGS) for service in stage}
    assert patience["activator"] > 30


def test_the_controller_may_finish_what_it_writes() -> None:
    """It is given more time than it gives itself, or it would be killed in the middle of it."""
    patience = {service.name: service.patience_s for stage in stages(SETTINGS) for service in stage}
    assert patience["controller"] > DRAIN_S


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        pytest.param("127.0.0.1", "127.0.0.1", id="loopback"),
        pytest.param("0.0.0.0", "127.0.0.1", id="every-address"),
        pytest.param("::", "127.0.0.1", id="every-address-of-both-kinds"),
        pytest.param("::1", "[::1]", id="six"),
        pytest.param("box.lan", "box.lan", id="a-name"),
    ],
)
def test_the_line_that_says_where_everything_is(host: str, shown: str) -> None:
    """One line with every address that somebody can use, and the kubeconfig."""
    assert announcement(replace(SETTINGS, host=host)) == (
        f"torpor is ready: services http://NAME.NAMESPACE.localhost:8080, gRPC {shown}:8081, "
        f"API https://{shown}:6443, admin http://{shown}:9090, kubeconfig /data/kubeconfig"
    )


@pytest.mark.parametrize(
    ("failures", "ready_s", "then"),
    [
        pytest.param(0, 0.0, (1, 0.2), id="the-first-failure-waits-little"),
        pytest.param(1, 0.0, (2, 0.4), id="the-second-twice-that"),
        pytest.param(7, 0.0, (8, 10.0), id="never-longer-than-the-limit"),
        pytest.param(8, 0.0, None, id="then-it-is-given-up"),
        pytest.param(8, 29.9, None, id="not-steady-is-a-failure-too"),
        pytest.param(8, 30.0, (1, 0.2), id="who-was-steady-begins-anew"),
        pytest.param(0, 1e6, (1, 0.2), id="a-crash-after-days"),
    ],
)
def test_what_follows_the_end_of_a_service(failures: int, ready_s: float, then: tuple[int, float] | None) -> None:
    """A pause that grows with every failure in a row, and an end to trying."""
    restart = next_start(PATIENCE, failures, ready_s)
    assert (restart and (restart.failures, restart.delay_s)) == then


@given(lives=st.lists(st.floats(0, 29), min_size=PATIENCE.tries + 1))
def test_no_service_is_started_for_ever(lives: list[float]) -> None:
    """Whatever keeps ending before it is steady is given up after `tries` restarts."""
    failures, starts = 0, 0
    for ready_s in lives:
        restart = next_start(PATIENCE, failures, ready_s)
        if restart is None:
            break
        failures, starts = restart.failures, starts + 1
    assert starts == PATIENCE.tries


@pytest.mark.parametrize(
    ("status", "words"),
    [
        pytest.param(0, "ended with status 0", id="by-itself"),
        pytest.param(3, "ended with status 3", id="failed"),
        pytest.param(-9, "was killed by signal 9", id="killed"),
    ],
)
def test_how_a_process_ended_in_words(status: int, words: str) -> None:
    """Status and signal are told apart."""
    assert ending(status) == words


@pytest.mark.parametrize("name", ["localhost", "example.com", "127.0.0.1.sslip.io", "a-b.c"])
def test_a_domain(name: str) -> None:
    """Any DNS name will do."""
    assert domain("--domain", name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "a..b", "Example.com", "a_b", "-a", "localhost:8080", "a/b", "a." * 127 + "a"]
)
def test_a_domain_that_is_none(name: str) -> None:
    """It would make host names that no request can have."""
    with pytest.raises(SettingError, match=r"--domain: .* use a DNS name"):
        domain("--domain", name)

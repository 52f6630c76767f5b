"""What Revisions, EndpointSlices and pods say, read for the throttlers."""

from __future__ import annotations

import pytest

from activator.throttle import read
from activator.throttle.pod import Endpoint
from tests.activator.throttle.objects import (
    BACK_OFF,
    KEY,
    LABELS,
    RUNNING,
    container,
    ended,
    endpoint_slice,
    pod,
    revision,
    with_ready,
)
from torpor.errors import InvalidInputError
from torpor.spec import names
from torpor.spec.kinds import Object


def test_terms_are_the_revisions_own_or_the_defaults() -> None:
    """An annotation says how long requests wait."""
    plain = read.read_terms(revision(), 300.0)
    assert (plain.limits.concurrency, plain.limits.timeout_s, plain.activation_timeout_s) == (0, 300.0, 300.0)
    own = read.read_terms(revision(annotations={names.ACTIVATION_TIMEOUT: "7.5"}, containerConcurrency=3), 300.0)
    assert (own.limits.concurrency, own.activation_timeout_s) == (3, 7.5)


@pytest.mark.parametrize(
    ("obj", "says"),
    [
        pytest.param(revision(annotations={names.ACTIVATION_TIMEOUT: "soon"}), "seconds.*'soon'", id="no number"),
        pytest.param(revision(annotations={names.ACTIVATION_TIMEOUT: "0"}), "0.001 to 86400", id="no time at all"),
        pytest.param(revision(containerConcurrency=-1), r"spec.containerConcurrency: -1", id="concurrency"),
    ],
)
def test_terms_that_are_not_allowed_are_named(obj: Object, says: str) -> None:
    """Field, value and what is allowed."""
    with pytest.raises(InvalidInputError, match=says):
        read.read_terms(obj, 300.0)


@pytest.mark.parametrize(
    ("obj", "pods"),
    [
        pytest.param(endpoint_slice("s", "a", "b"), ["a", "b"], id="ready"),
        pytest.param(endpoint_slice("s", "a", ready=False), [], id="not ready"),
        pytest.param(endpoint_slice("s", "a", ready=True, terminating=True), [], id="ending"),
        pytest.param(endpoint_slice("s", "a", serving=True), ["a"], id="nothing said of ready is ready"),
        pytest.param(endpoint_slice("s", "a", labels=LABELS), [], id="a slice of no Service"),
        pytest.param(
            endpoint_slice("s", "a", labels=LABELS | {names.SERVICE_NAME: KEY[1]}), [], id="a slice of the public one"
        ),
        pytest.param({**endpoint_slice("s", "a"), "ports": []}, [], id="no port"),
        pytest.param({**endpoint_slice("s", "a"), "ports": [{"name": "metrics", "port": 1}]}, [], id="another port"),
        pytest.param({**endpoint_slice("s"), "endpoints": None}, [], id="no endpoints"),
    ],
)
def test_pods_that_take_requests(obj: Object, pods: list[str]) -> None:
    """Those that are ready, on the pods' own Service."""
    assert [at.pod for at in read.ready_endpoints(obj)] == pods


def test_an_endpoint_is_where_its_pod_listens() -> None:
    """Name, uid, address and the port that is called http."""
    [at] = read.ready_endpoints(endpoint_slice("s", "a"))
    assert at == Endpoint("a", "uid-a", "127.0.0.1", 20_001)


@pytest.mark.parametrize(
    ("obj", "says"),
    [
        pytest.param(pod("p"), None, id="nothing known yet"),
        pytest.param(pod("p", container(running=RUNNING)), None, id="running"),
        pytest.param(pod("p", container(waiting={"reason": "ContainerCreating"})), None, id="being made"),
        pytest.param(
            pod("p", container(waiting={"reason": "ErrImageNeverPull", "message": "needs a command"})),
            "container user-container of pod p cannot be started (ErrImageNeverPull): needs a command",
            id="an image that will never be there",
        ),
        pytest.param(
            pod("p", container(waiting={"reason": "CreateContainerConfigError", "message": 'secret "s" not found'})),
            'cannot be started (CreateContainerConfigError): secret "s" not found',
            id="a Secret that is not there",
        ),
        pytest.param(
            pod("p", container(1, ended(128, 'exec: "serve": not found', reason="StartError"), waiting=BACK_OFF)),
            'container user-container of pod p cannot be started (StartError): exec: "serve": not found',
            id="a program that is not there",
        ),
        pytest.param(
            pod("p", container(terminated=ended(0, reason="ContainerCannotRun"))),
            "cannot be started (ContainerCannotRun)",
            id="a program that cannot be run, whatever its code",
        ),
        pytest.param(
            pod("p", container(terminated=ended(128, "no licence"))),
            "ended with exit code 128: no licence",
            id="a code that is no signal's",
        ),
        pytest.param(
            pod("p", container(waiting={"reason": "CreateContainerError", "message": "exec: x: permission denied"})),
            "cannot be started (CreateContainerError): exec: x: permission denied",
            id="a program that cannot be run, by a runtime that says so while it waits",
        ),
        pytest.param(
            pod("p", container(waiting={"reason": "CreateContainerError", "message": "context deadline exceeded"})),
            None,
            id="a container runtime in trouble",
        ),
        pytest.param(pod("p", container(waiting={"reason": "ImagePullBackOff"})), None, id="an image that may come"),
        pytest.param(
            pod("p", container(terminated=ended(1, "fetch: no such bucket\n"))),
            "container user-container of pod p ended with exit code 1: fetch: no such bucket",
            id="ended by itself",
        ),
        pytest.param(
            pod("p", container(1, ended(2, "open: not a model"), waiting=BACK_OFF)),
            "ended with exit code 2: open: not a model",
            id="waiting to be tried again",
        ),
        pytest.param(pod("p", container(1, ended(2), running=RUNNING)), None, id="being tried again"),
        pytest.param(pod("p", container(1, ended(137), waiting=BACK_OFF)), None, id="killed once"),
        pytest.param(
            pod("p", container(3, ended(137, reason="OOMKilled"), waiting=BACK_OFF)),
            "was killed (OOMKilled)",
            id="killed again and again",
        ),
        pytest.param(
            pod("p", container(3, ended(0), waiting=BACK_OFF)), "ended with exit code 0", id="ends, again and again"
        ),
    ],
)
def test_why_a_pod_will_not_start(obj: Object, says: str | None) -> None:
    """The container's own last words, where it has some."""
    failure = read.failure_of(obj)
    assert failure == says if says is None or failure is None else says in failure


@pytest.mark.parametrize(
    ("obj", "verdict"),
    [
        pytest.param(revision(), None, id="nothing said"),
        pytest.param(with_ready("True"), None, id="ready"),
        pytest.param(with_ready("Unknown", "Deploying"), None, id="under way"),
        pytest.param(
            with_ready("False", "ExitCode1", "Container failed with: no model"),
            read.Verdict("revision app-1 cannot run (ExitCode1): Container failed with: no model"),
            id="failed",
        ),
        pytest.param(
            with_ready("False", "NotOwned"),
            read.Verdict("revision app-1 cannot run (NotOwned)", stands=True),
            id="unmade",
        ),
        pytest.param(
            with_ready("False", "FailedCreate", "exceeded quota"),
            read.Verdict("revision app-1 cannot run (FailedCreate): exceeded quota", told=True),
            id="no room for a pod",
        ),
    ],
)
def test_what_a_revision_says_of_itself(obj: Object, verdict: read.Verdict | None) -> None:
    """Its condition's own words, and whom they concern."""
    assert read.verdict_of(obj) == verdict


@pytest.mark.parametrize(
    ("restarts", "served", "says"),
    [
        pytest.param(1, {"2026-01-01T00:00:05Z"}, None, id="it had served: it may again"),
        pytest.param(1, {"2026-01-01T00:00:01Z"}, "ended with exit code 1", id="only an earlier run had served"),
        pytest.param(3, {"2026-01-01T00:00:05Z"}, "ended with exit code 1", id="it serves and ends, again and again"),
    ],
)
def test_a_container_that_ended_while_it_served_has_not_failed_to_start(
    restarts: int, served: set[str], says: str | None
) -> None:
    """Each run is known by when it began; after some restarts it does not matter any more."""
    obj = pod("p", container(restarts, ended(1), waiting=BACK_OFF))
    failure = read.failure_of(obj, frozenset(served))
    assert failure is None if says is None else failure is not None and says in failure


def test_the_runs_that_are_ready() -> None:
    """One that runs and is not ready, or was ready and has ended, is none."""
    running, fresh = {"startedAt": "2026-01-01T00:00:05Z"}, {"startedAt": "2026-01-01T00:00:09Z"}
    obj = pod(
        "p",
        container(running=running) | {"ready": True},
        container(running=fresh) | {"ready": False},
        container(terminated=ended()) | {"ready": True},
    )
    assert read.ready_runs(obj) == {"2026-01-01T00:00:05Z"}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param(
            container(0, running=RUNNING), container(1, ended(1, "warm: failed"), running=RUNNING), "warm: failed",
            id="ended and started again between two looks",
        ),
        pytest.param(container(1, ended(1), running=RUNNING), container(1, ended(1), running=RUNNING), None, id="same"),
        pytest.param(container(0, running=RUNNING), container(1, ended(137), running=RUNNING), None, id="killed"),
        pytest.param(container(0, running=RUNNING), container(1, ended(0), running=RUNNING), None, id="in peace"),
    ],
)  # fmt: skip
def test_what_a_container_said_between_two_looks(old: Object, new: Object, says: str | None) -> None:
    """Watches show the newest state, not each one that there was."""
    said = read.new_failure(pod("p", old), pod("p", new))
    assert said is None if says is None else said is not None and said.endswith(says)


def test_a_pod_that_was_not_seen_before_says_nothing_new() -> None:
    """What it said once is history."""
    assert read.new_failure(None, pod("p", container(1, ended(1), running=RUNNING))) is None

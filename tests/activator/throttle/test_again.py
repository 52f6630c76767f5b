"""When another request to a model that keeps failing to start is worth it."""

from __future__ import annotations

import datetime

import pytest

from activator.throttle.again import LIMIT_S, Again, next_run
from tests.activator.throttle.objects import container, pod
from torpor.spec.kinds import Object

BEGAN_S, ENDED_S = 1_000_000.0, 1_000_007.0
"""The failed run took 7 s."""


def stamp(at_s: float) -> str:
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


ENDED: Object = {"exitCode": 1, "startedAt": stamp(BEGAN_S), "finishedAt": stamp(ENDED_S)}


def backing_off(said: str) -> Object:
    return {
        "reason": "CrashLoopBackOff",
        "message": f"back-off {said} restarting failed container=user-container pod=p",
    }


@pytest.mark.parametrize(
    ("status", "begins_s"),
    [
        pytest.param(container(1, ENDED, waiting=backing_off("10s")), ENDED_S + 10, id="the kubelet says ten seconds"),
        pytest.param(container(5, ENDED, waiting=backing_off("2m40s")), ENDED_S + 160, id="minutes and seconds"),
        pytest.param(container(9, ENDED, waiting=backing_off("1h0m0s")), ENDED_S + 3600, id="hours"),
        pytest.param(container(9, ENDED, waiting=backing_off("1.5s")), ENDED_S + 1.5, id="parts of a second"),
        pytest.param(container(0, terminated=ENDED), ENDED_S, id="the first end: at once"),
        pytest.param(container(1, terminated=ENDED), ENDED_S + 10, id="the second end, before the kubelet has said so"),
        pytest.param(container(3, terminated=ENDED), ENDED_S + 40, id="the fourth end"),
        pytest.param(container(100, terminated=ENDED), ENDED_S + LIMIT_S, id="the hundredth end"),
        pytest.param(
            container(2, ENDED, waiting={"reason": "CrashLoopBackOff"}), ENDED_S + 20, id="a kubelet of few words"
        ),
        pytest.param(
            container(1, ENDED, running={"startedAt": stamp(ENDED_S + 3)}), ENDED_S + 3, id="it runs again already"
        ),
    ],
)
def test_when_the_next_run_begins(status: Object, begins_s: float) -> None:
    """By the kubelet's own word, else by Kubernetes' rule; and how long the last one took is known."""
    assert next_run(pod("p", status)) == Again(begins_s, 7.0)


@pytest.mark.parametrize(
    "statuses",
    [
        pytest.param((), id="no container yet"),
        pytest.param((container(running={"startedAt": stamp(BEGAN_S)}),), id="the first run"),
        pytest.param((container(terminated={"exitCode": 1}),), id="an end without a time"),
        pytest.param(
            (container(2, ENDED, waiting={"reason": "ErrImageNeverPull"}),), id="waits for what does not come"
        ),
    ],
)
def test_what_is_not_tried_again_by_itself(statuses: tuple[Object, ...]) -> None:
    """No time is made up."""
    assert next_run(pod("p", *statuses)) is None


def test_a_pod_is_tried_when_its_last_container_is() -> None:
    """A sidecar that starts sooner makes no pod ready."""
    sooner, later = (container(1, ENDED, waiting=backing_off(said)) for said in ("10s", "40s"))
    assert next_run(pod("p", later, sooner)) == Again(ENDED_S + 40, 7.0)


@pytest.mark.parametrize(
    ("usual_s", "at_s", "worth_s"),
    [
        pytest.param(None, ENDED_S, 17.0, id="as long as the pause and the last run"),
        pytest.param(30.0, ENDED_S, 40.0, id="the pause and a usual start, where starts were measured"),
        pytest.param(None, ENDED_S + 6, 11.0, id="some of the pause is over"),
        pytest.param(None, ENDED_S + 12, 5.0, id="it runs"),
        pytest.param(None, ENDED_S + 60, 0.0, id="it should have been known long ago"),
        pytest.param(None, ENDED_S - 7200, LIMIT_S + 7.0, id="the node's clock is two hours ahead"),
    ],
)
def test_when_another_request_is_worth_it(usual_s: float | None, at_s: float, worth_s: float) -> None:
    """When the next run has told what becomes of it."""
    assert Again(ENDED_S + 10, 7.0).worth_s(usual_s, at_s) == worth_s

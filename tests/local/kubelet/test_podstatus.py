"""Phase, conditions and container statuses, in Kubernetes' words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from torpor.local.kubelet.podstatus import (
    CREATING,
    ContainerSeen,
    PodKnown,
    Restart,
    Running,
    State,
    Terminated,
    Waiting,
    phase,
    status,
)

RUNNING = Running("then")
DONE = Terminated(0, "Completed", "then", "now")
FAILED = Terminated(3, "Error", "then", "now", "no such bucket", container_id="process://7")
BACK_OFF = Waiting("CrashLoopBackOff", "back-off 10s")


def seen(state: State, name: str = "main", last: Terminated | None = None, **known: bool) -> ContainerSeen:
    return ContainerSeen(name, "image", state, last, **known)  # type: ignore[arg-type]


def pod(*states: ContainerSeen, restart: Restart = "Always", init: tuple[ContainerSeen, ...] = ()) -> PodKnown:
    return PodKnown(states, init, restart, "start")


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(pod(seen(CREATING)), "Pending", id="being-created"),
        pytest.param(pod(seen(RUNNING)), "Running", id="running"),
        pytest.param(pod(seen(RUNNING), seen(CREATING)), "Pending", id="one-has-never-run"),
        pytest.param(pod(seen(BACK_OFF, last=FAILED)), "Running", id="waiting-to-run-again"),
        pytest.param(pod(seen(FAILED)), "Running", id="ended-and-about-to-be-restarted"),
        pytest.param(pod(seen(FAILED), restart="Never"), "Failed", id="ended-for-good-with-an-error"),
        pytest.param(pod(seen(DONE), restart="Never"), "Succeeded", id="ended-for-good"),
        pytest.param(pod(seen(DONE), restart="OnFailure"), "Succeeded", id="on-failure-success-is-for-good"),
        pytest.param(pod(seen(FAILED), restart="OnFailure"), "Running", id="on-failure-an-error-is-not"),
        pytest.param(pod(seen(DONE), seen(RUNNING), restart="Never"), "Running", id="one-still-runs"),
        pytest.param(pod(seen(CREATING), init=(seen(RUNNING, "init"),)), "Pending", id="initializing"),
        pytest.param(pod(seen(CREATING), init=(seen(FAILED, "init"),)), "Pending", id="an-init-container-is-retried"),
        pytest.param(
            pod(seen(CREATING), init=(seen(FAILED, "init"),), restart="Never"), "Failed", id="an-init-container-failed"
        ),
        pytest.param(replace(pod(seen(CREATING)), refused=("InvalidSpec", "no")), "Failed", id="refused"),
    ],
)
def test_phase(known: PodKnown, expected: str) -> None:
    """Kubernetes' rules."""
    assert phase(known) == expected


def test_a_container_that_runs_after_a_crash() -> None:
    """State, last state, counts: all that `kubectl describe` shows."""
    container = ContainerSeen("main", "image", RUNNING, FAILED, 2, ready=True, started=True, container_id="process://8")
    [told] = status(pod(container), {}, "now")["containerStatuses"]
    assert told == {
        "name": "main",
        "image": "image",
        "imageID": "",
        "containerID": "process://8",
        "state": {"running": {"startedAt": "then"}},
        "lastState": {
            "terminated": {
                "exitCode": 3,
                "reason": "Error",
                "message": "no such bucket",
                "startedAt": "then",
                "finishedAt": "now",
                "containerID": "process://7",
            }
        },
        "ready": True,
        "started": True,
        "restartCount": 2,
    }


def test_a_container_that_waits() -> None:
    """Reason and message."""
    [told] = status(pod(seen(BACK_OFF)), {}, "now")["containerStatuses"]
    assert told["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(
            pod(seen(RUNNING, ready=True)),
            {"Initialized": "True", "ContainersReady": "True", "Ready": "True", "PodScheduled": "True"},
            id="ready",
        ),
        pytest.param(
            pod(seen(RUNNING, ready=True), seen(RUNNING, "side")),
            {"Ready": "ContainersNotReady: containers with unready status: [side]", "Initialized": "True"},
            id="one-is-not-ready",
        ),
        pytest.param(
            pod(seen(CREATING), init=(seen(RUNNING, "init"),)),
            {"Initialized": "ContainersNotInitialized: containers with incomplete status: [init]"},
            id="initializing",
        ),
        pytest.param(
            pod(seen(DONE), restart="Never"), {"Ready": "PodCompleted: ", "Initialized": "True"}, id="completed"
        ),
        pytest.param(pod(seen(FAILED), restart="Never"), {"Ready": "PodFailed: "}, id="failed"),
    ],
)
def test_conditions(known: PodKnown, expected: dict[str, str]) -> None:
    """True, or why not."""
    said = {
        item["type"]: item["status"]
        if item["status"] == "True"
        else f"{item.get('reason', '')}: {item.get('message', '')}"
        for item in status(known, {}, "now")["conditions"]
    }
    assert {key: said[key] for key in expected} == expected


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    """The same again is equal; a change takes the new time, and only there."""
    first = status(pod(seen(RUNNING)), {}, "1")
    assert status(pod(seen(RUNNING)), first, "2") == first
    later = {item["type"]: item for item in status(pod(seen(RUNNING, ready=True)), first, "2")["conditions"]}
    assert later["Ready"]["lastTransitionTime"] == "2"
    assert later["Initialized"]["lastTransitionTime"] == "1"


def test_a_pod_that_is_refused_says_why() -> None:
    """Reason and message beside the phase."""
    told = status(replace(pod(), refused=("InvalidSpec", "spec.containers: …")), {}, "now")
    assert (told["phase"], told["reason"], told["message"]) == ("Failed", "InvalidSpec", "spec.containers: …")

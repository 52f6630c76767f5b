"""`modelStatus`: what is said of the model, by what its pods and its Knative Service say."""

from __future__ import annotations

from typing import Any

import pytest

from controller.inferenceservice.models import model_status
from tests.controller.inferenceservice.world import LATER, NOW, condition, ended, pod
from torpor.spec.kinds import Object


def service(created: str = "r1", ready: str = "r1", configurations: Object | None = None) -> Object:
    return {
        "status": {
            "latestCreatedRevisionName": created,
            "latestReadyRevisionName": ready,
            "conditions": [configurations or condition("ConfigurationsReady")],
        }
    }


def waits(reason: str, message: str = "why") -> Object:
    return {"waiting": {"reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("created", "ready", "pods", "active", "target", "transition"),
    [
        pytest.param("", "", [], "Pending", "Pending", "InProgress", id="no revision yet"),
        pytest.param("r1", "", [], "Pending", "Pending", "InProgress", id="no pod yet"),
        pytest.param("r1", "", [pod("r1")], "Pending", "Loading", "InProgress", id="the first load"),
        pytest.param("r1", "r1", [pod("r1", ready=True)], "Loaded", "Loaded", "UpToDate", id="it serves"),
        pytest.param("r1", "r1", [], "Standby", "Standby", "UpToDate", id="asleep at zero"),
        pytest.param("r1", "r1", [pod("r1")], "Standby", "Loading", "UpToDate", id="waking"),
        pytest.param("r1", "r1", [pod("r1"), pod("r1", ready=True)], "Loaded", "Loaded", "UpToDate", id="growing"),
        pytest.param(
            "r2", "r1", [pod("r1", ready=True), pod("r2")], "Loaded", "Loading", "InProgress", id="the next one loads"
        ),
        pytest.param(
            "r2",
            "r1",
            [pod("r2", state=ended())],
            "Standby",
            "FailedToLoad",
            "BlockedByFailedLoad",
            id="the next fails",
        ),
        pytest.param(
            "r1", "r1", [pod("r1", deletionTimestamp=NOW)], "Standby", "Standby", "UpToDate", id="a pod that is ending"
        ),
    ],
)
def test_states(created: str, ready: str, pods: list[Object], active: str, target: str, transition: str) -> None:
    """Of what requests meet now, and of what the newest spec asks for."""
    found = model_status(service(created, ready), pods, {}, NOW)
    assert found["states"] == {"activeModelState": active, "targetModelState": target}
    assert found["transitionStatus"] == transition
    assert ("lastFailureInfo" in found) == (target == "FailedToLoad")


@pytest.mark.parametrize(
    ("fields", "reason", "message", "code"),
    [
        pytest.param({"state": ended("fetch: no bucket")}, "ModelLoadFailed", "fetch: no bucket", 1, id="it has ended"),
        pytest.param(
            {"state": waits("CrashLoopBackOff"), "last": ended("fetch: no")},
            "ModelLoadFailed",
            "fetch: no",
            1,
            id="waits",
        ),
        pytest.param({"last": ended("again")}, "ModelLoadFailed", "again", 1, id="it runs again and is not ready"),
        pytest.param(
            {"state": ended("", 137)},
            "ModelLoadFailed",
            "Error: the container ended with exit code 137",
            137,
            id="killed",
        ),
        pytest.param(
            {"state": waits("ErrImageNeverPull", "needs a command")},
            "RuntimeUnhealthy",
            "ErrImageNeverPull: needs a command",
            None,
            id="cannot be started",
        ),
    ],
)
def test_why_a_load_failed(fields: dict[str, Any], reason: str, message: str, code: int | None) -> None:
    """The pod's own words, its exit code, which pod and which revision."""
    found = model_status(service(ready=""), [pod("r1", **fields)], {}, LATER)
    info = found["lastFailureInfo"]
    assert (info["reason"], info["message"], info.get("exitCode")) == (reason, message, code)
    assert (info["location"], info["modelRevisionName"]) == ("p", "r1")
    assert info["time"] == (LATER if code is None else NOW)
    assert found["copies"] == {"failedCopies": 1, "totalCopies": 1}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"state": waits("ContainerCreating")}, id="it is being made"),
        pytest.param({"state": waits("CrashLoopBackOff"), "last": ended(code=0)}, id="it ended well"),
        pytest.param({}, id="it runs"),
    ],
)
def test_what_is_no_failure(fields: dict[str, Any]) -> None:
    """A pod that may yet become ready as things are."""
    assert model_status(service(ready=""), [pod("r1", **fields)], {}, NOW)["states"]["targetModelState"] == "Loading"


def test_the_newest_failure_is_told() -> None:
    """Of several copies, the one that failed last."""
    pods = [pod("r1", "new", state=ended("new", at=LATER)), pod("r1", "old", state=ended("old"))]
    found = model_status(service(ready=""), pods, {}, LATER)
    assert (found["lastFailureInfo"]["location"], found["copies"]["failedCopies"]) == ("new", 2)


def test_a_failure_outlives_its_pods() -> None:
    """The autoscaler takes them away; the reason stays as long as Knative says that the revision failed."""
    broken = service(ready="", configurations=condition("ConfigurationsReady", "False", "RevisionFailed", "message"))
    before = model_status(broken, [pod("r1", state=ended("fetch: no"))], {}, NOW)
    after = model_status(broken, [], before, LATER)
    assert after["lastFailureInfo"] == before["lastFailureInfo"]
    assert after["states"]["targetModelState"] == "FailedToLoad"
    healed = model_status(service(), [pod("r1", ready=True)], after, LATER)
    assert "lastFailureInfo" not in healed


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        pytest.param("Container failed with: fetch: no", "ModelLoadFailed", id="the container ended"),
        pytest.param("Unable to fetch image", "RuntimeUnhealthy", id="it never ran"),
    ],
)
def test_what_knative_says_is_told_where_no_pod_says_more(message: str, reason: str) -> None:
    """Another revision's failure says nothing about this one."""
    broken = service("r2", "r1", condition("ConfigurationsReady", "False", "RevisionFailed", message))
    before = {"lastFailureInfo": {"modelRevisionName": "r1", "message": "of r1", "reason": "ModelLoadFailed"}}
    info = model_status(broken, [], before, LATER)["lastFailureInfo"]
    assert info == {"modelRevisionName": "r2", "reason": reason, "message": message, "time": LATER}


def test_the_same_failure_keeps_its_time() -> None:
    """Looking again is not failing again."""
    pods = [pod("r1", state=waits("ErrImageNeverPull"))]
    first = model_status(service(ready=""), pods, {}, NOW)
    assert model_status(service(ready=""), pods, first, LATER) == first

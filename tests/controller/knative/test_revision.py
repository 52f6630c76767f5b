"""A Revision: its Deployment and core Service, how it fares, and whether anybody uses it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.knative.reconcile.revision import Seen, reconcile
from controller.knative.resources import core_services
from controller.knative.resources.deployment import deployment
from controller.plan import NOTHING
from tests.controller.knative.objects import (
    LATER,
    NOW,
    OPTIONS,
    condition,
    created,
    marks,
    replaced,
    revision,
    stored,
    template,
    with_status,
)
from torpor.spec import names
from torpor.spec.fields import Fields
from torpor.spec.kinds import CORE_SERVICE, DEPLOYMENT, Object
from torpor.spec.revision import parse_revision
from torpor.spec.service import scaling_of

DEPLOYING = ("Unknown", "Deploying", "")
TRUE = ("True", "", "")
QUEUED = ("Unknown", "Queued", "Requests to the target are being buffered as resources are provisioned.")
NO_TRAFFIC = ("False", "NoTraffic", "The target is not receiving traffic.")
TIMED_OUT = ("False", "TimedOut", "The target could not be activated.")
NEVER = ("False", "ProgressDeadlineExceeded", "Initial scale was never achieved")


def annotated(**annotations: str) -> Object:
    """A revision with autoscaling annotations."""
    values = {names.AUTOSCALING + name.replace("_", "-"): value for name, value in annotations.items()}
    return revision(template_=template(annotations=values))


def children(obj: Object) -> tuple[Object, Object]:
    """Return the Deployment and core Service as they are made for a revision."""
    spec = parse_revision(Fields(obj).object("spec"))
    scaling = scaling_of(Fields(obj).object("metadata"), spec)
    made = deployment(obj, spec, scaling)
    return stored(DEPLOYMENT, made), stored(CORE_SERVICE, core_services.private_service(obj, spec))


def running(
    obj: Object,
    *pods: Object,
    replicas: int = 1,
    ready: int = 0,
    conditions: tuple[Object, ...] = (),
    routes: tuple[str, ...] = (),
) -> Seen:
    """What is seen of a revision whose Deployment has so many pods."""
    made, service = children(obj)
    made["spec"]["replicas"] = replicas
    made["status"] = {"readyReplicas": ready, "availableReplicas": ready, "conditions": list(conditions)}
    return Seen(made, service, pods, routes)


def pod(*containers: Object, conditions: tuple[Object, ...] = (), **metadata: Any) -> Object:
    return {
        "metadata": {"name": "pod", **metadata},
        "status": {"containerStatuses": list(containers), "conditions": list(conditions)},
    }


def waiting(reason: str, message: str = "", ended: Object | None = None) -> Object:
    last = {} if ended is None else {"lastState": {"terminated": ended}}
    return {"name": "user-container", "state": {"waiting": {"reason": reason, "message": message}}, **last}


def ended(code: int, message: str = "", reason: str = "") -> Object:
    return {"exitCode": code, "message": message, "reason": reason}


def once_ready(obj: Object) -> Object:
    """Return the revision after its pod was ready."""
    return with_status(obj, reconcile(obj, running(obj, ready=1), OPTIONS, NOW))


def test_a_new_revision_gets_a_deployment_and_a_core_service() -> None:
    """Until they are there it is deploying."""
    plan = reconcile(revision(), Seen(), OPTIONS, NOW)
    assert created(plan) == [("Deployment", "svc-00001-deployment"), ("Service", "svc-00001-private")]
    assert marks(plan.status) == {
        "Active": DEPLOYING,
        "ContainerHealthy": DEPLOYING,
        "Ready": DEPLOYING,
        "ResourcesAvailable": DEPLOYING,
    }
    assert plan.status is not None
    assert plan.status["observedGeneration"] == 1
    (active,) = [each for each in plan.status["conditions"] if each["type"] == "Active"]
    assert active["severity"] == "Info"


PROGRESSING = condition("Progressing", "True", "ReplicaSetUpdated", "on its way")
LATE = condition("Progressing", "False", "ProgressDeadlineExceeded", "it has timed out progressing")
UNSCHEDULED = condition("PodScheduled", "False", "Unschedulable", "0/1 nodes are available")
NO_ENGINE = "there is no container engine"


@pytest.mark.parametrize(
    ("seen", "available", "healthy", "active"),
    [
        pytest.param(running(revision()), DEPLOYING, DEPLOYING, QUEUED, id="its pod is starting"),
        pytest.param(
            running(revision(), conditions=(PROGRESSING,)), DEPLOYING, DEPLOYING, QUEUED, id="the Deployment progresses"
        ),
        pytest.param(running(revision(), ready=1), TRUE, TRUE, TRUE, id="its pod is ready"),
        pytest.param(
            running(revision(), pod(waiting("ErrImageNeverPull", NO_ENGINE))),
            ("False", "ErrImageNeverPull", NO_ENGINE),
            DEPLOYING,
            QUEUED,
            id="its image cannot be run here",
        ),
        pytest.param(
            running(revision(), pod(waiting("ImagePullBackOff", "not found"))),
            ("False", "ImagePullBackOff", "not found"),
            DEPLOYING,
            QUEUED,
            id="its image cannot be pulled",
        ),
        pytest.param(
            running(revision(), pod(waiting("CreateContainerConfigError", 'secret "s" not found'))),
            ("False", "CreateContainerConfigError", 'secret "s" not found'),
            DEPLOYING,
            QUEUED,
            id="a Secret is missing",
        ),
        pytest.param(
            running(revision(), pod(waiting("ContainerCreating"))), DEPLOYING, DEPLOYING, QUEUED, id="waiting as usual"
        ),
        pytest.param(
            running(revision(), pod(waiting("ContainerCreating", "volume")), conditions=(LATE,)),
            ("False", "ContainerCreating", "volume"),
            DEPLOYING,
            QUEUED,
            id="waiting for too long",
        ),
        pytest.param(
            running(revision(), conditions=(LATE,)),
            ("False", "ProgressDeadlineExceeded", "it has timed out progressing"),
            DEPLOYING,
            QUEUED,
            id="too late, and nobody knows why",
        ),
        pytest.param(
            running(revision(), conditions=(condition("ReplicaFailure", "True", "FailedCreate", "quota"),)),
            ("False", "FailedCreate", "quota"),
            DEPLOYING,
            QUEUED,
            id="a quota is used up",
        ),
        pytest.param(
            running(revision(), pod(conditions=(UNSCHEDULED,))),
            ("Unknown", "Unschedulable", "0/1 nodes are available"),
            DEPLOYING,
            QUEUED,
            id="no node yet: one may be on its way",
        ),
        pytest.param(
            running(revision(), pod(waiting("CrashLoopBackOff", "back-off", ended(1, "fetch: no such bucket\n")))),
            DEPLOYING,
            ("False", "ExitCode1", "Container failed with: fetch: no such bucket"),
            QUEUED,
            id="its container failed and waits to be started again",
        ),
        pytest.param(
            running(revision(), pod({"name": "c", "state": {"terminated": ended(3, "no")}})),
            DEPLOYING,
            ("False", "ExitCode3", "Container failed with: no"),
            QUEUED,
            id="its container failed just now",
        ),
        pytest.param(
            running(
                revision(), pod({"name": "c", "state": {"running": {}}, "lastState": {"terminated": ended(2, "x")}})
            ),
            DEPLOYING,
            ("False", "ExitCode2", "Container failed with: x"),
            QUEUED,
            id="its container failed and tries again",
        ),
        pytest.param(
            running(revision(), pod(waiting("CrashLoopBackOff", "", ended(0)))),
            DEPLOYING,
            ("False", "ExitCode0", "Container failed with: container exited with no error"),
            QUEUED,
            id="its container ended without an error",
        ),
        pytest.param(
            running(revision(), pod(waiting("CrashLoopBackOff", "", ended(137, reason="OOMKilled")))),
            DEPLOYING,
            ("False", "ExitCode137", "Container failed with: OOMKilled"),
            QUEUED,
            id="its container was killed without a word",
        ),
        pytest.param(
            running(revision(), pod(waiting("CrashLoopBackOff", "", ended(1, "no")), deletionTimestamp=NOW)),
            DEPLOYING,
            DEPLOYING,
            QUEUED,
            id="a pod that is going says nothing any more",
        ),
        pytest.param(running(revision(), replicas=0), NEVER, DEPLOYING, TIMED_OUT, id="given up before it was ready"),
    ],
)
def test_how_a_revision_fares(
    seen: Seen, available: tuple[str, str, str], healthy: tuple[str, str, str], active: tuple[str, str, str]
) -> None:
    """A first start, in Knative's conditions; Ready is the first failure of the two that make it up."""
    plan = reconcile(revision(), seen, OPTIONS, NOW)
    found = marks(plan.status)
    assert (found["ResourcesAvailable"], found["ContainerHealthy"], found["Active"]) == (available, healthy, active)
    failures = [mark for mark in (available, healthy) if mark[0] == "False"]
    undecided = [mark for mark in (available, healthy) if mark[0] == "Unknown"]
    assert found["Ready"] == (failures or undecided or [TRUE])[0]


def test_an_initial_container_that_has_done_its_work_is_no_failure() -> None:
    """One that failed is."""
    done = {"name": "init", "state": {"terminated": ended(0)}}
    bad = {"name": "init", "state": {"terminated": ended(1, "init failed")}}
    for status, wanted in ((done, DEPLOYING), (bad, ("False", "ExitCode1", "Container failed with: init failed"))):
        seen = running(revision(), {"metadata": {"name": "p"}, "status": {"initContainerStatuses": [status]}})
        assert marks(reconcile(revision(), seen, OPTIONS, NOW).status)["ContainerHealthy"] == wanted


def test_asleep_is_ready() -> None:
    """Scaled to zero: Ready stays True, Active says why there is no pod."""
    obj = once_ready(revision())
    found = marks(reconcile(obj, running(obj, replicas=0), OPTIONS, LATER).status)
    assert found == {"Active": NO_TRAFFIC, "ContainerHealthy": TRUE, "Ready": TRUE, "ResourcesAvailable": TRUE}


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(running(revision()), id="waking"),
        pytest.param(running(revision(), pod(waiting("CrashLoopBackOff", "", ended(137)))), id="its pod was killed"),
        pytest.param(running(revision(), pod(conditions=(UNSCHEDULED,))), id="no node yet"),
    ],
)
def test_ready_once_is_ready(seen: Seen) -> None:
    """Between sleep and service, and after a crash, it is still the revision that takes the traffic."""
    found = marks(reconcile(once_ready(revision()), seen, OPTIONS, LATER).status)
    assert found["ContainerHealthy"] == TRUE
    assert found["Ready"][0] != "False"
    assert found["Active"] == QUEUED


def test_a_revision_that_can_no_longer_be_started_says_so_until_it_can() -> None:
    """Its image is gone: not ready, until a pod is."""
    obj = once_ready(revision())
    seen = running(obj, pod(waiting("ImagePullBackOff", "gone")))
    failing = with_status(obj, reconcile(obj, seen, OPTIONS, NOW))
    assert marks(failing["status"])["Ready"] == ("False", "ImagePullBackOff", "gone")
    assert marks(reconcile(failing, running(obj, ready=1), OPTIONS, LATER).status)["Ready"] == TRUE


def test_a_failed_start_is_remembered_while_asleep_and_while_trying_again() -> None:
    """It is why the last start failed, until one succeeds."""
    crashed = running(revision(), pod(waiting("CrashLoopBackOff", "", ended(1, "no such bucket"))))
    obj = with_status(revision(), reconcile(revision(), crashed, OPTIONS, NOW))
    failed = ("False", "ExitCode1", "Container failed with: no such bucket")
    for seen in (running(obj, replicas=0), running(obj), running(obj, pod(waiting("ContainerCreating")))):
        again = with_status(obj, reconcile(obj, seen, OPTIONS, LATER))
        assert marks(again["status"])["ContainerHealthy"] == failed
        assert marks(again["status"])["Ready"] == failed
    assert marks(reconcile(obj, running(obj, ready=1), OPTIONS, LATER).status)["Ready"] == TRUE


@pytest.mark.parametrize(
    ("obj", "replicas", "wanted"),
    [
        pytest.param(revision(), 1, {0: False, 1: True}, id="one pod"),
        pytest.param(annotated(initial_scale="3"), 3, {2: False, 3: True}, id="as many as its initial scale"),
        pytest.param(annotated(min_scale="2"), 2, {1: False, 2: True}, id="as many as its least scale"),
        pytest.param(annotated(initial_scale="0"), 0, {0: True}, id="none: ready at once"),
    ],
)
def test_when_a_revision_is_ready_for_the_first_time(obj: Object, replicas: int, wanted: dict[int, bool]) -> None:
    """And its Deployment is made with just so many."""
    plan = reconcile(obj, Seen(), OPTIONS, NOW)
    assert plan.creates[0].obj["spec"]["replicas"] == replicas
    for ready, is_ready in wanted.items():
        found = marks(reconcile(obj, running(obj, replicas=replicas, ready=ready), OPTIONS, NOW).status)
        assert (found["Ready"] == TRUE) is is_ready


def test_the_replicas_are_the_autoscalers() -> None:
    """Once the Deployment exists they are kept as they are, also when all else is replaced."""
    obj = once_ready(revision())
    seen = running(obj, replicas=7, ready=7)
    assert seen.deployment is not None
    seen.deployment["metadata"]["annotations"][names.MADE_FROM] = "something older"
    seen.deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "4"
    plan = reconcile(obj, seen, OPTIONS, LATER)
    assert replaced(plan) == [("Deployment", "svc-00001-deployment")]
    written = plan.replaces[0].obj
    assert written["spec"]["replicas"] == 7
    assert written["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "4"
    assert written["metadata"]["resourceVersion"] == seen.deployment["metadata"]["resourceVersion"]
    assert written["spec"]["template"] == children(obj)[0]["spec"]["template"]


def test_what_the_api_fills_in_is_no_difference() -> None:
    """Defaults, and quantities in another notation, do not make the Deployment be written for ever."""
    obj = revision()
    seen = running(obj)
    assert seen.deployment is not None
    assert seen.service is not None
    seen.deployment["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "1"}}
    seen.service["spec"] |= {"clusterIP": "10.0.0.7", "type": "ClusterIP"}
    assert replaced(reconcile(obj, seen, OPTIONS, NOW)) == []


def test_a_core_service_that_was_changed_is_put_right() -> None:
    """What others added to it stays."""
    obj = revision()
    seen = running(obj)
    assert seen.service is not None
    seen.service["spec"] |= {"clusterIP": "10.0.0.7", "selector": {"app": "other"}}
    plan = reconcile(obj, seen, OPTIONS, NOW)
    assert replaced(plan) == [("Service", "svc-00001-private")]
    assert plan.replaces[0].obj["spec"]["clusterIP"] == "10.0.0.7"
    assert plan.replaces[0].obj["spec"]["selector"] == {names.REVISION_UID: "uid-of-Revision-svc-00001"}


@pytest.mark.parametrize("kind", [pytest.param(DEPLOYMENT, id="deployment"), pytest.param(CORE_SERVICE, id="service")])
def test_a_name_that_is_taken(kind: Any) -> None:
    """What somebody else made stays as it is."""
    obj = revision()
    made, service = children(obj)
    theirs = {**(made if kind is DEPLOYMENT else service)}
    theirs["metadata"] = {key: value for key, value in theirs["metadata"].items() if key != "ownerReferences"}
    seen = Seen(theirs, service) if kind is DEPLOYMENT else Seen(made, theirs)
    plan = reconcile(obj, seen, OPTIONS, NOW)
    assert (plan.creates, plan.replaces) == ((), ())
    name = theirs["metadata"]["name"]
    text = f'There is an existing {kind.kind} "{name}" that we do not own.'
    assert marks(plan.status)["ResourcesAvailable"] == marks(plan.status)["Ready"] == ("False", "NotOwned", text)


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        pytest.param({names.PROGRESS_DEADLINE: "soon"}, names.PROGRESS_DEADLINE, id="a deadline that is no duration"),
        pytest.param({names.PROGRESS_DEADLINE: "1ms"}, "whole seconds", id="a deadline of less than a second"),
        pytest.param({f"{names.AUTOSCALING}min-scale": "x"}, "min-scale", id="a scale that is no number"),
    ],
)
def test_a_revision_that_makes_no_sense(annotation: dict[str, str], says: str) -> None:
    """Nothing is made for it, and it says why."""
    plan = reconcile(revision(template_=template(annotations=annotation)), Seen(), OPTIONS, NOW)
    assert plan.creates == ()
    status, reason, message = marks(plan.status)["Ready"]
    assert (status, reason) == ("False", "InvalidSpec")
    assert says in message


@pytest.mark.parametrize(
    ("before", "routes", "superseded", "state", "modified"),
    [
        pytest.param("pending", (), False, None, None, id="not yet routed"),
        pytest.param("pending", ("a", "b"), False, "active", LATER, id="routed for the first time"),
        pytest.param("active", ("a", "b"), False, None, None, id="routed as before"),
        pytest.param("active", ("a",), False, "active", NOW, id="routed by others"),
        pytest.param("active", (), False, "reserve", LATER, id="no longer routed"),
        pytest.param("reserve", (), True, None, None, id="long out of use"),
        pytest.param("reserve", ("a", "b"), True, "active", LATER, id="taken back into use"),
        pytest.param("pending", (), True, "reserve", LATER, id="never routed, and there is a newer one"),
    ],
)
def test_use(before: str, routes: tuple[str, ...], superseded: bool, state: str | None, modified: str | None) -> None:  # noqa: FBT001
    """Labels and annotations say which Routes use a revision, and since when that is so."""
    obj = once_ready(revision())
    obj["metadata"]["labels"][names.ROUTING_STATE] = before
    if before == "active":
        obj["metadata"]["annotations"][names.ROUTES] = "a,b"
    seen = running(obj, ready=1)
    seen = Seen(seen.deployment, seen.service, seen.pods, routes, superseded)
    plan = reconcile(obj, seen, OPTIONS, LATER)
    if state is None:
        assert plan == NOTHING
        return
    assert replaced(plan) == [("Revision", "svc-00001")]
    metadata = plan.replaces[0].obj["metadata"]
    assert metadata["labels"][names.ROUTING_STATE] == state
    assert metadata["annotations"].get(names.ROUTES) == (",".join(routes) or None)
    assert metadata["annotations"][names.ROUTING_STATE_MODIFIED] == modified
    assert plan.replaces[0].obj["spec"] == obj["spec"]
    settled = plan.replaces[0].obj
    assert reconcile(settled, seen, OPTIONS, LATER) == NOTHING, "its Deployment does not depend on who routes to it"


def test_counts() -> None:
    """How many pods are asked for, and how many are ready."""
    status = reconcile(revision(), running(revision(), replicas=3, ready=2), OPTIONS, NOW).status
    assert status is not None
    assert (status["desiredReplicas"], status["actualReplicas"]) == (3, 2)
    assert status["containerStatuses"] == [{"name": "user-container"}]


def test_events() -> None:
    """Becoming ready and failing are told, each when it comes about."""
    obj = revision()
    ready = reconcile(obj, running(obj, ready=1), OPTIONS, NOW)
    assert [(note.type_, note.reason) for note in ready.notes] == [("Normal", "RevisionReady")]
    crashed = running(obj, pod(waiting("CrashLoopBackOff", "", ended(1, "no"))))
    failed = reconcile(obj, crashed, OPTIONS, NOW)
    assert [(note.type_, note.message) for note in failed.notes] == [
        ("Warning", "Revision failed with message: Container failed with: no")
    ]
    again = reconcile(with_status(obj, failed), running(obj, replicas=0), OPTIONS, LATER)
    assert again.notes == ()


CONTAINERS = st.sampled_from(
    [
        waiting("ContainerCreating"),
        waiting("ErrImageNeverPull", "no"),
        waiting("CrashLoopBackOff", "", ended(1, "no")),
        waiting("CrashLoopBackOff", "", ended(0)),
        {"name": "c", "state": {"running": {}}},
    ]
)
LOOKS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.lists(CONTAINERS, max_size=2), st.booleans()), max_size=6
)


@given(LOOKS, st.sampled_from(["0", "1", "2"]))
def test_every_history_settles(looks: list[tuple[int, int, list[Object], bool]], initial: str) -> None:
    """After each look a second one finds nothing; Ready is the two that make it up; healthy once is healthy."""
    obj = annotated(initial_scale=initial)
    healthy = False
    for replicas, ready, containers, late in looks:
        seen = running(
            obj,
            *(pod(each) for each in containers),
            replicas=replicas,
            ready=min(ready, replicas),
            conditions=(LATE,) if late else (PROGRESSING,),
        )
        obj = with_status(obj, reconcile(obj, seen, OPTIONS, NOW))
        assert reconcile(obj, seen, OPTIONS, LATER) == NOTHING
        found = marks(obj["status"])
        parts = {found["ResourcesAvailable"][0], found["ContainerHealthy"][0]}
        assert found["Ready"][0] == ("False" if "False" in parts else "Unknown" if "Unknown" in parts else "True")
        assert not healthy or found["ContainerHealthy"] == TRUE
        healthy = found["ContainerHealthy"] == TRUE

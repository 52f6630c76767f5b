"""A Knative Service: what it makes, and what it says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from controller.knative.reconcile import route as routes
from controller.knative.reconcile.service import Seen, reconcile
from controller.knative.resources import service as children
from controller.plan import NOTHING
from tests.controller.knative.objects import (
    LATER,
    NOW,
    OPTIONS,
    created,
    marks,
    replaced,
    revision,
    route,
    service,
    settled_configuration,
    stored,
    with_status,
)
from torpor.spec import names
from torpor.spec.kinds import CONFIGURATION, ROUTE, Object

URL = "http://svc.default.localhost:8080"
OUT_OF_DATE = "is still working to reflect the latest desired specification."


def routed(obj: Object, configuration: Object, *revisions: Object) -> Object:
    """Return a Route that has looked at these."""
    seen = routes.Seen({"svc": configuration}, {each["metadata"]["name"]: each for each in revisions})
    return with_status(obj, routes.reconcile(obj, seen, OPTIONS, NOW))


def ready_children(traffic: list[Object] | None = None) -> tuple[Object, Object]:
    only = revision(ready="True")
    configuration = settled_configuration(only)
    return configuration, routed(route(traffic=traffic), configuration, only)


def test_a_new_service_makes_a_configuration_and_a_route_of_its_name() -> None:
    """Both are owned, labelled with the Service, and have its labels and annotations but kubectl's own."""
    obj = service(
        labels={"team": "a"}, annotations={names.CREATOR: "me", names.LAST_APPLIED: "{}", names.ROLLOUT_DURATION: "9s"}
    )
    plan = reconcile(obj, Seen(), OPTIONS, NOW)
    assert created(plan) == [("Configuration", "svc"), ("Route", "svc")]
    configuration, route_ = (write.obj for write in plan.creates)
    for child in (configuration, route_):
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("Service", "uid-of-Service-svc", True)
        assert child["metadata"]["labels"] == {
            "team": "a",
            names.SERVICE: "svc",
            names.SERVICE_UID: "uid-of-Service-svc",
        }
    assert configuration["metadata"]["annotations"] == {names.CREATOR: "me", names.ROUTES: "svc"}
    assert route_["metadata"]["annotations"] == {names.CREATOR: "me", names.ROLLOUT_DURATION: "9s"}
    assert configuration["spec"] == {"template": obj["spec"]["template"]}
    assert route_["spec"]["traffic"] == [{"latestRevision": True, "percent": 100, "configurationName": "svc"}]
    assert [(note.reason, note.message) for note in plan.notes] == [
        ("Created", 'Created Configuration "svc"'),
        ("Created", 'Created Route "svc"'),
    ]
    assert marks(plan.status)["Ready"] == ("Unknown", "OutOfDate", f"The Configuration {OUT_OF_DATE}")
    assert plan.status is not None
    assert plan.status["observedGeneration"] == 1


def test_a_ready_service_says_what_its_children_say() -> None:
    """URL, address, traffic, revisions, and three conditions that are true."""
    configuration, route_ = ready_children()
    plan = reconcile(service(), Seen(configuration, route_), OPTIONS, NOW)
    assert plan.status == {
        "observedGeneration": 1,
        "latestCreatedRevisionName": "svc-00001",
        "latestReadyRevisionName": "svc-00001",
        "url": URL,
        "address": {"url": URL},
        "traffic": [{"revisionName": "svc-00001", "latestRevision": True, "percent": 100}],
        "conditions": [
            {"type": type_, "status": "True", "lastTransitionTime": NOW}
            for type_ in ("ConfigurationsReady", "Ready", "RoutesReady")
        ],
    }
    assert (plan.creates, plan.replaces, plan.deletes) == ((), (), ())


def test_a_ready_service_is_left_alone() -> None:
    """A second look finds nothing to do, also later."""
    configuration, route_ = ready_children()
    seen = Seen(configuration, route_)
    obj = with_status(service(), reconcile(service(), seen, OPTIONS, NOW))
    assert reconcile(obj, seen, OPTIONS, LATER) == NOTHING


@pytest.mark.parametrize(
    ("ready", "message", "wanted"),
    [
        pytest.param(
            "",
            "",
            ("Unknown", "RevisionMissing", 'Configuration "svc" is waiting for a Revision to become ready.'),
            id="its revision is not ready yet",
        ),
        pytest.param(
            "False",
            "Container failed with: oh no",
            ("False", "RevisionFailed", 'Revision "svc-00001" failed with message: Container failed with: oh no.'),
            id="its revision failed",
        ),
        pytest.param("True", "", ("True", "", ""), id="its revision is ready"),
    ],
)
def test_ready(ready: str, message: str, wanted: tuple[str, str, str]) -> None:
    """The failure or the reason of what is still missing is on the Service too."""
    only = revision(ready=ready, reason="ExitCode1" if message else "", message=message)
    configuration = settled_configuration(only)
    seen = Seen(configuration, routed(route(), configuration, only))
    assert marks(reconcile(service(), seen, OPTIONS, NOW).status)["Ready"] == wanted


def test_a_new_template_goes_to_the_configuration_and_the_old_status_stays() -> None:
    """The Route is not touched, and traffic goes on where it went."""
    configuration, route_ = ready_children()
    before = with_status(service(), reconcile(service(), Seen(configuration, route_), OPTIONS, NOW))
    changed = {**before, "metadata": before["metadata"] | {"generation": 2}}
    changed["spec"] = {"template": {"spec": {"containers": [{"image": "example.com/app:2"}]}}}
    plan = reconcile(changed, Seen(configuration, route_), OPTIONS, LATER)
    assert replaced(plan) == [("Configuration", "svc")]
    (write,) = plan.replaces
    assert write.obj["spec"]["template"] == changed["spec"]["template"]
    assert write.obj["metadata"]["resourceVersion"] == configuration["metadata"]["resourceVersion"]
    assert plan.status is not None
    assert plan.status["observedGeneration"] == 2
    assert plan.status["latestReadyRevisionName"] == "svc-00001"
    assert plan.status["traffic"] == before["status"]["traffic"]
    found = marks(plan.status)
    assert found["ConfigurationsReady"] == ("Unknown", "OutOfDate", f"The Configuration {OUT_OF_DATE}")
    assert found["RoutesReady"] == ("True", "", "")


def test_new_traffic_goes_to_the_route_alone() -> None:
    """So no revision is made for it."""
    configuration, route_ = ready_children()
    plan = reconcile(
        service(traffic=[{"revisionName": "svc-00001", "percent": 100, "tag": "t", "url": "ignored"}], generation=2),
        Seen(configuration, route_),
        OPTIONS,
        NOW,
    )
    assert replaced(plan) == [("Route", "svc")]
    assert plan.replaces[0].obj["spec"]["traffic"] == [
        {"revisionName": "svc-00001", "percent": 100, "tag": "t", "latestRevision": False}
    ]
    assert marks(plan.status)["RoutesReady"] == ("Unknown", "OutOfDate", f"The Route {OUT_OF_DATE}")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"labels": {"extra": "label"}}, id="a label too many"),
        pytest.param({"annotations": {"extra": "annotation"}}, id="an annotation too many"),
    ],
)
def test_what_others_add_to_the_children_is_taken_off(change: dict[str, Any]) -> None:
    """The specification: extra labels and annotations of the children must be removed; finalizers and the like stay."""
    configuration, route_ = ready_children()
    spoilt = {**route_, "metadata": route_["metadata"] | {"finalizers": ["theirs"]}}
    for key, value in change.items():
        spoilt["metadata"][key] = (spoilt["metadata"].get(key) or {}) | value
    plan = reconcile(service(), Seen(configuration, spoilt), OPTIONS, NOW)
    assert replaced(plan) == [("Route", "svc")]
    metadata = plan.replaces[0].obj["metadata"]
    assert metadata["labels"] == route_["metadata"]["labels"]
    assert metadata["annotations"] == route_["metadata"].get("annotations", {})
    assert metadata["finalizers"] == ["theirs"]


@pytest.mark.parametrize(
    ("kind", "type_"),
    [
        pytest.param(CONFIGURATION, "ConfigurationsReady", id="configuration"),
        pytest.param(ROUTE, "RoutesReady", id="route"),
    ],
)
def test_a_name_that_is_taken(kind: Any, type_: str) -> None:
    """What somebody else made is neither changed nor believed."""
    made = children.configuration(service()) if kind is CONFIGURATION else children.route(service())
    theirs = stored(kind, {**made, "metadata": {"name": "svc"}})
    configuration, route_ = ready_children()
    seen = Seen(theirs, route_) if kind is CONFIGURATION else Seen(configuration, theirs)
    plan = reconcile(service(), seen, OPTIONS, NOW)
    assert (plan.creates, plan.replaces) == ((), ())
    text = f'There is an existing {kind.kind} "svc" that we do not own.'
    assert marks(plan.status)[type_] == marks(plan.status)["Ready"] == ("False", "NotOwned", text)


def test_a_child_that_has_not_looked_yet_is_out_of_date() -> None:
    """Its status is about what was asked before."""
    configuration, route_ = ready_children()
    behind = {**route_, "metadata": route_["metadata"] | {"generation": 2}}
    found = marks(reconcile(service(), Seen(configuration, behind), OPTIONS, NOW).status)
    assert found["RoutesReady"] == ("Unknown", "OutOfDate", f"The Route {OUT_OF_DATE}")


def test_traffic_that_did_not_follow_yet() -> None:
    """The Configuration has a newer ready revision than the Route sends traffic to."""
    _, route_ = ready_children()
    newer = settled_configuration(revision(1, ready="True"), revision(2, ready="True"), generation=2)
    newer = {**newer, "spec": settled_configuration(revision(ready="True"))["spec"]}
    plan = reconcile(service(), Seen(newer, route_), OPTIONS, NOW)
    text = "Traffic is not yet migrated to the latest revision."
    assert marks(plan.status)["RoutesReady"] == ("Unknown", "TrafficNotMigrated", text)


def test_times_change_only_with_what_they_are_about() -> None:
    """A condition keeps its lastTransitionTime while it says the same."""
    configuration, _ = ready_children()
    first = with_status(service(), reconcile(service(), Seen(configuration), OPTIONS, NOW))
    waiting = settled_configuration(revision())
    plan = reconcile(first, Seen(configuration, routed(route(), waiting)), OPTIONS, LATER)
    assert plan.status is not None
    times = {item["type"]: item["lastTransitionTime"] for item in plan.status["conditions"]}
    assert times == {"ConfigurationsReady": NOW, "RoutesReady": LATER, "Ready": LATER}

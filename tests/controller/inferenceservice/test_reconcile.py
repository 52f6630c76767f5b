"""From an InferenceService and what is seen of its world to what is written."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.plan import NOTHING, Plan
from tests.controller.inferenceservice.world import (
    LATER,
    NAME,
    SERVICE,
    World,
    condition,
    ended,
    isvc,
    pod,
    ready_world,
    target,
)
from torpor.spec.kinds import Object

S3_MODEL = {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://models/iris"}
ACCOUNT = {"metadata": {"name": "models", "namespace": "default"}, "secrets": [{"name": "keys"}]}
KEYS = {"metadata": {"name": "keys", "namespace": "default"}, "data": {"AWS_SECRET_ACCESS_KEY": "eA=="}}


def notes(plan: Plan) -> list[tuple[str, str]]:
    return [(note.type_, note.reason) for note in plan.notes]


def statuses(world: World) -> dict[str, str]:
    return {each["type"]: each["status"] for each in world.status["conditions"]}


# --- from nothing to ready, to zero and back -------------------------------------------------------------------


def test_a_new_one_gets_a_service_and_a_route() -> None:
    """And is told to be on its way: nothing has failed."""
    world = World(isvc())
    plan = world.settle()
    assert [write.obj["metadata"]["name"] for write in plan.creates] == [SERVICE, NAME]
    assert set(statuses(world).values()) == {"Unknown", "False"}
    assert [type_ for type_, status in statuses(world).items() if status == "False"] == ["Stopped"]
    assert world.status["modelStatus"]["transitionStatus"] == "InProgress"


def test_ready_says_where_and_what() -> None:
    """URL, address, revisions, traffic, conditions and model, as KServe's clients read them."""
    world = ready_world()
    status = world.status
    assert status["url"] == status["address"]["url"] == "http://iris.default.localhost:8080"
    assert status["components"]["predictor"] == {
        "latestCreatedRevision": "r1",
        "latestReadyRevision": "r1",
        "latestRolledoutRevision": "r1",
        "traffic": [target("r1", 100)],
        "url": "http://iris-predictor.default.localhost:8080",
    }
    assert status["modelStatus"] == {
        "copies": {"failedCopies": 0, "totalCopies": 1},
        "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
        "transitionStatus": "UpToDate",
    }
    assert {type_ for type_, value in statuses(world).items() if value == "True"} == {
        "IngressReady",
        "LatestDeploymentReady",
        "PredictorConfigurationReady",
        "PredictorReady",
        "PredictorRouteReady",
        "Ready",
        "RoutesReady",
    }
    assert (status["observedGeneration"], status["deploymentMode"]) == (1, "Knative")


def test_what_is_no_part_of_ready_has_severity_info() -> None:
    """As in KServe, so that clients know which of them to wait for."""
    severities = {each["type"]: each.get("severity") for each in ready_world().status["conditions"]}
    plain = {type_ for type_, severity in severities.items() if severity is None}
    assert plain == {"Ready", "PredictorReady", "IngressReady"}
    assert set(severities.values()) == {None, "Info"}


def test_asleep_at_zero_is_ready() -> None:
    """The next request wakes it."""
    world = ready_world({"minReplicas": 0})
    world.pods = []
    world.settle(LATER)
    assert world.mark("Ready")["status"] == "True"
    assert world.status["modelStatus"]["states"] == {"activeModelState": "Standby", "targetModelState": "Standby"}


def test_nothing_to_do_is_nothing_written() -> None:
    """However often it is looked at, and whatever the time."""
    assert ready_world().look(LATER) == NOTHING


def test_becoming_ready_and_no_longer_is_told_once() -> None:
    """As events with KServe's reasons."""
    world = World(isvc())
    world.settle()
    world.knative("r1", "r1")
    assert notes(world.settle()) == [("Normal", "InferenceServiceReady")]
    assert notes(world.settle()) == []
    failure = condition("Ready", "False", "RevisionFailed", "gone")
    world.knative("r1", "r1", Ready=failure)
    assert notes(world.settle()) == [("Warning", "InferenceServiceNotReady"), ("Warning", "RevisionFailed")]
    assert notes(world.settle()) == []


# --- changes ---------------------------------------------------------------------------------------------------


def test_a_change_is_not_ready_by_what_was_seen_before_it() -> None:
    """Between writing the Service and Knative's look at it, its old `Ready` says nothing."""
    world = ready_world()
    world.change({"containerConcurrency": 3})
    plan = world.settle(LATER)
    assert [write.obj["metadata"]["name"] for write in plan.replaces] == [SERVICE]
    assert world.mark("Ready")["status"] == "Unknown"
    world.settle(LATER)
    assert world.mark("Ready")["status"] == "Unknown"
    world.knative("r2", "r2")
    world.settle(LATER)
    assert world.mark("Ready")["status"] == "True"


def test_what_others_wrote_on_the_service_stays() -> None:
    """Knative's webhook notes who made it; our annotation tells what from."""
    world = ready_world()
    assert world.service is not None
    world.service["metadata"]["annotations"]["serving.knative.dev/creator"] = "somebody"
    assert world.look() == NOTHING
    world.change({"containerConcurrency": 3})
    world.settle()
    assert world.service["metadata"]["annotations"]["serving.knative.dev/creator"] == "somebody"


def test_what_the_api_fills_in_is_no_difference() -> None:
    """Defaults of objects, and quantities written another way."""
    world = ready_world({"model": S3_MODEL | {"resources": {"limits": {"cpu": "1000m"}}}})
    assert world.service is not None
    spec = world.service["spec"]["template"]["spec"]
    spec["enableServiceLinks"] = False
    spec["containers"][0]["imagePullPolicy"] = "Always"
    spec["containers"][0]["resources"]["limits"]["cpu"] = "1"
    assert world.look() == NOTHING


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("spec", "template", "spec", "containers", 0, "image"), "other", id="the image"),
        pytest.param(("spec", "template", "spec", "containerConcurrency"), 9, id="the concurrency"),
        pytest.param(("spec", "traffic"), [{"latestRevision": True, "percent": 100, "tag": "x"}] * 2, id="traffic"),
        pytest.param(("metadata", "labels"), {}, id="labels"),
    ],
)
def test_what_somebody_changed_is_changed_back(path: tuple[str | int, ...], value: Any) -> None:
    """The InferenceService says how its Service is."""
    world = ready_world({"model": S3_MODEL, "containerConcurrency": 3})
    right = copy.deepcopy(world.service)
    assert world.service is not None
    assert right is not None
    place: Any = world.service
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    world.settle()
    assert (world.service["spec"], world.service["metadata"]["labels"]) == (right["spec"], right["metadata"]["labels"])


def test_a_field_that_is_taken_away_makes_a_revision() -> None:
    """Though all that is still wanted is there."""
    world = ready_world({"timeout": 60})
    world.change({"timeout": None})
    world.settle()
    assert world.service is not None
    assert "timeoutSeconds" not in world.service["spec"]["template"]["spec"]


# --- failures --------------------------------------------------------------------------------------------------


def test_a_load_that_failed_is_said() -> None:
    """In the model's status by the pod, in the conditions by Knative."""
    world = World(isvc())
    world.settle()
    failure = condition("Ready", "False", "RevisionFailed", "Container failed with: fetch: no such bucket")
    world.knative("r1", Ready=failure, ConfigurationsReady={**failure, "type": "ConfigurationsReady"})
    world.pods = [pod("r1", state=ended("fetch: no such bucket"))]
    world.settle()
    info = world.status["modelStatus"]["lastFailureInfo"]
    assert (info["reason"], info["exitCode"], info["message"]) == ("ModelLoadFailed", 1, "fetch: no such bucket")
    assert world.mark("Ready")["status"] == "False"
    assert "no such bucket" in world.mark("Ready")["message"]
    assert world.mark("LatestDeploymentReady")["reason"] == "PredictorConfigurationReady not ready"


@pytest.mark.parametrize(
    ("predictor", "reason", "failure", "says"),
    [
        pytest.param(
            {"model": {"modelFormat": {"name": "pmml"}, "storageUri": "s3://m"}},
            "NoSupportingRuntime",
            "NoSupportingRuntime",
            "huggingface, lightgbm, mar, onnx, python, pytorch, sklearn, torch, transformers, triton, xgboost",
            id="a format that nothing serves",
        ),
        pytest.param(
            {"model": S3_MODEL | {"runtime": "mine"}},
            "RuntimeNotRecognized",
            "RuntimeNotRecognized",
            "torpor-predictor",
            id="a runtime that is not there",
        ),
        pytest.param(
            {"minReplicas": 5, "maxReplicas": 2},
            "InvalidPredictorSpec",
            "InvalidPredictorSpec",
            "spec.predictor.minReplicas: 5",
            id="a field out of range",
        ),
        pytest.param(
            {"logger": {"mode": "all"}},
            "NotOffered",
            "InvalidPredictorSpec",
            "spec.predictor.logger",
            id="not offered yet",
        ),
    ],
)
def test_a_spec_that_cannot_be_served(predictor: dict[str, Any], reason: str, failure: str, says: str) -> None:
    """Nothing is made of it; condition, model and an event say why, once."""
    world = World(isvc(predictor))
    plan = world.settle()
    assert (plan.creates, notes(plan)) == ((), [("Warning", reason)])
    assert (world.mark("Ready")["status"], world.mark("PredictorReady")["reason"]) == ("False", reason)
    assert says in world.mark("Ready")["message"]
    model = world.status["modelStatus"]
    assert (model["transitionStatus"], model["states"]["targetModelState"]) == ("InvalidSpec", "FailedToLoad")
    assert model["lastFailureInfo"]["reason"] == failure
    assert says in model["lastFailureInfo"]["message"]
    assert world.look(LATER) == NOTHING


def test_a_transformer_is_said_not_to_be_offered_yet() -> None:
    """The predictor alone would answer something else."""
    world = World(isvc())
    world.owner["spec"]["transformer"] = {"containers": [{"image": "x"}]}
    assert world.settle().creates == ()
    assert "spec.transformer" in world.mark("Ready")["message"]
    assert "does not offer it yet" in world.mark("Ready")["message"]


def test_a_bad_change_leaves_what_runs() -> None:
    """The revision of before serves on, and the status still says where."""
    world = ready_world()
    url = world.status["url"]
    world.change({"minReplicas": -1})
    plan = world.settle()
    assert (plan.creates, plan.replaces, plan.deletes) == ((), (), ())
    assert (world.mark("Ready")["status"], world.status["url"]) == ("False", url)
    assert world.status["modelStatus"]["states"] == {"activeModelState": "Loaded", "targetModelState": "FailedToLoad"}
    world.change({"minReplicas": 1})
    world.settle()
    assert world.mark("Ready")["status"] == "True"


@pytest.mark.parametrize(
    ("account", "secrets", "reason", "says"),
    [
        pytest.param(None, {}, "ServiceAccountNotFound", "no ServiceAccount models in namespace default", id="account"),
        pytest.param(ACCOUNT, {"keys": None}, "SecretNotFound", "no Secret keys in namespace default", id="secret"),
    ],
)
def test_what_is_missing_is_named(
    account: Object | None, secrets: dict[str, Object | None], reason: str, says: str
) -> None:
    """And made up for as soon as it is there."""
    world = World(isvc({"model": S3_MODEL, "serviceAccountName": "models"}), account=account, secrets=secrets)
    assert world.settle().creates == ()
    assert (world.mark("Ready")["status"], world.mark("Ready")["reason"]) == ("False", reason)
    assert says in world.mark("Ready")["message"]
    world.account, world.secrets = ACCOUNT, {"keys": KEYS}
    assert len(world.settle().creates) == 2


def test_a_secret_is_not_missed_where_nothing_is_fetched_with_it() -> None:
    """A model on a volume needs no keys."""
    world = World(isvc({"serviceAccountName": "models"}), account=ACCOUNT, secrets={"keys": None})
    assert len(world.settle().creates) == 2


# --- names that are taken, stopping ----------------------------------------------------------------------------


def foreign(kind: str, name: str) -> Object:
    return {"kind": kind, "metadata": {"name": name, "namespace": "default", "uid": "x"}, "spec": {}}


def test_somebody_elses_service_is_left_alone() -> None:
    """And no Route leads to it."""
    world = World(isvc(), service=foreign("Service", SERVICE))
    plan = world.settle()
    assert (plan.creates, plan.replaces) == ((), ())
    assert (world.mark("Ready")["status"], world.mark("Ready")["reason"]) == ("False", "NotOwned")
    assert "Knative Service iris-predictor exists" in world.mark("Ready")["message"]


def test_somebody_elses_route_is_left_alone() -> None:
    """A Knative Service of the same name has one; the predictor runs all the same."""
    world = World(isvc(), route=foreign("Route", NAME))
    assert [write.obj["metadata"]["name"] for write in world.settle().creates] == [SERVICE]
    world.settle()
    assert (world.mark("IngressReady")["status"], world.mark("IngressReady")["reason"]) == ("False", "NotOwned")
    assert "url" not in world.status


def test_a_route_that_comes_before_its_configuration_has_not_failed() -> None:
    """Both are made together; whoever waits is not told of a failure."""
    world = World(isvc())
    world.settle()
    world.knative("r1")
    assert world.route is not None
    world.route["status"]["conditions"] = [condition("Ready", "False", "ConfigurationMissing", "not found")]
    world.settle()
    assert (world.mark("Ready")["status"], world.mark("IngressReady")["status"]) == ("Unknown", "Unknown")


def test_a_service_that_is_being_deleted_is_waited_for() -> None:
    """Its name is free only when it is gone."""
    world = ready_world()
    assert world.service is not None
    world.service["metadata"]["deletionTimestamp"] = LATER
    assert world.settle(LATER).replaces == ()
    assert (world.mark("Ready")["status"], world.mark("Ready")["reason"]) == ("Unknown", "Deploying")
    world.service = None
    assert [write.obj["metadata"]["name"] for write in world.settle(LATER).creates] == [SERVICE]


def test_stop_takes_the_service_away_and_start_brings_it_back() -> None:
    """KServe's annotation; the status says Stopped, and no URL that leads nowhere."""
    world = ready_world()
    world.change({}, annotations={"serving.kserve.io/stop": "true"})
    plan = world.settle()
    assert notes(plan) == [("Warning", "InferenceServiceNotReady"), ("Normal", "Stopped")]
    assert [(delete.name, delete.uid) for delete in plan.deletes] == [(SERVICE, "u-services"), (NAME, "u-routes")]
    assert {type_: statuses(world)[type_] for type_ in ("Stopped", "Ready", "PredictorReady", "IngressReady")} == {
        "Stopped": "True",
        "Ready": "False",
        "PredictorReady": "False",
        "IngressReady": "False",
    }
    assert world.mark("PredictorReady")["reason"] == "Stopped"
    assert "url" not in world.status
    world.pods = []
    assert world.look(LATER) == NOTHING
    world.change({}, annotations={"serving.kserve.io/stop": "false"})
    assert len(world.settle(LATER).creates) == 2
    assert statuses(world)["Stopped"] == "False"


# --- properties ------------------------------------------------------------------------------------------------

POD_STATES: list[dict[str, Any]] = [
    {},
    {"ready": True},
    {"state": ended("fetch: no")},
    {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "last": ended("fetch: no", 3)},
    {"state": {"waiting": {"reason": "ErrImageNeverPull", "message": "no command"}}},
    {"deletionTimestamp": LATER},
]
predictors = st.fixed_dictionaries(
    {},
    optional={
        "minReplicas": st.sampled_from([0, 1, 2, -1, None]),
        "maxReplicas": st.sampled_from([0, 1, 5, None]),
        "canaryTrafficPercent": st.sampled_from([None, 0, 10, 100]),
        "containerConcurrency": st.sampled_from([0, 3, None]),
        "timeout": st.sampled_from([60, None]),
        "logger": st.sampled_from([{"mode": "all"}, None]),
        "model": st.sampled_from([S3_MODEL, {"modelFormat": {"name": "pmml"}}, S3_MODEL | {"args": ["-v"]}]),
        "serviceAccountName": st.sampled_from(["models", None]),
    },
)
steps = st.lists(
    st.one_of(
        predictors.map(lambda predictor: ("change", predictor)),
        st.sampled_from(["true", "false"]).map(lambda value: ("stop", value)),
        st.tuples(st.sampled_from(["r1", "r2", "r3"]), st.sampled_from(["", "r1", "r2", "r3"])).map(
            lambda names: ("knative", names)
        ),
        st.lists(st.tuples(st.sampled_from(["r1", "r2"]), st.sampled_from(POD_STATES)), max_size=3).map(
            lambda pods: ("pods", pods)
        ),
        st.booleans().map(lambda there: ("keys", there)),
    ),
    max_size=8,
)


@given(steps)
def test_whatever_happens_one_look_is_enough(steps: list[tuple[str, Any]]) -> None:
    """Once its plan is carried out and nothing else changes, the next look but one finds nothing to do.

    The first look writes objects, the second tells what became of them; both leave Ready as the summary it is.
    """
    world = World(isvc())
    for what, value in steps:
        if what == "change":
            world.change(value)
        elif what == "stop":
            world.change({}, annotations={"serving.kserve.io/stop": value})
        elif what == "knative" and world.service is not None and world.route is not None:
            world.knative(*value)
        elif what == "pods":
            world.pods = [pod(revision, f"p{index}", **state) for index, (revision, state) in enumerate(value)]
        elif what == "keys":
            world.account, world.secrets = (ACCOUNT, {"keys": KEYS}) if value else (None, {"keys": None})
        world.settle()
        again = world.settle(LATER)
        assert (again.creates, again.replaces, again.deletes) == ((), (), ())
        assert world.look(LATER) == NOTHING
        _check(world)


def _check(world: World) -> None:
    found = statuses(world)
    parts = {found["PredictorReady"], found["IngressReady"]}
    assert found["Ready"] == next(status for status in ("False", "Unknown", "True") if status in parts)
    assert world.status["observedGeneration"] == world.owner["metadata"]["generation"]
    if world.service is not None and found["Stopped"] == "True":
        raise AssertionError("it is stopped and has a Service")
    failed = world.status["modelStatus"]["states"]["targetModelState"] == "FailedToLoad"
    assert failed == ("lastFailureInfo" in world.status["modelStatus"])

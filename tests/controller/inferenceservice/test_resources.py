"""What an InferenceService is made into: a Knative Service, and a Route by the name that users know."""

from __future__ import annotations

from typing import Any

import pytest

from controller.inferenceservice import resources
from controller.inferenceservice.credentials import Sources
from tests.controller.inferenceservice.world import NAME, SERVICE, isvc
from torpor.local.kubelet.files import variable_of
from torpor.spec import names
from torpor.spec.inferenceservice import MAX_NAME, parse_inference_service
from torpor.spec.kinds import Object
from torpor.spec.service import parse_service

ALL = [{"latestRevision": True, "percent": 100}]
NO_SOURCES = Sources(None, {}, "")
IN_S3 = {"name": "STORAGE_URI", "value": "s3://m/iris"}
SCALING = "autoscaling.knative.dev/"


def made(predictor: dict[str, Any] | None = None, sources: Sources = NO_SOURCES, **metadata: Any) -> Object:
    owner = isvc(predictor, **metadata)
    service = resources.knative_service(owner, parse_inference_service(owner), sources, ALL)
    parse_service(service)  # Knative would take it
    return service


def container_of(service: Object) -> Object:
    found: Object = service["spec"]["template"]["spec"]["containers"][0]
    return found


def environment(service: Object) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container_of(service)["env"]}


def test_a_model_becomes_a_predictor_container() -> None:
    """Name, image, probes and environment are the contract with the predictor."""
    container = container_of(made())
    assert (container["name"], container["image"]) == ("kserve-container", "torpor/predictor")
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert environment(made()) == {
        "TORPOR_MODEL_NAME": NAME,
        "TORPOR_MODEL_FORMAT": "sklearn",
        "STORAGE_URI": "pvc://models/iris",
    }


def test_it_is_owned_and_labelled() -> None:
    """So that it goes with its owner, and can be found by KServe's labels, down to the pods."""
    metadata = made(labels={"team": "a"})["metadata"]
    assert (metadata["name"], metadata["namespace"]) == (SERVICE, "default")
    [reference] = metadata["ownerReferences"]
    assert (reference["kind"], reference["name"], reference["controller"]) == ("InferenceService", NAME, True)
    labels = {"team": "a", "serving.kserve.io/inferenceservice": NAME, "component": "predictor"}
    assert metadata["labels"] == labels
    assert made(labels={"team": "a"})["spec"]["template"]["metadata"]["labels"] == labels


@pytest.mark.parametrize(
    ("predictor", "metadata", "wanted"),
    [
        pytest.param({}, {}, {"min-scale": "1"}, id="KServe keeps one by default"),
        pytest.param({"minReplicas": 0, "maxReplicas": 3}, {}, {"min-scale": "0", "max-scale": "3"}, id="may sleep"),
        pytest.param(
            {"scaleTarget": 7, "scaleMetric": "rps"},
            {},
            {"min-scale": "1", "target": "7", "metric": "rps"},
            id="target",
        ),
        pytest.param(
            {},
            {"annotations": {SCALING + "window": "6s", SCALING + "min-scale": "9"}},
            {"window": "6s", "min-scale": "1"},
            id="annotations of the InferenceService go along, but the fields say how many",
        ),
        pytest.param(
            {"annotations": {SCALING + "window": "7s"}},
            {"annotations": {SCALING + "window": "6s"}},
            {"window": "7s", "min-scale": "1"},
            id="the predictor's own annotations win",
        ),
    ],
)
def test_how_it_scales_is_said_by_annotations(
    predictor: dict[str, Any], metadata: dict[str, Any], wanted: dict[str, str]
) -> None:
    """Those that Knative's autoscaler reads, on the template."""
    annotations = made(predictor, **metadata)["spec"]["template"]["metadata"]["annotations"]
    found = {key.removeprefix(SCALING): value for key, value in annotations.items() if key.startswith(SCALING)}
    assert found == wanted


def test_annotations_for_others_make_no_revision() -> None:
    """What kubectl and KServe keep on the InferenceService says nothing about its pods."""
    plain, noted = (
        made(annotations=annotations)["spec"]["template"]
        for annotations in (
            {},
            {
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "serving.kserve.io/stop": "false",
                "serving.knative.dev/rollout-duration": "60s",
                "torpor.dev/mirror": "app-predictor-00001=10",
            },
        )
    )
    assert plain == noted


def test_a_rollout_duration_is_the_services() -> None:
    """Knative reads it there."""
    service = made(annotations={"serving.knative.dev/rollout-duration": "60s"})
    assert service["metadata"]["annotations"]["serving.knative.dev/rollout-duration"] == "60s"


def test_only_a_word_of_the_owners_allows_pickles() -> None:
    """Loading one runs what is in it."""
    assert environment(made(annotations={"torpor.dev/allow-pickle": "true"}))["TORPOR_ALLOW_PICKLE"] == "true"
    assert "TORPOR_ALLOW_PICKLE" not in environment(made(annotations={"torpor.dev/allow-pickle": "false"}))


def test_concurrency_and_timeout_are_the_revisions() -> None:
    """KServe's timeout is also the one for the first byte."""
    spec = made({"containerConcurrency": 8, "timeout": 60})["spec"]["template"]["spec"]
    assert (spec["containerConcurrency"], spec["timeoutSeconds"], spec["responseStartTimeoutSeconds"]) == (8, 60, 60)
    assert "timeoutSeconds" not in made()["spec"]["template"]["spec"]


def test_a_batcher_is_the_servers_own() -> None:
    """No container beside it, as in KServe: two variables."""
    batcher = {"maxBatchSize": 8, "maxLatency": 500, "timeout": 5}
    found = environment(
        made({"model": {"modelFormat": {"name": "onnx"}, "storageUri": "pvc://c/m"}, "batcher": batcher})
    )
    assert (found["TORPOR_PREDICTOR_MAX_BATCH_SIZE"], found["TORPOR_PREDICTOR_QUEUE_TIMEOUT_MS"]) == ("8", "5000")
    assert "TORPOR_PREDICTOR_MAX_BATCH_SIZE" not in environment(made())


def test_a_claim_is_mounted_where_the_predictor_looks() -> None:
    """For reading, in the serving container alone."""
    spec = made({"volumes": [{"name": "v", "emptyDir": {}}]})["spec"]["template"]["spec"]
    claim = {"claimName": "models", "readOnly": True}
    assert spec["volumes"][1:] == [{"name": "torpor-model", "persistentVolumeClaim": claim}]
    mount = {"name": "torpor-model", "mountPath": "/mnt/pvc/models", "readOnly": True}
    assert spec["containers"][0]["volumeMounts"] == [mount]


def test_the_owners_words_about_the_container_win() -> None:
    """Variables by name, everything else as a whole."""
    model = {
        "modelFormat": {"name": "sklearn"},
        "storageUri": "file:///m",
        "args": ["--model_name=other", "-v"],
        "env": [{"name": "STORAGE_URI", "value": "file:///n"}, {"name": "A", "value": "1"}],
        "image": "example.com/mine",
        "resources": {"limits": {"memory": "1Gi"}},
    }
    service = made({"model": model})
    container = container_of(service)
    assert (container["image"], container["args"]) == ("example.com/mine", ["-v"])
    assert container["resources"] == {"limits": {"memory": "1Gi"}}
    assert environment(service) == {
        "TORPOR_MODEL_NAME": "other",
        "TORPOR_MODEL_FORMAT": "sklearn",
        "STORAGE_URI": "file:///n",
        "A": "1",
    }


def test_custom_containers_are_taken_as_they_are() -> None:
    """No environment, probe or progress of the predictor's is added: it is a program of the owner's own."""
    service = made({"model": None, "containers": [{"image": "example.com/x", "command": ["x"]}]})
    assert container_of(service) == {"name": "kserve-container", "image": "example.com/x", "command": ["x"]}
    assert "torpor.dev/progress-path" not in service["spec"]["template"]["metadata"]["annotations"]
    assert made()["spec"]["template"]["metadata"]["annotations"]["torpor.dev/progress-path"] == "/progress"


def test_credentials_are_given_to_who_reads_from_s3() -> None:
    """A model on a volume, and a container that reads nothing, see no keys."""
    secret = {"metadata": {"name": "s"}, "data": {"AWS_SECRET_ACCESS_KEY": ""}}
    sources = Sources(None, {"s": secret}, "")
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://m/iris"}
    assert "AWS_SECRET_ACCESS_KEY" in environment(made({"model": model}, sources))
    assert "AWS_SECRET_ACCESS_KEY" not in environment(made({}, sources))
    env = [{"name": "STORAGE_URI", "value": "s3://m/iris"}]
    containers = [{"image": "torpor/predictor:1", "env": env}]
    assert "AWS_SECRET_ACCESS_KEY" in environment(made({"model": None, "containers": containers}, sources))


@pytest.mark.parametrize(
    "predictor",
    [
        pytest.param(
            {"model": None, "containers": [{"image": "example.com/x", "env": [{"name": "A", "value": "1"}, IN_S3]}]},
            id="a custom predictor",
        ),
        pytest.param(
            {
                "model": {
                    "modelFormat": {"name": "sklearn"},
                    "storageUri": "s3://m/iris",
                    "image": "example.com/x",
                    "env": [{"name": "A", "value": "1"}],
                }
            },
            id="a model in an image of the owner's",
        ),
    ],
)
def test_a_container_of_the_owners_finds_its_model_fetched(predictor: dict[str, Any]) -> None:
    """As by KServe's storage initializer: STORAGE_URI is the folder, and the keys are the initializer's alone."""
    secret = {"metadata": {"name": "s"}, "data": {"AWS_SECRET_ACCESS_KEY": ""}}
    service = made(predictor | {"volumes": [{"name": "v", "emptyDir": {}}]}, Sources(None, {"s": secret}, ""))
    spec = service["spec"]["template"]["spec"]
    [initializer] = spec["initContainers"]
    assert (initializer["image"], initializer["args"]) == ("torpor/predictor", ["fetch"])
    assert initializer["env"][0] == IN_S3
    assert "AWS_SECRET_ACCESS_KEY" in {each["name"] for each in initializer["env"]}
    assert spec["volumes"] == [{"name": "v", "emptyDir": {}}, {"name": "torpor-model", "emptyDir": {}}]
    mount = {"name": "torpor-model", "mountPath": "/mnt/models"}
    assert initializer["volumeMounts"] == [mount]
    assert container_of(service)["volumeMounts"] == [mount | {"readOnly": True}]
    assert container_of(service)["env"][:2] == [
        {"name": "TORPOR_VOLUME_TORPOR_MODEL", "value": "/mnt/models"},
        {"name": "STORAGE_URI", "value": "$(TORPOR_VOLUME_TORPOR_MODEL)"},
    ]
    found = environment(service)
    assert found["A"] == "1"
    assert "AWS_SECRET_ACCESS_KEY" not in found


def test_the_owners_initial_containers_come_after_the_models() -> None:
    """They may look at it."""
    containers = [{"image": "example.com/x", "env": [IN_S3]}]
    service = made({"model": None, "containers": containers, "initContainers": [{"name": "mine", "image": "i"}]})
    names = [each["name"] for each in service["spec"]["template"]["spec"]["initContainers"]]
    assert names == ["storage-initializer", "mine"]


def test_a_container_of_the_owners_finds_its_claim() -> None:
    """STORAGE_URI is the folder in it; nothing is fetched."""
    env = [{"name": "STORAGE_URI", "value": "pvc://models/my%20iris/"}]
    service = made({"model": None, "containers": [{"image": "example.com/x", "env": env}]})
    assert container_of(service)["env"] == [
        {"name": "TORPOR_PVC_ROOT", "value": "/mnt/pvc"},
        {"name": "STORAGE_URI", "value": "$(TORPOR_PVC_ROOT)/models/my iris"},
    ]
    assert "initContainers" not in service["spec"]["template"]["spec"]


def test_a_laptops_kubelet_sets_the_variable_that_says_where_the_model_is() -> None:
    """Whatever the manifest says of it: a container there finds the folder of its pod."""
    assert variable_of(names.MODEL_VOLUME) == names.MODEL_PLACE


def test_the_route_leads_to_the_predictors_configuration() -> None:
    """The latest of a Route of one's own has to say whose; a revision needs no more than its name."""
    previous = {"revisionName": "r1", "latestRevision": False, "percent": 90, "tag": "prev"}
    route = resources.route(isvc(), [{"latestRevision": True, "percent": 10}, previous])
    assert route["metadata"]["name"] == NAME
    latest = {"configurationName": SERVICE, "latestRevision": True, "percent": 10}
    assert route["spec"]["traffic"] == [latest, previous]


def test_a_lock_is_before_both_names() -> None:
    """The Route's and the Knative Service's, which is reached by a name of its own; it makes no revision."""
    lock = {"torpor.dev/access": "keys=a"}
    routes = [resources.route(isvc(annotations=each), []) for each in ({}, lock)]
    services = [made(annotations=each) for each in ({}, lock)]
    for (without, with_lock), differs in ((routes, resources.route_differs), (services, resources.service_differs)):
        assert with_lock["metadata"]["annotations"]["torpor.dev/access"] == "keys=a"
        for there, wanted in ((without, with_lock), (with_lock, without)):
            assert differs(there, wanted)
            assert not differs(resources.replacement(there, wanted), wanted)
    assert "torpor.dev/access" not in services[1]["spec"]["template"]["metadata"]["annotations"]


def test_a_mirror_is_the_routes() -> None:
    """It comes, changes and goes with the owner's, and never makes a revision; what others put there stays."""
    none, some, more = (
        resources.route(isvc(annotations={"torpor.dev/mirror": each} if each else {}), [])
        for each in ("", "r1=10", "r1=20")
    )
    assert some["metadata"]["annotations"] == {"torpor.dev/mirror": "r1=10"}
    for there, wanted in ((none, some), (some, more), (some, none)):
        assert resources.route_differs(there, wanted)
        noted = {
            **there,
            "metadata": {**there["metadata"], "annotations": {**there["metadata"]["annotations"], "a": "b"}},
        }
        replaced = resources.replacement(noted, wanted)
        assert replaced["metadata"]["annotations"] == {**wanted["metadata"]["annotations"], "a": "b"}
        assert not resources.route_differs(replaced, wanted)


def test_a_session_is_recognised_by_the_revision() -> None:
    """As on a Knative Service's template."""
    annotations = made(annotations={"torpor.dev/session-affinity": "header=X"})["spec"]["template"]["metadata"][
        "annotations"
    ]
    assert annotations["torpor.dev/session-affinity"] == "header=X"


def test_the_longest_name_leaves_room_for_the_services() -> None:
    """`-predictor` and all, a DNS label."""
    assert len(resources.predictor_name("a" * MAX_NAME)) == 63

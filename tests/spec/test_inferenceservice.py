"""What an InferenceService asks for, in each of its three forms, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest

from torpor.errors import InvalidInputError
from torpor.spec.inferenceservice import Batcher, Custom, Model, Predictor, parse_inference_service
from torpor.spec.runtimes import FORMATS, RUNTIMES, NoSupportingRuntimeError, UnknownRuntimeError
from torpor.spec.storage import NotOfferedError

URI = "s3://models/iris"
IMAGE = "example.com/x"


def parse(spec: dict[str, Any]) -> Predictor:
    return parse_inference_service({"metadata": {"name": "iris"}, "spec": spec})


def model(**fields: Any) -> dict[str, Any]:
    return {"modelFormat": {"name": "sklearn"}, "storageUri": URI} | fields


def predictor(**fields: Any) -> Predictor:
    return parse({"predictor": {"model": model()} | fields})


def served(**fields: Any) -> Model:
    found = predictor(model=model(**fields)).serves
    assert isinstance(found, Model)
    return found


def custom(*containers: dict[str, Any]) -> Custom:
    found = parse({"predictor": {"containers": list(containers)}}).serves
    assert isinstance(found, Custom)
    return found


def test_the_model_form_and_the_legacy_form_are_the_same() -> None:
    """`sklearn: {storageUri: …}` is how KServe's first users say it."""
    legacy = parse({"predictor": {"sklearn": {"storageUri": URI}}})
    assert legacy == predictor()
    assert legacy.serves == Model("sklearn", URI, name="", tag="", container={})


def test_defaults_are_kserves() -> None:
    """One replica at least, no most of them, the cluster's limit, Knative's own metric and target."""
    found = predictor()
    assert (found.min_replicas, found.max_replicas, found.concurrency) == (1, 0, None)
    assert (found.scale_target, found.scale_metric, found.timeout_s, found.canary_percent) == (None, "", None, None)


def test_everything_of_a_component_is_read() -> None:
    """How many, how much at once, for how long, for whom."""
    found = predictor(
        minReplicas=0,
        maxReplicas=3,
        scaleTarget=5,
        scaleMetric="rps",
        containerConcurrency=8,
        timeout=60,
        canaryTrafficPercent=10,
        serviceAccountName="models",
        labels={"team": "a"},
        annotations={"x": "y"},
        nodeSelector={"gpu": "yes"},
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    assert (found.min_replicas, found.max_replicas) == (0, 3)
    assert (found.scale_target, found.scale_metric) == (5, "rps")
    assert (found.concurrency, found.timeout_s, found.canary_percent, found.account) == (8, 60, 10, "models")
    assert (found.labels, found.annotations) == ({"team": "a"}, {"x": "y"})
    assert found.pod == {
        "serviceAccountName": "models",
        "nodeSelector": {"gpu": "yes"},
        "volumes": [{"name": "v", "emptyDir": {}}],
    }


def test_what_the_owner_wrote_of_the_models_container_is_kept() -> None:
    """Arguments, environment and resources go to the container; what tells of the model does not."""
    env = [{"name": "A", "value": "1"}]
    found = served(
        modelFormat={"name": "transformers", "version": "1"},
        protocolVersion="v2",
        runtime="kserve-huggingfaceserver",
        runtimeVersion="0.3",
        args=["--dtype=float32"],
        env=env,
        resources={"limits": {"cpu": "1"}},
    )
    assert (found.format, found.tag) == ("huggingface", "0.3")
    assert found.container == {"args": ["--dtype=float32"], "env": env, "resources": {"limits": {"cpu": "1"}}}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--model_name=llama", "--x"], id="with an equals sign"),
        pytest.param(["--x", "--model_name", "llama"], id="as two words"),
        pytest.param(["--model-name=llama", "--x"], id="with a dash"),
    ],
)
def test_the_models_name_is_taken_from_kserves_argument(arguments: list[str]) -> None:
    """KServe's servers are told the name so; the argument is not handed on."""
    found = served(args=arguments)
    assert (found.name, found.container["args"]) == ("llama", ["--x"])


@pytest.mark.parametrize("format_", FORMATS)
def test_formats_that_are_served(format_: str) -> None:
    """Each is served by a runtime that knows its name."""
    assert served(modelFormat={"name": format_}).format == FORMATS[format_]
    assert any(format_ in formats for formats in RUNTIMES.values())


@pytest.mark.parametrize("format_", ["onnx", "pytorch", "triton"])
def test_tritons_runtime_serves_its_repositories(format_: str) -> None:
    """Whatever framework a manifest for KServe names."""
    assert served(modelFormat={"name": format_}, runtime="kserve-tritonserver").format == "triton"


def test_a_lone_custom_container_is_called_as_kserve_calls_it() -> None:
    """Whatever name it was given, requests go to it."""
    assert custom({"image": IMAGE}).containers == ({"image": IMAGE, "name": "kserve-container"},)
    assert custom({"image": IMAGE, "name": "mine"}).containers[0]["name"] == "kserve-container"


def test_of_several_containers_one_is_kserves() -> None:
    """The others keep their names; STORAGE_URI is that of the one that serves."""
    env = [{"name": "STORAGE_URI", "value": URI}]
    found = custom({"image": IMAGE, "name": "side"}, {"image": IMAGE, "name": "kserve-container", "env": env})
    assert [each["name"] for each in found.containers] == ["side", "kserve-container"]
    assert found.uri == URI


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        pytest.param(
            {"modelFormat": {"name": "tensorflow"}},
            NoSupportingRuntimeError,
            r"spec.predictor.model.modelFormat.name: 'tensorflow' .* huggingface, lightgbm, .*sklearn, .*xgboost",
            id="a format that nothing serves",
        ),
        pytest.param(
            {"modelFormat": {"name": "sklearn", "version": "7"}},
            NoSupportingRuntimeError,
            "modelFormat.version: '7' .* version 1",
            id="a version that nothing serves",
        ),
        pytest.param(
            {"modelFormat": {"name": "lightgbm", "version": "2"}},
            NoSupportingRuntimeError,
            "modelFormat.version: '2' .* version 3, 4",
            id="a version that KServe's runtime never had",
        ),
        pytest.param({"modelFormat": {}}, InvalidInputError, "modelFormat.name: None", id="no format"),
        pytest.param(
            {"protocolVersion": "grpc-v2"},
            NoSupportingRuntimeError,
            "protocolVersion: 'grpc-v2' .* v1, v2",
            id="protocol",
        ),
        pytest.param(
            {"runtime": "mine"},
            UnknownRuntimeError,
            "runtime: 'mine' .* torpor-predictor, kserve",
            id="unknown runtime",
        ),
        pytest.param(
            {"modelFormat": {"name": "onnx"}, "runtime": "kserve-pmmlserver"},
            UnknownRuntimeError,
            "runtime: 'kserve-pmmlserver' .* or leave it out",
            id="a runtime of KServe's that has no counterpart",
        ),
        pytest.param(
            {"modelFormat": {"name": "lightgbm"}, "runtime": "kserve-xgbserver"},
            NoSupportingRuntimeError,
            "runtime: .* it serves xgboost, not lightgbm",
            id="the runtime of another library",
        ),
        pytest.param(
            {"runtime": "kserve-huggingfaceserver"},
            NoSupportingRuntimeError,
            "runtime: .* it serves huggingface, transformers, not sklearn",
            id="a runtime for other formats",
        ),
        pytest.param({"storageUri": None}, NotOfferedError, "model.storageUri: None .* required", id="no place"),
        pytest.param(
            {"storageUri": "ftp://a/b"},
            InvalidInputError,
            "model.storageUri: 'ftp://a/b' .* use file://, pvc://, s3:// or an absolute path",
            id="a scheme of nobody's",
        ),
        pytest.param({"storageUri": "iris"}, InvalidInputError, "'iris' .* absolute path", id="a relative path"),
        pytest.param(
            {"storageUri": "gs://a/b"},
            NotOfferedError,
            "model.storageUri: 'gs://a/b' .* does not offer gs:// yet",
            id="a scheme of KServe's alone",
        ),
        pytest.param({"storage": {"key": "k"}}, NotOfferedError, "model.storage: .* use storageUri", id="storage spec"),
        pytest.param({"lifecycle": {}}, InvalidInputError, "model.lifecycle: .* no such field", id="not in a revision"),
        pytest.param(
            {"env": [{"value": "1"}]}, InvalidInputError, r"env\[0\].name: None", id="a variable without name"
        ),
        pytest.param({"args": [1]}, InvalidInputError, r"args\[0\]: 1 .* string", id="an argument that is no text"),
    ],
)
def test_a_model_that_cannot_be_served(fields: dict[str, Any], error: type[Exception], says: str) -> None:
    """Field, value, and what is served here instead."""
    with pytest.raises(error, match=says):
        served(**fields)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        pytest.param({"minReplicas": -1}, "spec.predictor.minReplicas: -1 .* from 0", id="fewer than none"),
        pytest.param(
            {"minReplicas": 3, "maxReplicas": 2}, "minReplicas: 3 .* maxReplicas, which is 2", id="min over max"
        ),
        pytest.param({"scaleMetric": "cpu"}, "scaleMetric: 'cpu' .* concurrency or rps", id="a metric of HPA's"),
        pytest.param({"scaleTarget": 0}, "scaleTarget: 0 .* from 1", id="no target"),
        pytest.param({"canaryTrafficPercent": 101}, "canaryTrafficPercent: 101 .* from 0 to 100", id="percent"),
        pytest.param({"timeout": 0}, "timeout: 0 .* from 1", id="no time"),
        pytest.param({"containerConcurrency": 1001}, "containerConcurrency: 1001 .* to 1000", id="concurrency"),
        pytest.param({"model": None}, "spec.predictor: 'none of them' .* one of model, containers", id="no form"),
        pytest.param(
            {"sklearn": {"storageUri": URI}}, "spec.predictor: 'model, sklearn' .* one of model", id="two forms"
        ),
        pytest.param({"containers": [{"image": IMAGE}]}, "'model, containers'", id="a form and containers"),
        pytest.param({"model": None, "containers": []}, "containers: .* at least one", id="empty containers"),
        pytest.param(
            {"model": None, "containers": [{}]}, r"containers\[0\].image: None", id="a container without image"
        ),
        pytest.param({"hostNetwork": True}, "hostNetwork: True .* no such field", id="not in a revision"),
        pytest.param({"labels": {"a": 1}}, r"labels\[a\]: 1 .* string", id="a label that is no text"),
    ],
)
def test_a_predictor_that_is_refused(spec: dict[str, Any], says: str) -> None:
    """Field, value and what is allowed."""
    with pytest.raises(InvalidInputError, match=says):
        predictor(**spec)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("Iris", id="a capital letter"),
        pytest.param("1iris", id="a digit first"),
        pytest.param("a.b", id="a point"),
        pytest.param("a-", id="a dash last"),
        pytest.param("a" * 54, id="longer than its Knative Service's may be"),
    ],
)
def test_names_that_lead_to_no_knative_service(name: str) -> None:
    """What is made for it is called after it."""
    with pytest.raises(InvalidInputError, match=r"metadata.name: .* at most 53 .* NAME-predictor"):
        parse_inference_service({"metadata": {"name": name}, "spec": {"predictor": {"model": model()}}})


def test_the_longest_name() -> None:
    """Its Knative Service's has 63 characters."""
    parse_inference_service({"metadata": {"name": "a" * 53}, "spec": {"predictor": {"model": model()}}})


@pytest.mark.parametrize("uri", ["s3://b/m", "S3://b/m", "pvc://c/m", "file:///m", "/m"])
def test_places_that_are_read(uri: str) -> None:
    """Whatever the case of the scheme; the predictor reads each of them."""
    assert served(storageUri=uri).uri == uri
    env = [{"name": "STORAGE_URI", "value": uri}]
    assert custom({"image": IMAGE, "env": env}).uri == uri


def test_the_place_of_a_custom_container_is_checked_too() -> None:
    """As KServe's webhook does."""
    with pytest.raises(InvalidInputError, match=r"containers\[0\].env\[STORAGE_URI\]: 'ftp://m' "):
        custom({"image": IMAGE, "env": [{"name": "STORAGE_URI", "value": "ftp://m"}]})


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        pytest.param({"transformer": {"containers": []}}, "spec.transformer", id="transformer"),
        pytest.param({"explainer": {"art": {}}}, "spec.explainer", id="explainer"),
        *(
            pytest.param({"predictor": {"model": model(), name: {}}}, f"spec.predictor.{name}", id=name)
            for name in ("logger", "workerSpec", "autoScaling", "storageUris")
        ),
    ],
)
def test_what_kserve_has_and_torpor_does_not_yet_is_said(spec: dict[str, Any], path: str) -> None:
    """Serving without it would answer something else than was asked for."""
    with pytest.raises(NotOfferedError, match=f"{path}: .* does not offer it yet"):
        parse({"predictor": {"model": model()}} | spec)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, Batcher(32, 60)),
        ({"maxBatchSize": 8, "maxLatency": 500, "timeout": 5}, Batcher(8, 5)),
        ({"maxBatchSize": 0, "timeout": 0}, Batcher(32, 60)),
    ],
)
def test_a_batcher(given: dict[str, int], read: Batcher) -> None:
    assert predictor(model=model(), batcher=given).batcher == read


@pytest.mark.parametrize("name", ["maxBatchSize", "maxLatency", "timeout"])
def test_a_batcher_that_is_none(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"spec.predictor.batcher.{name}: -1 "):
        predictor(model=model(), batcher={name: -1})


def test_who_serves_himself_batches_himself() -> None:
    with pytest.raises(NotOfferedError, match=r"spec.predictor.batcher: .*its format"):
        parse({"predictor": {"containers": [{"image": IMAGE}], "batcher": {}}})

"""A KServe InferenceService (v1beta1) as its owner wrote it: a predictor, in one of three forms, and how it scales."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torpor.errors import InvalidInputError
from torpor.spec.autoscaling import MAX_PODS
from torpor.spec.fields import DNS_1035_LABEL, MAX_INTEGER, Fields
from torpor.spec.kinds import Object
from torpor.spec.knative import BUILT_IN, RevisionDefaults
from torpor.spec.names import KSERVE_CONTAINER
from torpor.spec.runtimes import Choice, choose
from torpor.spec.storage import NotOfferedError, check_uri

MAX_NAME = 63 - len("-predictor")
"""The Knative Service `NAME-predictor` has a label for its name."""
MIN_REPLICAS = 1
"""KServe's default: a predictor sleeps only where its owner says 0."""
METRICS = ("concurrency", "rps")

FRAMEWORKS = (
    "huggingface",
    "lightgbm",
    "onnx",
    "paddle",
    "pmml",
    "pytorch",
    "sklearn",
    "tensorflow",
    "triton",
    "xgboost",
)
"""Fields of the legacy form: each names its format."""

_COMPONENT_FIELDS = frozenset(
    {
        "annotations",
        "batcher",
        "canaryTrafficPercent",
        "containerConcurrency",
        "containers",
        "labels",
        "maxReplicas",
        "minReplicas",
        "model",
        "name",
        "scaleMetric",
        "scaleTarget",
        "timeout",
        *FRAMEWORKS,
    }
)
# KServe reads these in its Standard mode alone; here, as in its Knative mode, they change nothing.
_IGNORED = frozenset({"deploymentStrategy", "scaleMetricType"})
_NOT_OFFERED = ("autoScaling", "logger", "storageContainerName", "storageUris", "workerSpec")
# What a Knative revision may have of a PodSpec; some of it only where the cluster allows it by a feature flag.
_POD_FIELDS = frozenset(
    {
        "affinity",
        "automountServiceAccountToken",
        "dnsConfig",
        "dnsPolicy",
        "enableServiceLinks",
        "hostAliases",
        "imagePullSecrets",
        "initContainers",
        "nodeSelector",
        "priorityClassName",
        "runtimeClassName",
        "schedulerName",
        "securityContext",
        "serviceAccountName",
        "shareProcessNamespace",
        "tolerations",
        "topologySpreadConstraints",
        "volumes",
    }
)
# And of a container; `name` is KServe's to give.
_CONTAINER_FIELDS = frozenset(
    {
        "args",
        "command",
        "env",
        "envFrom",
        "image",
        "imagePullPolicy",
        "livenessProbe",
        "ports",
        "readinessProbe",
        "resources",
        "securityContext",
        "startupProbe",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "volumeMounts",
        "workingDir",
    }
)
_MODEL_FIELDS = frozenset(
    {"modelFormat", "name", "protocolVersion", "runtime", "runtimeVersion", "storage", "storageUri"}
)


BATCH_SIZE, BATCH_TIMEOUT_S = 32, 60
"""What a batcher is like that says nothing: KServe's own values."""
MAX_BATCH_TIMEOUT_S = 3600


@dataclass(frozen=True, slots=True)
class Model:
    """A model by its format and place: the `model` form, and the legacy form, which says the same."""

    format: str
    """As the predictor names it."""
    uri: str
    name: str
    """What requests call it; empty: as the InferenceService."""
    tag: str
    """Of the runtime's image; empty: whichever is installed."""
    container: Object
    """What else its owner wrote of the container that serves it."""


@dataclass(frozen=True, slots=True)
class Custom:
    """Containers of the owner's own; one is called `kserve-container` and gets the requests."""

    containers: tuple[Object, ...]
    uri: str
    """STORAGE_URI of the serving container, where it has one."""


@dataclass(frozen=True, slots=True)
class Batcher:
    """How requests become batches in the server of the model."""

    max_size: int
    timeout_s: int
    """How long a request may wait for its batch to be computed."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """What answers, and how many of it."""

    serves: Model | Custom
    min_replicas: int
    max_replicas: int
    """0: no limit."""
    scale_target: int | None
    scale_metric: str
    """Empty: Knative's default, concurrency."""
    concurrency: int | None
    """Requests one pod may have at once; 0 is no limit, None the cluster's default."""
    timeout_s: int | None
    canary_percent: int | None
    """Share of the requests that the newest revision gets; None: all."""
    batcher: Batcher | None
    """None: as the model says."""
    account: str
    """serviceAccountName; empty: the namespace's default."""
    labels: dict[str, str]
    annotations: dict[str, str]
    pod: Object
    """What else of a PodSpec its owner wrote."""


def parse_inference_service(obj: Object, revisions: RevisionDefaults = BUILT_IN) -> Predictor:
    """Read an InferenceService by a cluster's limits; raises InvalidInputError naming field, value, what is allowed."""
    metadata, spec = Fields(obj).object("metadata"), Fields(obj).object("spec")
    _check_name(metadata)
    for component in ("transformer", "explainer", "canary"):
        if component in spec:
            raise _not_offered(spec, component)
    predictor = spec.object("predictor")
    for name in _NOT_OFFERED:
        if name in predictor:
            raise _not_offered(predictor, name)
    _refuse_others(
        predictor, _COMPONENT_FIELDS | _IGNORED | _POD_FIELDS, "a Knative revision's pods have no such field"
    )
    minimum, maximum = _replicas(predictor)
    return Predictor(
        serves=_serves(predictor),
        min_replicas=minimum,
        max_replicas=maximum,
        scale_target=predictor.integer("scaleTarget", minimum=1, maximum=MAX_PODS),
        scale_metric=_metric(predictor),
        concurrency=predictor.integer(
            "containerConcurrency", minimum=0 if revisions.allow_unlimited else 1, maximum=revisions.max_concurrency
        ),
        timeout_s=predictor.integer("timeout", minimum=1, maximum=revisions.max_timeout_s),
        canary_percent=predictor.integer("canaryTrafficPercent", minimum=0, maximum=100),
        batcher=_batcher(predictor),
        account=predictor.text("serviceAccountName"),
        labels=predictor.text_map("labels"),
        annotations=predictor.text_map("annotations"),
        pod={name: value for name, value in predictor.raw.items() if name in _POD_FIELDS and value is not None},
    )


def _check_name(metadata: Fields) -> None:
    name = metadata.text("name")
    if len(name) > MAX_NAME or not DNS_1035_LABEL.match(name):
        allowed = f"use at most {MAX_NAME} lower-case letters, digits and '-', a letter first"
        raise metadata.refuse("name", f"{allowed}: a Knative Service is called NAME-predictor")


def _not_offered(fields: Fields, name: str) -> NotOfferedError:
    value = fields.raw[name]
    shown = f"an object with {', '.join(sorted(value))}" if isinstance(value, dict) else value
    return NotOfferedError(fields.at(name), shown, "Torpor does not offer it yet; take it out to serve the rest")


def _refuse_others(fields: Fields, known: frozenset[str], why: str) -> None:
    for name in fields.raw:
        if name in fields and name not in known:
            raise fields.refuse(name, why)


def _replicas(predictor: Fields) -> tuple[int, int]:
    minimum = predictor.integer("minReplicas", minimum=0, maximum=MAX_PODS)
    maximum = predictor.integer("maxReplicas", minimum=0, maximum=MAX_PODS) or 0
    if minimum is None:
        minimum = MIN_REPLICAS
    if maximum and minimum > maximum:
        raise predictor.refuse("minReplicas", f"use at most maxReplicas, which is {maximum}")
    return minimum, maximum


def _batcher(predictor: Fields) -> Batcher | None:
    """Return what `batcher` says, by KServe's defaults. Its maxLatency is checked: an idle model waits for nobody."""
    if "batcher" not in predictor:
        return None
    if "containers" in predictor:
        allowed = "it is for models that Torpor's server serves; take it out, or give the model by its format"
        raise NotOfferedError(predictor.at("batcher"), predictor.raw["batcher"], allowed)
    fields = predictor.object("batcher")
    fields.integer("maxLatency", minimum=0, maximum=MAX_INTEGER)
    size = fields.integer("maxBatchSize", minimum=0, maximum=MAX_INTEGER)
    timeout_s = fields.integer("timeout", minimum=0, maximum=MAX_BATCH_TIMEOUT_S)
    return Batcher(size or BATCH_SIZE, timeout_s or BATCH_TIMEOUT_S)


def _metric(predictor: Fields) -> str:
    metric = predictor.text("scaleMetric")
    if metric and metric not in METRICS:
        raise predictor.refuse("scaleMetric", f"use {' or '.join(METRICS)}; cpu and memory need Kubernetes' HPA")
    return metric


# --- the three forms -------------------------------------------------------------------------------------------


def _serves(predictor: Fields) -> Model | Custom:
    given = [name for name in ("model", *FRAMEWORKS) if name in predictor]
    custom = "containers" in predictor
    if len(given) + custom != 1:
        forms = ", ".join(given + ["containers"] * custom) or "none of them"
        raise InvalidInputError(predictor.path, forms, f"use one of model, containers, {', '.join(FRAMEWORKS)}")
    if custom:
        return _custom(predictor)
    fields = predictor.object(given[0])
    if given[0] != "model":
        return _model(Choice(fields, given[0], fields.path))
    format_ = fields.object("modelFormat")
    return _model(Choice(fields, format_.required_text("name"), format_.at("name")))


def _model(choice: Choice) -> Model:
    fields = choice.fields
    format_ = choose(choice)
    if "storage" in fields:
        raise NotOfferedError(
            fields.at("storage"),
            fields.raw["storage"],
            "Torpor does not offer it yet; use storageUri, and a serviceAccountName whose Secret has the keys",
        )
    _refuse_others(fields, _CONTAINER_FIELDS | _MODEL_FIELDS, "a Knative revision's containers have no such field")
    container = {name: value for name, value in fields.raw.items() if name in _CONTAINER_FIELDS and value is not None}
    name, arguments = _model_name(fields.texts("args"))
    if "args" in container:
        container["args"] = arguments
    _check_env(fields)
    return Model(format_, _uri(fields), name, fields.text("runtimeVersion"), container)


def _uri(fields: Fields) -> str:
    if "storageUri" not in fields:
        # KServe's runtimes may find a model by their arguments.
        raise NotOfferedError(fields.at("storageUri"), None, "a value is required: Torpor finds models by nothing else")
    uri = fields.required_text("storageUri")
    check_uri(fields.at("storageUri"), uri)
    return uri


def _model_name(arguments: tuple[str, ...]) -> tuple[str, list[str]]:
    """Take KServe's `--model_name` out of the arguments."""
    name, rest = "", []
    each = iter(arguments)
    for argument in each:
        flag, equals, value = argument.partition("=")
        if flag in {"--model_name", "--model-name"}:
            name = value if equals else next(each, "")
        else:
            rest.append(argument)
    return name, rest


def _custom(predictor: Fields) -> Custom:
    fields = predictor.objects("containers")
    if not fields:
        raise predictor.refuse("containers", "at least one container is needed")
    names = [each.text("name") for each in fields]
    # KServe's custom predictors are called so; a lone container may leave its name out, or have any.
    serving = names.index(KSERVE_CONTAINER) if KSERVE_CONTAINER in names else 0
    for each in fields:
        _refuse_others(each, _CONTAINER_FIELDS | {"name"}, "a Knative revision's containers have no such field")
        each.required_text("image")
    containers = [
        {**each.raw, "name": KSERVE_CONTAINER} if index == serving else dict(each.raw)
        for index, each in enumerate(fields)
    ]
    uri = dict(_check_env(fields[serving])).get("STORAGE_URI", "")
    if uri:
        check_uri(f"{fields[serving].at('env')}[STORAGE_URI]", uri)
    return Custom(tuple(containers), uri)


def _check_env(container: Fields) -> list[tuple[str, str]]:
    return list(_env(container))


def _env(container: Fields) -> Iterator[tuple[str, str]]:
    for each in container.objects("env"):
        yield each.required_text("name"), each.text("value")

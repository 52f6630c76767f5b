"""The Knative Service and the Route of an InferenceService, as they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import unquote

from controller.compare import covers, digest
from controller.inferenceservice.credentials import Sources, needs_credentials, s3_environment
from controller.ownership import controller_reference
from torpor.spec import kinds, names
from torpor.spec.inferenceservice import Custom, Model, Predictor
from torpor.spec.kinds import Object
from torpor.spec.revision import DEFAULT_PORT, is_predictor

PREDICTOR = "predictor"
PVC_ROOT = "/mnt/pvc"

# What an InferenceService's annotations mean to somebody else than its revisions.
_NOT_FOR_REVISIONS = ("serving.kserve.io/", "serving.knative.dev/", "kubectl.kubernetes.io/")
_OURS = (names.ALLOW_PICKLE, names.MIRROR, names.ACCESS)
# The lock is the Route's, and the Knative Service's too: that has a Route, and so a door, of its own.
_ROUTES = (names.MIRROR, names.ACCESS)
_PASSED_ON = (names.ROLLOUT_DURATION, names.ACCESS)
_SCALE_FIELDS = (names.AUTOSCALING + "min-scale", names.AUTOSCALING + "max-scale")


def predictor_name(name: str) -> str:
    return f"{name}-{PREDICTOR}"


def knative_service(owner: Object, predictor: Predictor, sources: Sources, traffic: list[Object]) -> Object:
    """Return the Knative Service that runs this predictor."""
    metadata = owner["metadata"]
    labels = _labels(metadata, predictor)
    template = {
        "metadata": {"labels": labels, "annotations": _annotations(metadata, predictor)},
        "spec": _revision_spec(metadata, predictor, sources),
    }
    annotations = {names.MADE_FROM: digest(template)}
    given = metadata.get("annotations") or {}
    annotations |= {name: given[name] for name in _PASSED_ON if name in given}
    return {
        "apiVersion": kinds.KSERVICE.api_version,
        "kind": kinds.KSERVICE.kind,
        "metadata": {
            "name": predictor_name(metadata["name"]),
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [controller_reference(kinds.INFERENCE_SERVICE, owner)],
        },
        "spec": {"template": template, "traffic": traffic},
    }


def route(owner: Object, traffic: list[Object]) -> Object:
    """Return the Route by which the InferenceService's own name leads to its predictor."""
    metadata = owner["metadata"]
    configuration = predictor_name(metadata["name"])
    given = metadata.get("annotations") or {}
    targets = [each if "revisionName" in each else {"configurationName": configuration, **each} for each in traffic]
    return {
        "apiVersion": kinds.ROUTE.api_version,
        "kind": kinds.ROUTE.kind,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {names.INFERENCE_SERVICE: metadata["name"]},
            "annotations": {name: given[name] for name in _ROUTES if name in given},
            "ownerReferences": [controller_reference(kinds.INFERENCE_SERVICE, owner)],
        },
        "spec": {"traffic": targets},
    }


def _labels(metadata: Object, predictor: Predictor) -> dict[str, str]:
    own = {names.INFERENCE_SERVICE: metadata["name"], names.COMPONENT: PREDICTOR}
    return (metadata.get("labels") or {}) | predictor.labels | own


def _annotations(metadata: Object, predictor: Predictor) -> dict[str, str]:
    """The owner's, of both places, and the fields for which Knative has annotations."""
    given = (metadata.get("annotations") or {}) | predictor.annotations
    kept = {
        key: value
        for key, value in given.items()
        if not key.startswith(_NOT_FOR_REVISIONS) and key not in _SCALE_FIELDS and key not in _OURS
    }
    scaling = {"min-scale": str(predictor.min_replicas)}
    if predictor.max_replicas:
        scaling["max-scale"] = str(predictor.max_replicas)
    if predictor.scale_target is not None:
        scaling["target"] = str(predictor.scale_target)
    if predictor.scale_metric:
        scaling["metric"] = predictor.scale_metric
    progress = {names.PROGRESS_PATH: "/progress"} if isinstance(predictor.serves, Model) else {}
    return kept | progress | {names.AUTOSCALING + name: value for name, value in scaling.items()}


def _revision_spec(metadata: Object, predictor: Predictor, sources: Sources) -> Object:
    spec: Object = dict(predictor.pod)
    if predictor.concurrency is not None:
        spec["containerConcurrency"] = predictor.concurrency
    if predictor.timeout_s is not None:
        # KServe gives both: a model that computes long sends its first byte late.
        spec["timeoutSeconds"] = spec["responseStartTimeoutSeconds"] = predictor.timeout_s
    serves = predictor.serves
    if isinstance(serves, Custom):
        spec["containers"] = [
            _with_environment(each, _custom_environment(each, serves, sources)) for each in serves.containers
        ]
    else:
        spec["containers"] = [_model_container(metadata, predictor, serves, sources)]
    claim, path = _claim(serves.uri)
    if claim:
        _mount(spec, claim)
    [serving] = [each for each in spec["containers"] if each["name"] == names.KSERVE_CONTAINER]
    if claim and not is_predictor(serving["image"]):
        _tell_place(spec, "TORPOR_PVC_ROOT", PVC_ROOT, f"/{claim}/{path}")
    elif needs_credentials(serves.uri) and not is_predictor(serving["image"]):
        _fetch_before(spec, serves.uri, sources)
    return spec


def _model_container(metadata: Object, predictor: Predictor, model: Model, sources: Sources) -> Object:
    environment = [
        {"name": "TORPOR_MODEL_NAME", "value": model.name or metadata["name"]},
        {"name": "TORPOR_MODEL_FORMAT", "value": model.format},
        {"name": "STORAGE_URI", "value": model.uri},
    ]
    if (metadata.get("annotations") or {}).get(names.ALLOW_PICKLE) == "true":
        environment.append({"name": "TORPOR_ALLOW_PICKLE", "value": "true"})
    if (batcher := predictor.batcher) is not None:
        environment += [
            {"name": "TORPOR_PREDICTOR_MAX_BATCH_SIZE", "value": str(batcher.max_size)},
            {"name": "TORPOR_PREDICTOR_QUEUE_TIMEOUT_MS", "value": str(batcher.timeout_s * 1000)},
        ]
    if needs_credentials(model.uri) and is_predictor(model.container.get("image") or names.PREDICTOR_IMAGE):
        environment += s3_environment(sources)
    ports = model.container.get("ports") or [{"containerPort": DEFAULT_PORT}]
    port = ports[0].get("containerPort", DEFAULT_PORT)
    container = {
        "name": names.KSERVE_CONTAINER,
        "image": f"{names.PREDICTOR_IMAGE}:{model.tag}" if model.tag else names.PREDICTOR_IMAGE,
        "ports": ports,
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": port}},
        # A model that loads may hold the interpreter for seconds: slow is not dead.
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": port},
            "timeoutSeconds": 10,
            "periodSeconds": 10,
            "failureThreshold": 6,
        },
    }
    return _with_environment(container | model.container, environment)


def _custom_environment(container: Object, custom: Custom, sources: Sources) -> list[Object]:
    reads = container["name"] == names.KSERVE_CONTAINER and is_predictor(container["image"])
    return s3_environment(sources) if reads and needs_credentials(custom.uri) else []


def _with_environment(container: Object, environment: Iterable[Object]) -> Object:
    """Return the container with these variables; its owner's own win, each where ours would stand."""
    variables = {each["name"]: each for each in (*environment, *(container.get("env") or ()))}
    return {**container, "env": list(variables.values())} if variables else dict(container)


def _claim(uri: str) -> tuple[str, str]:
    """Return the volume claim of a `pvc://CLAIM/PATH`, and the path in it."""
    scheme, _, below = uri.partition("://")
    claim, _, path = unquote(below).partition("/") if scheme.lower() == "pvc" else ("", "", "")
    return claim, path.rstrip("/")


def _mount(spec: Object, claim: str) -> None:
    """Give the serving container the claim, for reading, where the predictor looks for it."""
    source = {"name": names.MODEL_VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    _add_volume(spec, source, {"name": names.MODEL_VOLUME, "mountPath": f"{PVC_ROOT}/{claim}", "readOnly": True})


def _fetch_before(spec: Object, uri: str, sources: Sources) -> None:
    """Fetch the model before the owner's own container starts, and tell it where it lies, as KServe does."""
    mount = {"name": names.MODEL_VOLUME, "mountPath": names.MODEL_MOUNT}
    initializer = {
        "name": names.STORAGE_INITIALIZER,
        "image": names.PREDICTOR_IMAGE,
        "args": ["fetch"],
        "env": [{"name": "STORAGE_URI", "value": uri}, *s3_environment(sources)],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [mount],
    }
    spec["initContainers"] = [initializer, *(spec.get("initContainers") or ())]
    _add_volume(spec, {"name": names.MODEL_VOLUME, "emptyDir": {}}, mount | {"readOnly": True})
    _tell_place(spec, names.MODEL_PLACE, names.MODEL_MOUNT, "")


def _add_volume(spec: Object, volume: Object, mount: Object) -> None:
    spec["volumes"] = [*(spec.get("volumes") or ()), volume]
    _change_serving(spec, lambda container: {"volumeMounts": [*(container.get("volumeMounts") or ()), mount]})


def _tell_place(spec: Object, variable: str, mounted: str, below: str) -> None:
    """Set STORAGE_URI to the folder that the model is in: `below` a variable, which a laptop's kubelet sets itself."""
    told = [{"name": variable, "value": mounted}, {"name": "STORAGE_URI", "value": f"$({variable}){below}"}]
    known = {each["name"] for each in told}

    def change(container: Object) -> Object:
        return {"env": [*told, *(each for each in container.get("env") or () if each["name"] not in known)]}

    _change_serving(spec, change)


def _change_serving(spec: Object, change: Callable[[Object], Object]) -> None:
    spec["containers"] = [
        {**each, **change(each)} if each["name"] == names.KSERVE_CONTAINER else each for each in spec["containers"]
    ]


# --- comparing with what is there ------------------------------------------------------------------------------


def template_differs(there: Object, wanted: Object) -> bool:
    """Tell whether writing `wanted` makes a new revision.

    The digest finds what is no longer wanted, the comparison what others changed.
    """
    written = (there["metadata"].get("annotations") or {}).get(names.MADE_FROM)
    same = written == wanted["metadata"]["annotations"][names.MADE_FROM]
    template = (there.get("spec") or {}).get("template")
    return not same or not covers(template, _without_quantities(wanted["spec"]["template"]))


def _without_quantities(template: Object) -> Object:
    """Kubernetes rewrites quantities ("1000m" becomes "1"), so that they cannot be compared as they are."""
    spec = template["spec"]
    containers = [{name: value for name, value in each.items() if name != "resources"} for each in spec["containers"]]
    return {**template, "spec": {**spec, "containers": containers}}


def service_differs(there: Object, wanted: Object) -> bool:
    """Tell whether the Knative Service is to be written."""
    if template_differs(there, wanted):
        return True
    annotations = there["metadata"].get("annotations") or {}
    after = wanted["metadata"]["annotations"]
    return (
        not covers((there.get("spec") or {}).get("traffic"), wanted["spec"]["traffic"])
        or there["metadata"].get("labels") != wanted["metadata"]["labels"]
        or any(annotations.get(name) != after.get(name) for name in _PASSED_ON)
    )


def route_differs(there: Object, wanted: Object) -> bool:
    """Tell whether the Route is to be written."""
    before, after = (each["metadata"].get("annotations") or {} for each in (there, wanted))
    return (
        not covers((there.get("spec") or {}).get("traffic"), wanted["spec"]["traffic"])
        or not covers(there["metadata"].get("labels"), wanted["metadata"]["labels"])
        or any(before.get(name) != after.get(name) for name in _ROUTES)
    )


def replacement(there: Object, wanted: Object) -> Object:
    """Return `there` changed to what is wanted; the annotations that others put on it stay."""
    ours = {names.MADE_FROM, names.ROLLOUT_DURATION, *_ROUTES}
    annotations = {key: value for key, value in (there["metadata"].get("annotations") or {}).items() if key not in ours}
    metadata = {
        **there["metadata"],
        "labels": wanted["metadata"]["labels"],
        "annotations": annotations | wanted["metadata"].get("annotations", {}),
    }
    return {**there, "metadata": metadata, "spec": wanted["spec"]}

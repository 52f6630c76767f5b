"""The kinds that are served. A further kind is one more entry here, and its schema."""

from __future__ import annotations

from torpor.local.apiserver.kinds import columns, defaults, serving_columns
from torpor.local.apiserver.kinds.resource import Resource
from torpor.local.apiserver.validation import access, builtin, knative, kserve
from torpor.local.apiserver.validation.pods import validate_pod
from torpor.spec import kinds
from torpor.spec.kinds import Kind

_KNATIVE = ("all", "knative", "serving")

RESOURCES = (
    Resource(
        kinds.NAMESPACE,
        "io.k8s.v1.Namespace",
        columns.NAMESPACE,
        short_names=("ns",),
        status=True,
        name_rule="label",
        fields={"status.phase": ("status", "phase")},
        default=defaults.namespace,
        admit=access.admit_namespace,
    ),
    Resource(
        kinds.POD,
        "io.k8s.v1.Pod",
        columns.POD,
        short_names=("po",),
        categories=("all",),
        status=True,
        generation=True,
        graceful=True,
        fields={
            "spec.nodeName": ("spec", "nodeName"),
            "spec.restartPolicy": ("spec", "restartPolicy"),
            "spec.schedulerName": ("spec", "schedulerName"),
            "spec.serviceAccountName": ("spec", "serviceAccountName"),
            "status.phase": ("status", "phase"),
            "status.podIP": ("status", "podIP"),
            "status.nominatedNodeName": ("status", "nominatedNodeName"),
        },
        default=defaults.pod,
        validate=validate_pod,
    ),
    Resource(
        kinds.EVENT,
        "io.k8s.v1.Event",
        columns.EVENT,
        short_names=("ev",),
        fields={
            **{
                f"involvedObject.{name}": ("involvedObject", name)
                for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
            },
            "reason": ("reason",),
            "reportingComponent": ("reportingComponent",),
            "source": ("source", "component"),
            "type": ("type",),
        },
        validate=builtin.validate_event,
    ),
    Resource(
        kinds.SECRET,
        "io.k8s.v1.Secret",
        columns.SECRET,
        fields={"type": ("type",)},
        default=defaults.secret,
        validate=builtin.validate_secret,
        admit=access.admit_secret,
    ),
    Resource(
        kinds.CONFIG_MAP,
        "io.k8s.v1.ConfigMap",
        columns.CONFIG_MAP,
        short_names=("cm",),
        validate=builtin.validate_config_map,
        admit=access.admit_config_map,
    ),
    Resource(
        kinds.SERVICE_ACCOUNT,
        "io.k8s.v1.ServiceAccount",
        columns.SERVICE_ACCOUNT,
        short_names=("sa",),
        validate=builtin.validate_service_account,
    ),
    Resource(
        kinds.CORE_SERVICE,
        "io.k8s.v1.Service",
        columns.SERVICE,
        short_names=("svc",),
        categories=("all",),
        status=True,
        name_rule="label1035",
        fields={"spec.clusterIP": ("spec", "clusterIP"), "spec.type": ("spec", "type")},
        default=defaults.core_service,
        validate=builtin.validate_core_service,
    ),
    Resource(
        kinds.DEPLOYMENT,
        "io.k8s.v1.Deployment",
        columns.DEPLOYMENT,
        short_names=("deploy",),
        categories=("all",),
        status=True,
        scale=True,
        generation=True,
        default=defaults.deployment,
        validate=builtin.validate_deployment,
    ),
    Resource(
        kinds.ENDPOINT_SLICE,
        "io.k8s.v1.EndpointSlice",
        columns.ENDPOINT_SLICE,
        generation=True,
        default=defaults.endpoint_slice,
        validate=builtin.validate_endpoint_slice,
    ),
    Resource(kinds.LEASE, "io.k8s.v1.Lease", columns.LEASE, validate=builtin.validate_lease),
    Resource(
        kinds.KSERVICE,
        "dev.knative.serving.v1.Service",
        serving_columns.KSERVICE,
        short_names=("kservice", "ksvc"),
        categories=_KNATIVE,
        built_in=False,
        status=True,
        generation=True,
        name_rule="label1035",
        admit=knative.admit_service,
    ),
    Resource(
        kinds.CONFIGURATION,
        "dev.knative.serving.v1.Configuration",
        serving_columns.CONFIGURATION,
        short_names=("config", "cfg"),
        categories=_KNATIVE,
        built_in=False,
        status=True,
        generation=True,
        name_rule="label1035",
        admit=knative.admit_configuration,
    ),
    Resource(
        kinds.REVISION,
        "dev.knative.serving.v1.Revision",
        serving_columns.REVISION,
        short_names=("rev",),
        categories=_KNATIVE,
        built_in=False,
        status=True,
        generation=True,
        name_rule="label1035",
        admit=knative.admit_revision,
    ),
    Resource(
        kinds.ROUTE,
        "dev.knative.serving.v1.Route",
        serving_columns.ROUTE,
        short_names=("rt",),
        categories=_KNATIVE,
        built_in=False,
        status=True,
        generation=True,
        name_rule="label1035",
        admit=knative.admit_route,
    ),
    Resource(
        kinds.INFERENCE_SERVICE,
        "io.kserve.v1beta1.InferenceService",
        serving_columns.INFERENCE_SERVICE,
        short_names=("isvc",),
        built_in=False,
        status=True,
        generation=True,
        admit=kserve.admit_inference_service,
    ),
)

BY_KIND: dict[Kind, Resource] = {resource.kind: resource for resource in RESOURCES}
BY_NAME: dict[tuple[str, str, str], Resource] = {
    (resource.kind.group, resource.kind.version, resource.kind.plural): resource for resource in RESOURCES
}


def by_gvk(api_version: str, kind: str) -> Resource | None:
    """Return the resource that an object, or a reference to one, says it is."""
    return _BY_GVK.get((api_version, kind))


_BY_GVK = {(resource.kind.api_version, resource.kind.kind): resource for resource in RESOURCES}

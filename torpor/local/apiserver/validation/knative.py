"""What Knative Serving's validation webhook says about its four kinds."""

from __future__ import annotations

from typing import Any

from torpor.errors import InvalidInputError
from torpor.local.apiserver.status import ApiError, denied
from torpor.spec import names
from torpor.spec.annotations import check_no_lock, check_revision, check_route
from torpor.spec.cluster import ClusterWide
from torpor.spec.fields import Fields
from torpor.spec.kinds import CONFIGURATION, REVISION, Object
from torpor.spec.knative import ACCEPTED, parse_traffic
from torpor.spec.revision import parse_revision
from torpor.spec.service import parse_service, parse_template, scaling_of

WEBHOOK = "validation.webhook.serving.knative.dev"

# What a PodSpec may not have in a revision. Fields that a cluster allows by a feature flag (affinity, tolerations,
# nodeSelector and the like) pass: the same manifest is for that cluster too.
_POD_FIELDS = (
    "activeDeadlineSeconds",
    "ephemeralContainers",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostname",
    "hostUsers",
    "nodeName",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "readinessGates",
    "resourceClaims",
    "restartPolicy",
    "schedulingGates",
    "serviceAccount",
    "setHostnameAsFQDN",
    "subdomain",
    "terminationGracePeriodSeconds",
)
_CONTAINER_FIELDS = (
    "lifecycle",
    "resizePolicy",
    "restartPolicy",
    "stdin",
    "stdinOnce",
    "tty",
    "volumeDevices",
)


def admit_service(new: Object, old: Object | None, cluster: ClusterWide) -> None:
    def parse() -> None:
        parse_service(new, cluster)
        check_route(Fields(new).object("metadata"))
        template = Fields(new).object("spec").object("template").object("metadata")
        check_revision(template)
        check_no_lock(template)

    _check(new, old, parse, _pods(new, "spec.template.spec"))


def admit_configuration(new: Object, old: Object | None, cluster: ClusterWide) -> None:
    def parse() -> None:
        spec = Fields(new).object("spec")
        parse_template(spec, owner=new["metadata"]["name"], cluster=cluster)
        check_revision(spec.object("template").object("metadata"))
        check_no_lock(spec.object("template").object("metadata"))

    _check(new, old, parse, _pods(new, "spec.template.spec"))


def admit_route(new: Object, old: Object | None, _cluster: ClusterWide) -> None:
    def parse() -> None:
        parse_traffic(Fields(new).object("spec"))
        check_route(Fields(new).object("metadata"))

    _check(new, old, parse, [])


def admit_revision(new: Object, old: Object | None, _cluster: ClusterWide) -> None:
    """A revision is what ran and may run again: its spec never changes, whatever its template might have said today."""

    def parse() -> None:
        fields = Fields(new)
        scaling_of(fields.object("metadata"), parse_revision(fields.object("spec"), ACCEPTED))
        check_revision(fields.object("metadata"))

    if old is None and not _has_configuration(new):
        text = "a Revision is made by its Configuration, which must be in metadata.ownerReferences as its controller"
        raise _failed(f"{text}; to get another one, change the spec.template of the Configuration, or of its Service")
    if old is not None and new.get("spec") != old.get("spec"):
        raise denied(WEBHOOK, "validation failed: Immutable fields changed (-old +new): spec")
    _check(new, old, parse, _pods(new, "spec"))


def _check(new: Object, old: Object | None, parse: Any, forbidden: list[str]) -> None:
    metadata = new["metadata"]
    if metadata.get("deletionTimestamp") or (old is not None and _wish(new) == _wish(old)):
        return  # what was accepted once stays, and can always be deleted
    misplaced = [key for key in metadata.get("annotations") or {} if key.startswith(names.AUTOSCALING)]
    if misplaced and new["kind"] != REVISION.kind:
        where = 'autoscaling annotations must be put under "spec.template.metadata.annotations" to work'
        raise _failed(f'invalid key name "{misplaced[0]}": metadata.annotations\n{where}')
    if forbidden:
        raise _failed(f"must not set the field(s): {', '.join(forbidden)}")
    try:
        parse()
    except InvalidInputError as error:
        raise _failed(str(error)) from error


def _has_configuration(revision: Object) -> bool:
    owner = (CONFIGURATION.api_version, CONFIGURATION.kind)
    return any(
        each.get("controller") and (each.get("apiVersion"), each.get("kind")) == owner
        for each in revision["metadata"].get("ownerReferences") or ()
    )


def _wish(obj: Object) -> tuple[Any, Any]:
    return obj.get("spec"), obj["metadata"].get("annotations")


def _failed(message: str) -> ApiError:
    return denied(WEBHOOK, f"validation failed: {message}")


def _pods(obj: Object, path: str) -> list[str]:
    """Return the paths of fields that a revision must not have."""
    spec: Any = obj
    for step in path.split("."):
        spec = spec.get(step) or {}
    found = [f"{path}.{name}" for name in _POD_FIELDS if name in spec]
    for index, container in enumerate(spec.get("containers") or ()):
        found += [f"{path}.containers[{index}].{name}" for name in _CONTAINER_FIELDS if name in container]
    return found

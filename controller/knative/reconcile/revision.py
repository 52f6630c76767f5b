"""A Revision: keep its Deployment and its core Service, and say whether it can run, and whether it does. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controller.knative.reconcile import health
from controller.knative.reconcile.child import Child, keep, not_owned, observed
from controller.knative.resources import core_services
from controller.knative.resources import revision as resources
from controller.knative.resources.deployment import deployment
from controller.knative.resources.metadata import annotations_of, labels_of
from controller.options import Options
from controller.ownership import is_controlled_by
from controller.plan import NOTHING, Note, Plan, Write, status_change
from torpor.errors import InvalidInputError
from torpor.spec import conditions, names
from torpor.spec.autoscaling import Scaling
from torpor.spec.cluster import ClusterWide
from torpor.spec.conditions import failed, unknown
from torpor.spec.fields import Fields
from torpor.spec.kinds import CORE_SERVICE, DEPLOYMENT, REVISION, Object
from torpor.spec.knative import ACCEPTED
from torpor.spec.revision import RevisionSpec, parse_revision
from torpor.spec.service import scaling_of


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is of a revision, and who speaks of it."""

    deployment: Object | None = None
    service: Object | None = None
    pods: tuple[Object, ...] = ()
    routes: tuple[str, ...] = ()
    """Names of the Routes whose traffic names this revision, by name or because it is the latest, in order."""
    superseded: bool = False
    """Its Configuration has made another one since."""


def reconcile(revision: Object, seen: Seen, options: Options, now: str) -> Plan:
    """Return what makes the revision run, what tells of it, and what marks it as used or not."""
    routing = _routing(revision, seen, now)
    before = observed(revision)
    try:
        spec = parse_revision(Fields(revision).object("spec"), ACCEPTED)
        scaling = _scaling(revision, spec, options.cluster)
        wanted = deployment(revision, spec, scaling)
    except InvalidInputError as error:
        marks = health.Marks(failed("InvalidSpec", str(error)), unknown(health.DEPLOYING), unknown(health.DEPLOYING))
        return routing.with_status(status_change(revision, _status(revision, marks, {}, now)))
    deployed = _deployment(revision, seen.deployment, wanted)
    service = keep(CORE_SERVICE, revision, seen.service, core_services.private_service(revision, spec), exact=False)
    marks = health.judge(_ground(deployed, service, seen), scaling, health.remembered(revision))
    status = _status(revision, marks, _counts(deployed, spec), now)
    plan = routing + deployed.plan + service.plan
    return plan.with_status(status_change(revision, status), *_news(before, status))


def _scaling(revision: Object, spec: RevisionSpec, cluster: ClusterWide) -> Scaling:
    """Return how it is scaled. What the cluster forbids since it was made does not take it out of service."""
    metadata = Fields(revision).object("metadata")
    try:
        return scaling_of(metadata, spec, cluster)
    except InvalidInputError:
        return scaling_of(metadata, spec)


def _deployment(revision: Object, there: Object | None, wanted: Object) -> Child:
    """Return the Deployment, to be created or, where it was made from something else, replaced."""
    if there is None:
        note = Note("Normal", "Created", f'Created Deployment "{wanted["metadata"]["name"]}"')
        return Child(DEPLOYMENT, None, Plan(creates=(Write(DEPLOYMENT, wanted),), notes=(note,)))
    if not is_controlled_by(there, revision):
        return Child(DEPLOYMENT, there, foreign=not_owned(DEPLOYMENT.kind, there["metadata"]["name"]))
    if annotations_of(there).get(names.MADE_FROM) == annotations_of(wanted)[names.MADE_FROM]:
        return Child(DEPLOYMENT, there)
    metadata = there["metadata"] | {
        "labels": labels_of(there) | labels_of(wanted),
        "annotations": annotations_of(there) | annotations_of(wanted),
    }
    # Its replicas are the autoscaler's from the moment it exists.
    spec = wanted["spec"] | {"replicas": there["spec"].get("replicas", 1)}
    return Child(DEPLOYMENT, there, Plan(replaces=(Write(DEPLOYMENT, {**there, "metadata": metadata, "spec": spec}),)))


def _ground(deployed: Child, service: Child, seen: Seen) -> health.Ground:
    return health.Ground(
        deployment=None if deployed.foreign else deployed.there,
        pods=seen.pods,
        foreign=deployed.foreign or service.foreign,
    )


def _routing(revision: Object, seen: Seen, now: str) -> Plan:
    """Return the change of the labels that say whether some Route uses the revision, which garbage collection reads."""
    before = labels_of(revision).get(names.ROUTING_STATE, resources.PENDING)
    if seen.routes:
        state = resources.ACTIVE
    elif before == resources.PENDING and not seen.superseded:
        state = resources.PENDING
    else:
        state = resources.RESERVE
    annotations = annotations_of(revision)
    routes = ",".join(seen.routes)
    if state == labels_of(revision).get(names.ROUTING_STATE) and routes == annotations.get(names.ROUTES, ""):
        return NOTHING
    if state != before or names.ROUTING_STATE_MODIFIED not in annotations:
        annotations[names.ROUTING_STATE_MODIFIED] = now
    annotations.pop(names.ROUTES, None)
    if routes:
        annotations[names.ROUTES] = routes
    labels = labels_of(revision) | {names.ROUTING_STATE: state}
    changed = {**revision, "metadata": revision["metadata"] | {"labels": labels, "annotations": annotations}}
    return Plan(replaces=(Write(REVISION, changed),))


def _status(revision: Object, marks: health.Marks, counts: Object, now: str) -> Object:
    before = observed(revision)
    return {
        **counts,
        "observedGeneration": revision["metadata"]["generation"],
        "conditions": conditions.write(
            before.get("conditions") or (),
            now,
            terminal={
                health.RESOURCES_AVAILABLE: marks.resources_available,
                health.CONTAINER_HEALTHY: marks.container_healthy,
            },
            info={health.ACTIVE: marks.active},
        ),
    }


def _counts(deployed: Child, spec: RevisionSpec) -> Object:
    containers: Object = {"containerStatuses": [{"name": container.name} for container in spec.containers]}
    if deployed.there is None or deployed.foreign is not None:
        return containers
    return containers | {
        "actualReplicas": observed(deployed.there).get("readyReplicas") or 0,
        "desiredReplicas": deployed.there["spec"].get("replicas", 1),
    }


def _news(before: Object, after: Object) -> tuple[Note, ...]:
    was = conditions.read({"status": before}, conditions.READY)
    is_ = conditions.read({"status": after}, conditions.READY)
    if is_ is not None and is_.is_true and (was is None or not was.is_true):
        return (Note("Normal", "RevisionReady", "Revision becomes ready upon all resources being ready"),)
    if is_ is not None and is_.is_false and (was is None or not was.is_false):
        return (Note("Warning", "RevisionFailed", f"Revision failed with message: {is_.message}"),)
    return ()

"""Decide what an InferenceService needs: its Knative Service, its Route, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.inferenceservice import models, resources, status
from controller.inferenceservice.credentials import Sources, missing_secret, needs_credentials
from controller.inferenceservice.rollout import Rollout, rolled_out, stable_revision, traffic
from controller.options import Options
from controller.ownership import is_controlled_by
from controller.plan import Delete, Note, Plan, Write, delete_of, status_change
from torpor.errors import InvalidInputError
from torpor.spec import conditions, names
from torpor.spec.conditions import READY, Mark, failed, unknown
from torpor.spec.inferenceservice import Predictor, parse_inference_service
from torpor.spec.kinds import KSERVICE, ROUTE, Kind, Object
from torpor.spec.knative import ACCEPTED
from torpor.spec.runtimes import NoSupportingRuntimeError, UnknownRuntimeError
from torpor.spec.storage import NotOfferedError

STOPPED = "Stopped"

# KServe's FailureReason, by what is wrong with the spec.
_REASONS: tuple[tuple[type[InvalidInputError], str], ...] = (
    (NoSupportingRuntimeError, "NoSupportingRuntime"),
    (UnknownRuntimeError, "RuntimeNotRecognized"),
    (InvalidInputError, "InvalidPredictorSpec"),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What bears on one InferenceService."""

    sources: Sources
    service: Object | None
    """The Knative Service of the predictor's name, whoever owns it."""
    route: Object | None
    """The Route of the InferenceService's name, whoever owns it."""
    pods: tuple[Object, ...] = ()


def reconcile(owner: Object, seen: Seen, _options: Options, now: str) -> Plan:
    """Return what is to be written so that the cluster matches this InferenceService."""
    annotations = owner["metadata"].get("annotations") or {}
    if annotations.get(names.STOP) == "true":
        return _stop(owner, seen, now)
    try:
        # The limits of the cluster are for its Knative Service: what ran before they came runs on.
        predictor = parse_inference_service(owner, ACCEPTED)
    except InvalidInputError as error:
        return _blocked(owner, failed(_reason(error), str(error)), _failure_reason(error), now)
    absent = _absent(owner, predictor, seen)
    if absent is not None:
        return _blocked(owner, absent, "InvalidPredictorSpec", now)
    return _serve(owner, predictor, seen, now)


def _serve(owner: Object, predictor: Predictor, seen: Seen, now: str) -> Plan:
    hindered = seen.service is not None and _hindrance(owner, seen.service)
    if hindered:
        return _plan(owner, status.waiting(owner, hindered, models.pending(), now))
    rollout = _rollout(owner, seen)
    targets = _traffic(owner, predictor, seen, rollout)
    service = resources.knative_service(owner, predictor, seen.sources, targets)
    route = resources.route(owner, targets)
    creates: list[Write] = []
    replaces: list[Write] = []
    for kind, there, wanted, differs in (
        (KSERVICE, seen.service, service, resources.service_differs),
        (ROUTE, seen.route, route, resources.route_differs),
    ):
        if there is None:
            creates.append(Write(kind, wanted))
        elif not _hindrance(owner, there) and differs(there, wanted):
            replaces.append(Write(kind, resources.replacement(there, wanted)))
    written = {write.kind for write in replaces}
    wanted_status = _status(owner, seen, rollout, written, now)
    return _plan(owner, wanted_status, creates=tuple(creates), replaces=tuple(replaces))


def _hindrance(owner: Object, there: Object) -> Mark | None:
    """Return why an object that has the name of ours cannot be made ours."""
    name = there["metadata"]["name"]
    kind = "Knative Service" if there["kind"] == KSERVICE.kind else there["kind"]
    if not is_controlled_by(there, owner):
        return failed(
            "NotOwned", f"{kind} {name} exists and belongs to something else; give one of the two another name"
        )
    if "deletionTimestamp" in there["metadata"]:
        return unknown("Deploying", f"the {kind} {name} of before is still being deleted")
    return None


def _rollout(owner: Object, seen: Seen) -> Rollout:
    """What was rolled out by a Knative Service that is gone, is gone with it."""
    if seen.service is None:
        return Rollout()
    components = (owner.get("status") or {}).get("components") or {}
    return rolled_out(components.get("predictor") or {}, seen.service)


def _traffic(owner: Object, predictor: Predictor, seen: Seen, rollout: Rollout) -> list[Object]:
    """The template decides whether a newer revision is coming, and traffic is no part of it."""
    changing = seen.service is not None and resources.template_differs(
        seen.service, resources.knative_service(owner, predictor, seen.sources, [])
    )
    stable = stable_revision(rollout, seen.service, changing=changing)
    tagged = (owner["metadata"].get("annotations") or {}).get(names.TAG_ROUTING) == "true"
    return traffic(predictor.canary_percent, stable, tagged=tagged)


def _status(owner: Object, seen: Seen, rollout: Rollout, written: set[Kind], now: str) -> Object:
    name = owner["metadata"]["name"]
    if seen.service is None:
        creating = unknown("Deploying", f"the Knative Service {resources.predictor_name(name)} is being created")
        return status.waiting(owner, creating, models.pending(), now)
    service, route = seen.service, seen.route
    if KSERVICE in written:
        service = _outdated(service)
    if route is None:
        ingress = unknown("Deploying", f"the Route {name} is being created")
    elif hindered := _hindrance(owner, route):
        ingress, route = hindered, None
    else:
        ingress = status.ingress_of(_outdated(route) if ROUTE in written else route)
    before = (owner.get("status") or {}).get("modelStatus") or {}
    model = models.model_status(service, seen.pods, before, now)
    return status.serving(owner, service, route, rollout, model, now, ingress=ingress)


def _outdated(obj: Object) -> Object:
    """An object that is about to be written again: what its status says is of the past."""
    return {**obj, "metadata": {**obj["metadata"], "generation": obj["metadata"].get("generation", 0) + 1}}


# --- what keeps a spec from being served -----------------------------------------------------------------------


def _blocked(owner: Object, mark: Mark, reason: str, now: str) -> Plan:
    """Leave what runs as it is, and say why it does not change."""
    before = (owner.get("status") or {}).get("modelStatus") or {}
    model = models.invalid(reason, mark.message, before, now)
    return _plan(owner, status.waiting(owner, mark, model, now, keep=True))


def _stop(owner: Object, seen: Seen, now: str) -> Plan:
    deletes = tuple(
        delete_of(kind, there)
        for kind, there in ((KSERVICE, seen.service), (ROUTE, seen.route))
        if there is not None and is_controlled_by(there, owner) and "deletionTimestamp" not in there["metadata"]
    )
    mark = failed(STOPPED, f"the annotation {names.STOP} is true; set it to false, or take it away, to start again")
    stopped = status.waiting(owner, mark, models.stopped(), now, stopped=Mark("True", STOPPED))
    return _plan(owner, stopped, deletes=deletes)


def _absent(owner: Object, predictor: Predictor, seen: Seen) -> Mark | None:
    """Return what is missing of that with which the predictor reads its model, and runs at all."""
    namespace = owner["metadata"]["namespace"]
    if predictor.account and seen.sources.account is None:
        where = f"ServiceAccount {predictor.account} in namespace {namespace}"
        return failed("ServiceAccountNotFound", f"spec.predictor.serviceAccountName: there is no {where}")
    secret = missing_secret(seen.sources) if needs_credentials(predictor.serves.uri) else ""
    if secret:
        return failed(
            "SecretNotFound", f"there is no Secret {secret} in namespace {namespace}; {seen.sources.named_by} names it"
        )
    return None


def _reason(error: InvalidInputError) -> str:
    return "NotOffered" if isinstance(error, NotOfferedError) else _failure_reason(error)


def _failure_reason(error: InvalidInputError) -> str:
    return next(reason for type_, reason in _REASONS if isinstance(error, type_))


# --- the plan --------------------------------------------------------------------------------------------------


def _plan(
    owner: Object,
    wanted: Object,
    *,
    creates: tuple[Write, ...] = (),
    replaces: tuple[Write, ...] = (),
    deletes: tuple[Delete, ...] = (),
) -> Plan:
    change = status_change(owner, wanted)
    notes = () if change is None else tuple(_notes(owner, {**owner, "status": wanted}))
    return Plan(creates, replaces, deletes, change, notes)


def _notes(before: Object, after: Object) -> Iterator[Note]:
    name = after["metadata"]["name"]
    was, is_ = conditions.read(before, READY) or conditions.UNKNOWN, conditions.read(after, READY) or conditions.UNKNOWN
    if is_.is_true and not was.is_true:
        yield Note("Normal", "InferenceServiceReady", f"InferenceService [{name}] is Ready")
    if was.is_true and not is_.is_true:
        yield Note("Warning", "InferenceServiceNotReady", f"InferenceService [{name}] is no longer Ready")
    if is_.is_false and (is_.reason, is_.message) != (was.reason, was.message):
        yield Note("Normal" if is_.reason == STOPPED else "Warning", is_.reason, is_.message)

"""The status of an InferenceService in KServe's words."""

from __future__ import annotations

from collections.abc import Mapping

from controller.inferenceservice.rollout import Rollout
from torpor.spec import conditions
from torpor.spec.conditions import READY, TRUE, Mark, unknown
from torpor.spec.kinds import Object

PREDICTOR_READY, INGRESS_READY = "PredictorReady", "IngressReady"
PREDICTOR_CONFIGURATION, PREDICTOR_ROUTE = "PredictorConfigurationReady", "PredictorRouteReady"
LATEST_DEPLOYMENT, ROUTES = "LatestDeploymentReady", "RoutesReady"
STOPPED = "Stopped"
MODE = "Knative"

NOT_STOPPED = Mark("False")


def status_of(owner: Object, marks: Mapping[str, Mark], model: Object, now: str, **rest: Object | str | None) -> Object:
    """Return a whole status: `marks` by condition type, `rest` whatever else there is to say."""
    before = owner.get("status") or {}
    terminal = {type_: marks[type_] for type_ in (PREDICTOR_READY, INGRESS_READY)}
    info = {type_: mark for type_, mark in marks.items() if type_ not in terminal}
    written = conditions.write(before.get("conditions") or (), now, terminal=terminal, info=info)
    status: Object = {
        "observedGeneration": owner["metadata"].get("generation", 1),
        "conditions": written,
        "deploymentMode": MODE,
        "modelStatus": model,
    }
    return status | {name: value for name, value in rest.items() if value}


def serving(
    owner: Object, service: Object, route: Object | None, rollout: Rollout, model: Object, now: str, *, ingress: Mark
) -> Object:
    """Return the status while a Knative Service, as it was last seen, serves this spec."""
    configurations, routes = _mark(service, "ConfigurationsReady"), _mark(service, "RoutesReady")
    marks = {
        PREDICTOR_READY: _mark(service, READY),
        INGRESS_READY: ingress,
        PREDICTOR_CONFIGURATION: configurations,
        PREDICTOR_ROUTE: routes,
        LATEST_DEPLOYMENT: _across(configurations, PREDICTOR_CONFIGURATION),
        ROUTES: _across(routes, PREDICTOR_ROUTE),
        STOPPED: NOT_STOPPED,
    }
    reached = (route or {}).get("status") or {}
    return status_of(
        owner,
        marks,
        model,
        now,
        url=reached.get("url"),
        address=reached.get("address"),
        components={"predictor": _component(service, rollout)},
    )


def waiting(
    owner: Object, mark: Mark, model: Object, now: str, *, stopped: Mark = NOT_STOPPED, keep: bool = False
) -> Object:
    """Return the status while no Knative Service serves this spec; `mark` says why.

    `keep`: what an earlier spec runs goes on, and is still told: its URL and its revisions.
    """
    comes_first = unknown("PredictorNotReady", "the predictor comes first")
    marks = {
        PREDICTOR_READY: mark,
        INGRESS_READY: mark if stopped.is_true else comes_first,
        PREDICTOR_CONFIGURATION: mark,
        PREDICTOR_ROUTE: mark if stopped.is_true else comes_first,
        LATEST_DEPLOYMENT: _across(mark, PREDICTOR_CONFIGURATION),
        ROUTES: _across(mark if stopped.is_true else comes_first, PREDICTOR_ROUTE),
        STOPPED: stopped,
    }
    before = (owner.get("status") or {}) if keep else {}
    kept = {name: before.get(name) for name in ("url", "address", "components")}
    return status_of(owner, marks, model, now, **kept)


def _mark(obj: Object, type_: str) -> Mark:
    """Return a condition, undecided until its controller has seen the newest generation."""
    mark = conditions.read(obj, type_)
    seen = (obj.get("status") or {}).get("observedGeneration", 0)
    if mark is None or seen < obj["metadata"].get("generation", 0):
        return unknown("Deploying", f"{obj['kind']} {obj['metadata']['name']} is being brought up to date")
    return TRUE if mark.is_true else mark


def ingress_of(route: Object) -> Mark:
    """Return whether the InferenceService's own name leads anywhere yet."""
    mark = _mark(route, READY)
    # It is made together with what it leads to: that is not missing, it is on its way.
    return unknown("Deploying", mark.message) if mark.reason == "ConfigurationMissing" else mark


def _across(mark: Mark, type_: str) -> Mark:
    """The same of all components, of which there is one; KServe names the one that holds it up."""
    return mark if mark.is_true else Mark(mark.status, f"{type_} not ready")


def _component(service: Object, rollout: Rollout) -> Object:
    status = service.get("status") or {}
    found = {
        "latestCreatedRevision": status.get("latestCreatedRevisionName"),
        "latestReadyRevision": status.get("latestReadyRevisionName"),
        "latestRolledoutRevision": rollout.latest,
        "previousRolledoutRevision": rollout.previous,
        "traffic": status.get("traffic"),
        "url": status.get("url"),
        "address": status.get("address"),
    }
    return {name: value for name, value in found.items() if value}

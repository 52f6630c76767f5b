"""A Knative Service: keep its Configuration and its Route, and say of itself what they say. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controller.knative.reconcile.child import Child, keep, observed
from controller.knative.resources import service as resources
from controller.options import Options
from controller.plan import Plan, status_change
from torpor.spec import conditions
from torpor.spec.conditions import TRUE, UNKNOWN, Mark, unknown
from torpor.spec.kinds import CONFIGURATION, ROUTE, Object

CONFIGURATIONS_READY = "ConfigurationsReady"
ROUTES_READY = "RoutesReady"

OUT_OF_DATE = "OutOfDate"


@dataclass(frozen=True, slots=True)
class Seen:
    """The objects that have the names of a Service's children, whoever made them."""

    configuration: Object | None = None
    route: Object | None = None


def reconcile(service: Object, seen: Seen, options: Options, now: str) -> Plan:
    """Return what brings the children to the Service's spec, and the Service's status to theirs."""
    del options
    configuration = keep(CONFIGURATION, service, seen.configuration, resources.configuration(service))
    route = keep(ROUTE, service, seen.route, resources.route(service))
    status = status_change(service, _status(service, configuration, route, now))
    return (configuration.plan + route.plan).with_status(status)


def _status(service: Object, configuration: Child, route: Child, now: str) -> Object:
    before = service.get("status") or {}
    terminal = {
        CONFIGURATIONS_READY: _mark(configuration),
        ROUTES_READY: _routes_mark(configuration, route),
    }
    return {
        **_from_configuration(before, configuration),
        **_from_route(before, route),
        "observedGeneration": service["metadata"]["generation"],
        "conditions": conditions.write(before.get("conditions") or (), now, terminal=terminal),
    }


def _from_configuration(before: Object, configuration: Child) -> Object:
    fields = ("latestCreatedRevisionName", "latestReadyRevisionName")
    return _part(before, configuration, fields)


def _from_route(before: Object, route: Child) -> Object:
    return _part(before, route, ("url", "address", "traffic"))


def _part(before: Object, child: Child, fields: tuple[str, ...]) -> Object:
    """Return these fields of the child's status; while it is behind, they stay as they were."""
    source = child.there.get("status") or {} if child.current and child.there is not None else before
    return {name: source[name] for name in fields if name in source}


def _mark(child: Child) -> Mark:
    if child.foreign is not None:
        return child.foreign
    if not child.current:
        text = f"The {child.kind.kind} is still working to reflect the latest desired specification."
        return unknown(OUT_OF_DATE, text)
    return conditions.read(child.there, conditions.READY) or UNKNOWN


def _routes_mark(configuration: Child, route: Child) -> Mark:
    mark = _mark(route)
    if mark == TRUE and not _migrated(configuration.there, route.there or {}):
        return unknown("TrafficNotMigrated", "Traffic is not yet migrated to the latest revision.")
    return mark


def _migrated(configuration: Object | None, route: Object) -> bool:
    """Tell whether the traffic there is, is the traffic asked for, with the latest ready revision in it."""
    latest = ((configuration or {}).get("status") or {}).get("latestReadyRevisionName")
    asked = [
        _target(each, each.get("revisionName") or latest) for each in (route.get("spec") or {}).get("traffic") or ()
    ]
    found = [_target(each, each.get("revisionName")) for each in observed(route).get("traffic") or ()]
    return asked == found


def _target(target: Object, revision: str | None) -> tuple[str | None, int, str]:
    return revision, target.get("percent") or 0, target.get("tag") or ""

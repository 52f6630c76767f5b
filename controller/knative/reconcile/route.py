"""A Route: which revisions get its traffic, once all it names can take some. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controller.knative.reconcile.child import Child, keep, observed
from controller.knative.resources import core_services as resources
from controller.options import Options
from controller.plan import NOTHING, Plan, status_change
from torpor.errors import InvalidInputError
from torpor.spec import conditions
from torpor.spec.conditions import TRUE, Mark, failed, unknown
from torpor.spec.fields import Fields
from torpor.spec.kinds import CORE_SERVICE, Object, key_of
from torpor.spec.knative import Target, parse_traffic

ALL_TRAFFIC_ASSIGNED = "AllTrafficAssigned"
CERTIFICATE_PROVISIONED = "CertificateProvisioned"
INGRESS_READY = "IngressReady"

REVISION_MISSING = "RevisionMissing"
NO_TLS = Mark("True", "TLSNotEnabled", "autoTLS is not enabled")
NOT_CONFIGURED = unknown("IngressNotConfigured", "Ingress has not yet been reconciled.")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the Route's traffic names, by name; what is not here does not exist."""

    configurations: Mapping[str, Object] = field(default_factory=dict)
    revisions: Mapping[str, Object] = field(default_factory=dict)
    services: Mapping[str, Object] = field(default_factory=dict)
    """Core Services that have a name which a placeholder of this Route has or would have."""


def reconcile(route: Object, seen: Seen, options: Options, now: str) -> Plan:
    """Return the Route's traffic as it is from now on: the old one stays until all of the new one is ready."""
    before = observed(route)
    namespace, name = key_of(route)
    traffic, assigned = _traffic(route, seen, options)
    placeholders = _placeholders(route, traffic, seen, options)
    status = {
        "observedGeneration": route["metadata"]["generation"],
        "url": options.url(name, namespace),
        "address": {"url": options.address(name, namespace)},
        **({"traffic": traffic} if traffic else {}),
        "conditions": conditions.write(
            before.get("conditions") or (),
            now,
            terminal={
                ALL_TRAFFIC_ASSIGNED: assigned,
                INGRESS_READY: _ingress(route, assigned, placeholders),
                CERTIFICATE_PROVISIONED: NO_TLS,
            },
        ),
    }
    plan = sum((child.plan for child in placeholders), NOTHING)
    return plan.with_status(status_change(route, status))


def _traffic(route: Object, seen: Seen, options: Options) -> tuple[list[Object], Mark]:
    """Return (status.traffic, AllTrafficAssigned). One target that is not ready holds all of them back."""
    before = observed(route).get("traffic") or []
    spec = Fields(route).object("spec")
    try:
        targets = parse_traffic(spec)
    except InvalidInputError as error:
        return before, failed("InvalidTraffic", str(error))
    if not targets:
        return before, failed("InvalidTraffic", f"{spec.at('traffic')}: at least one target is needed")
    found = [_resolve(target, seen) for target in targets]
    problems = [each for each in found if isinstance(each, Mark)]
    if problems:
        return before, next((mark for mark in problems if mark.is_false), problems[0])
    asked = zip(targets, spec.objects("traffic"), found, strict=True)
    return [_target(route, target, raw, str(revision), options) for target, raw, revision in asked], TRUE


def _resolve(target: Target, seen: Seen) -> str | Mark:
    """Return the revision that a target means, or why there is none."""
    if target.revision is not None:
        return _named(target.revision, seen)
    configuration = seen.configurations.get(target.configuration or "")
    if configuration is None:
        text = f'Configuration "{target.configuration or ""}" referenced in traffic not found.'
        return failed("ConfigurationMissing", text)
    latest = observed(configuration).get("latestReadyRevisionName")
    if latest:
        return str(latest)
    ready = conditions.read(configuration, conditions.READY)
    name = configuration["metadata"]["name"]
    if ready is not None and ready.is_false:
        return failed(REVISION_MISSING, f'Configuration "{name}" does not have any ready Revision.')
    return unknown(REVISION_MISSING, f'Configuration "{name}" is waiting for a Revision to become ready.')


def _named(name: str, seen: Seen) -> str | Mark:
    revision = seen.revisions.get(name)
    if revision is None:
        return failed(REVISION_MISSING, f'Revision "{name}" referenced in traffic not found.')
    ready = conditions.read(revision, conditions.READY)
    if ready is not None and ready.is_true:
        return name
    if ready is not None and ready.is_false:
        return failed(REVISION_MISSING, f'Revision "{name}" failed to become ready.')
    return unknown(REVISION_MISSING, f'Revision "{name}" is not yet ready.')


def _target(route: Object, target: Target, raw: Fields, revision: str, options: Options) -> Object:
    namespace, name = key_of(route)
    made: Object = {"revisionName": revision, "latestRevision": target.revision is None}
    if "percent" in raw:
        made["percent"] = target.percent
    if target.tag:
        made |= {"tag": target.tag, "url": options.url(f"{target.tag}-{name}", namespace)}
    return made


def _ingress(route: Object, assigned: Mark, placeholders: Iterable[Child]) -> Mark:
    """The activator follows `status.traffic` itself: what is assigned is what it serves."""
    for child in placeholders:
        if child.foreign is not None and child.there is not None:
            name = child.there["metadata"]["name"]
            return failed(
                child.foreign.reason, f'There is an existing placeholder Service "{name}" that we do not own.'
            )
    if assigned == TRUE:
        return TRUE
    before = conditions.read(route, INGRESS_READY)
    same = observed(route).get("observedGeneration") == route["metadata"]["generation"]
    return TRUE if same and before == TRUE else NOT_CONFIGURED


def _placeholders(route: Object, traffic: Iterable[Object], seen: Seen, options: Options) -> tuple[Child, ...]:
    """Return the core Services that give a Route and its tags names inside a cluster; on a laptop there are none."""
    if not options.gateway:
        return ()
    name = route["metadata"]["name"]
    wanted = [name, *(f"{target['tag']}-{name}" for target in traffic if target.get("tag"))]
    return tuple(
        keep(
            CORE_SERVICE,
            route,
            seen.services.get(each),
            resources.placeholder(route, each, options.gateway),
            exact=False,
        )
        for each in wanted
    )

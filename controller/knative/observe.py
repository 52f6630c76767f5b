"""What the reconcilers of Knative's kinds go by, gathered from what is watched."""

from __future__ import annotations

from collections.abc import Iterable

from controller.knative.reconcile import configuration, revision, route, service
from controller.knative.reconcile.child import observed
from controller.knative.resources.metadata import labels_of
from controller.knative.resources.revision import revision_name
from controller.view import Index, View
from torpor.kube.informer import Key
from torpor.spec import names
from torpor.spec.children import deployment_name, private_service_name
from torpor.spec.kinds import CONFIGURATION, CORE_SERVICE, DEPLOYMENT, POD, REVISION, ROUTE, Kind, Object, key_of


def revisions_named(route: Object) -> Iterable[Key]:
    """Yield the revisions that a Route names."""
    namespace, _ = key_of(route)
    for target in (*_asked(route), *(observed(route).get("traffic") or ())):
        if target.get("revisionName"):
            yield namespace, target["revisionName"]


def _configurations_named(route: Object) -> Iterable[Key]:
    namespace, _ = key_of(route)
    return ((namespace, target["configurationName"]) for target in _asked(route) if target.get("configurationName"))


BY_REVISION = Index("revision", revisions_named)
"""Routes by the revisions that they name, in what they ask for or in what is so."""
BY_CONFIGURATION = Index("configuration", _configurations_named)
"""Routes by the configurations that they name."""


def service_seen(view: View, obj: Object) -> service.Seen:
    namespace, name = key_of(obj)
    return service.Seen(view.get(CONFIGURATION, name, namespace), view.get(ROUTE, name, namespace))


def configuration_seen(view: View, obj: Object) -> configuration.Seen:
    namespace, _ = key_of(obj)
    return configuration.Seen(
        revisions=tuple(view.owned(REVISION, obj)),
        namesake=view.get(REVISION, revision_name(obj), namespace),
    )


def revision_seen(view: View, obj: Object) -> revision.Seen:
    namespace, name = key_of(obj)
    owner = view.get(CONFIGURATION, labels_of(obj).get(names.CONFIGURATION, ""), namespace)
    newest = observed(owner or {}).get("latestCreatedRevisionName") or name
    return revision.Seen(
        deployment=view.get(DEPLOYMENT, deployment_name(name), namespace),
        service=view.get(CORE_SERVICE, private_service_name(name), namespace),
        pods=tuple(view.labelled(POD, namespace, names.REVISION, name)),
        routes=tuple(each["metadata"]["name"] for each in view.by(ROUTE, BY_REVISION, (namespace, name))),
        superseded=newest != name,
    )


def route_seen(view: View, obj: Object) -> route.Seen:
    namespace, name = key_of(obj)
    asked = _asked(obj)
    called = {name, *(f"{target['tag']}-{name}" for target in asked if target.get("tag"))}
    return route.Seen(
        configurations=_found(view, CONFIGURATION, namespace, (target.get("configurationName") for target in asked)),
        revisions=_found(view, REVISION, namespace, (target.get("revisionName") for target in asked)),
        services=_found(view, CORE_SERVICE, namespace, called),
    )


def routes_of_revision(view: View, obj: Object) -> Iterable[Key]:
    """Return the Routes that name a revision."""
    return [key_of(each) for each in view.by(ROUTE, BY_REVISION, key_of(obj))]


def routes_of_configuration(view: View, obj: Object) -> Iterable[Key]:
    """Return the Routes that name a configuration."""
    return [key_of(each) for each in view.by(ROUTE, BY_CONFIGURATION, key_of(obj))]


def revisions_of_route(_view: View, obj: Object) -> Iterable[Key]:
    """Return the revisions that a Route names."""
    return revisions_named(obj)


def latest_of_configuration(_view: View, obj: Object) -> Iterable[Key]:
    """Return the newest revision of a Configuration; of one before the change it is the one before."""
    newest = observed(obj).get("latestCreatedRevisionName")
    return ((key_of(obj)[0], newest),) if newest else ()


def _asked(route: Object) -> list[Object]:
    return (route.get("spec") or {}).get("traffic") or []


def _found(view: View, kind: Kind, namespace: str, called: Iterable[str | None]) -> dict[str, Object]:
    found = {name: view.get(kind, name, namespace) for name in called if name}
    return {name: obj for name, obj in found.items() if obj is not None}

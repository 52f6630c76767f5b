"""Knative's reconcilers, each with what makes it look again."""

from __future__ import annotations

from typing import Any

from controller.knative import observe
from controller.knative.reconcile import configuration, revision, route, service
from controller.reconciler import Reconciler, Watch, controlled_by, labelled_with
from torpor.spec import names
from torpor.spec.kinds import CONFIGURATION, CORE_SERVICE, DEPLOYMENT, KSERVICE, POD, REVISION, ROUTE

SERVICES = Reconciler(
    KSERVICE,
    observe.service_seen,
    service.reconcile,
    watches=(Watch(CONFIGURATION, controlled_by(KSERVICE)), Watch(ROUTE, controlled_by(KSERVICE))),
)

CONFIGURATIONS = Reconciler(
    CONFIGURATION,
    observe.configuration_seen,
    configuration.reconcile,
    watches=(Watch(REVISION, controlled_by(CONFIGURATION)),),
)

REVISIONS = Reconciler(
    REVISION,
    observe.revision_seen,
    revision.reconcile,
    watches=(
        Watch(DEPLOYMENT, controlled_by(REVISION)),
        Watch(CORE_SERVICE, controlled_by(REVISION)),
        Watch(POD, labelled_with(names.REVISION), labels=names.REVISION),
        Watch(ROUTE, observe.revisions_of_route),
        Watch(CONFIGURATION, observe.latest_of_configuration),
    ),
    indexes=((ROUTE, observe.BY_REVISION),),
)

ROUTES = Reconciler(
    ROUTE,
    observe.route_seen,
    route.reconcile,
    watches=(
        Watch(CONFIGURATION, observe.routes_of_configuration),
        Watch(REVISION, observe.routes_of_revision),
        Watch(CORE_SERVICE, controlled_by(ROUTE)),
    ),
    indexes=((ROUTE, observe.BY_REVISION), (ROUTE, observe.BY_CONFIGURATION)),
)

RECONCILERS: tuple[Reconciler[Any], ...] = (SERVICES, CONFIGURATIONS, REVISIONS, ROUTES)

"""The Revision that a Configuration's template asks for. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from controller.knative.resources.metadata import annotations_of, child, labels_of
from torpor.spec import names
from torpor.spec.children import child_name
from torpor.spec.kinds import CONFIGURATION, REVISION, Object
from torpor.spec.knative import BUILT_IN, NAME_IN_TEMPLATE, NAMESPACE_IN_TEMPLATE, RevisionDefaults
from torpor.spec.quantity import parse_quantity

PENDING = "pending"
ACTIVE = "active"
RESERVE = "reserve"

CONTAINER_NAME_LETTERS = 57
"""So many of a name made from a template: Kubernetes allows 63, and a number may follow."""


def revision_name(configuration: Object) -> str:
    """Return the name its owner brings, else one from the generation: `svc-00001`."""
    name = _template_metadata(configuration).get("name")
    metadata = configuration["metadata"]
    return str(name) if name else child_name(metadata["name"], f"-{metadata['generation']:05d}")


def revision(configuration: Object, now: str, defaults: RevisionDefaults = BUILT_IN) -> Object:
    """Return the Revision: the template, with the cluster's defaults filled in, for it never changes again."""
    template = configuration["spec"]["template"]
    inherited = _template_metadata(configuration)
    return {
        **child(
            REVISION,
            CONFIGURATION,
            configuration,
            revision_name(configuration),
            labels=dict(inherited.get("labels") or {}) | _labels(configuration),
            annotations=dict(inherited.get("annotations") or {}) | _annotations(configuration, now),
        ),
        "spec": revision_spec(template.get("spec") or {}, defaults, _container_name(configuration, defaults)),
    }


def revision_spec(
    spec: dict[str, Any], defaults: RevisionDefaults = BUILT_IN, container_name: str = names.USER_CONTAINER
) -> dict[str, Any]:
    """Return a RevisionSpec with the defaults of the cluster written into it."""
    containers = _named(spec.get("containers") or (), container_name)
    timeout_s = spec.get("timeoutSeconds") or defaults.timeout_s
    given = {key: value for key, value in spec.items() if value is not None}
    return {
        "containerConcurrency": defaults.concurrency,
        **({"enableServiceLinks": True} if defaults.service_links else {}),
        **_shorter("responseStartTimeoutSeconds", defaults.response_start_timeout_s, timeout_s),
        **_shorter("idleTimeoutSeconds", defaults.idle_timeout_s, timeout_s),
        **given,
        "timeoutSeconds": timeout_s,
        "containers": [_with_resources(each, defaults.resources) for each in containers],
    }


def _shorter(field: str, seconds: int, timeout_s: int) -> dict[str, int]:
    """Return a timeout where there is a default that the time for the whole request leaves any say."""
    return {field: seconds} if 0 < seconds < timeout_s else {}


def _named(containers: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Give every container that has no name one that is not taken."""
    containers = [_without_empty_name(each) for each in containers]
    taken = {each["name"] for each in containers if "name" in each}
    named = []
    for index, each in enumerate(containers):
        free = (name if number == 0 else f"{name}-{number}" for number in itertools.count(index))
        named.append({"name": next(one for one in free if one not in taken)} | each if "name" not in each else each)
        taken.add(named[-1]["name"])
    return named


def _container_name(configuration: Object, defaults: RevisionDefaults) -> str:
    metadata = configuration["metadata"]
    name = defaults.container_name.replace(NAME_IN_TEMPLATE, metadata["name"])
    name = name.replace(NAMESPACE_IN_TEMPLATE, metadata.get("namespace", ""))
    return name[:CONTAINER_NAME_LETTERS].rstrip("-")


def _with_resources(container: dict[str, Any], defaults: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Fill in what it does not say of its resources, but no request above a limit."""
    given = container.get("resources") or {}
    limits = _filled(defaults["limits"], given.get("limits"), given.get("requests"), lambda ours, own: ours >= own)
    requests = _filled(defaults["requests"], given.get("requests"), limits, lambda ours, own: ours <= own)
    filled = {key: value for key, value in (("requests", requests), ("limits", limits)) if value}
    return container if not filled else {**container, "resources": {**given, **filled}}


def _filled(
    defaults: dict[str, str],
    given: dict[str, Any] | None,
    other: dict[str, Any] | None,
    fits: Callable[[Fraction, Fraction], bool],
) -> dict[str, Any]:
    """Return what is given, and of the defaults those that fit the other half."""
    given, other = given or {}, other or {}
    return {
        name: amount
        for name, amount in defaults.items()
        if amount and (name not in other or fits(parse_quantity(name, amount), parse_quantity(name, other[name])))
    } | given


def generation_of(revision: Object) -> int:
    """Return the generation of the Configuration that a Revision was made for; 0 where that is not known."""
    text = labels_of(revision).get(names.CONFIGURATION_GENERATION, "")
    return int(text) if text.isdecimal() else 0


def _template_metadata(configuration: Object) -> dict[str, Any]:
    return configuration["spec"]["template"].get("metadata") or {}


def _labels(configuration: Object) -> dict[str, str]:
    metadata = configuration["metadata"]
    own = labels_of(configuration)
    of_service = {label: own[label] for label in (names.SERVICE, names.SERVICE_UID) if label in own}
    return of_service | {
        names.CONFIGURATION: metadata["name"],
        names.CONFIGURATION_GENERATION: str(metadata["generation"]),
        names.CONFIGURATION_UID: metadata["uid"],
        names.ROUTING_STATE: PENDING,
    }


def _annotations(configuration: Object, now: str) -> dict[str, str]:
    """Who caused this revision, as far as somebody told, and since when it is not yet routed."""
    own = annotations_of(configuration)
    creator = own.get(names.LAST_MODIFIER) or own.get(names.CREATOR)
    return ({names.CREATOR: creator} if creator else {}) | {names.ROUTING_STATE_MODIFIED: now}


def _without_empty_name(container: dict[str, Any]) -> dict[str, Any]:
    return container if container.get("name") else {key: value for key, value in container.items() if key != "name"}

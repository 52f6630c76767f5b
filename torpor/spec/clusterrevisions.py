"""What revisions are given, and may ask for: Knative's ConfigMap `config-defaults`, with its keys and rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torpor.errors import InvalidInputError
from torpor.spec.configmap import Page, Read, Rule, truth, whole
from torpor.spec.fields import DNS_LABEL
from torpor.spec.knative import NAME_IN_TEMPLATE, NAMESPACE_IN_TEMPLATE, RevisionDefaults
from torpor.spec.quantity import parse_quantity

NAME = "config-defaults"


def _quantity(field: str, raw: str) -> str:
    """Read an amount of a resource; an empty one is none."""
    if raw and parse_quantity(field, raw) < 0:
        raise InvalidInputError(field, raw, "use a quantity from 0 up, or nothing")
    return raw


def _links(field: str, raw: str) -> bool:
    """Knative's third value leaves it to Kubernetes, which has them."""
    return True if raw == "default" else bool(truth(field, raw))


def _name(field: str, raw: str) -> str:
    """Read a template of names. Go's templates are a language; these two values are what it can be about."""
    example = raw.replace(NAME_IN_TEMPLATE, "a").replace(NAMESPACE_IN_TEMPLATE, "a")
    if not DNS_LABEL.match(example):
        allowed = f"use lower-case letters, digits and '-', and in it {NAME_IN_TEMPLATE} or {NAMESPACE_IN_TEMPLATE}"
        raise InvalidInputError(field, raw, allowed)
    return raw


KEYS: Mapping[str, tuple[str, Read]] = {
    "revision-timeout-seconds": ("timeout_s", whole(1)),
    "max-revision-timeout-seconds": ("max_timeout_s", whole(1)),
    "revision-response-start-timeout-seconds": ("response_start_timeout_s", whole()),
    "revision-idle-timeout-seconds": ("idle_timeout_s", whole()),
    "container-concurrency": ("concurrency", whole()),
    "container-concurrency-max-limit": ("max_concurrency", whole(1)),
    "allow-container-concurrency-zero": ("allow_unlimited", truth),
    "container-name-template": ("container_name", _name),
    "enable-service-links": ("service_links", _links),
    "revision-cpu-request": ("cpu_request", _quantity),
    "revision-memory-request": ("memory_request", _quantity),
    "revision-ephemeral-storage-request": ("storage_request", _quantity),
    "revision-cpu-limit": ("cpu_limit", _quantity),
    "revision-memory-limit": ("memory_limit", _quantity),
    "revision-ephemeral-storage-limit": ("storage_limit", _quantity),
}
"""Key of the ConfigMap: field of RevisionDefaults, and what reads it."""


def _timeouts(read: RevisionDefaults, data: Mapping[str, str]) -> InvalidInputError | None:
    if read.timeout_s > read.max_timeout_s:
        allowed = f"use at most max-revision-timeout-seconds, which is {read.max_timeout_s}"
        return _fault("revision-timeout-seconds", read.timeout_s, data, allowed)
    for key, value in (
        ("revision-response-start-timeout-seconds", read.response_start_timeout_s),
        ("revision-idle-timeout-seconds", read.idle_timeout_s),
    ):
        if value > read.timeout_s:
            return _fault(key, value, data, f"use at most revision-timeout-seconds, which is {read.timeout_s}")
    return None


def _concurrency(read: RevisionDefaults, data: Mapping[str, str]) -> InvalidInputError | None:
    least = 0 if read.allow_unlimited else 1
    if not least <= read.concurrency <= read.max_concurrency:
        allowed = f"use a whole number from {least} to container-concurrency-max-limit, which is {read.max_concurrency}"
        return _fault("container-concurrency", read.concurrency, data, allowed)
    return None


def _resources(resource: str) -> Callable[[RevisionDefaults, Mapping[str, str]], InvalidInputError | None]:
    """Return what finds a request above the limit, of which no container could be made."""

    def fault(read: RevisionDefaults, data: Mapping[str, str]) -> InvalidInputError | None:
        asked, limit = (getattr(read, f"{resource}_{what}") for what in ("request", "limit"))
        if not asked or not limit or parse_quantity("", asked) <= parse_quantity("", limit):
            return None
        key = f"revision-{'ephemeral-storage' if resource == 'storage' else resource}"
        return _fault(f"{key}-request", asked, data, f"use at most {key}-limit, which is {limit}")

    return fault


def _fault(key: str, value: object, data: Mapping[str, str], allowed: str) -> InvalidInputError:
    return InvalidInputError(f"data[{key}]", data.get(key, value), allowed)


REVISIONS = Page(
    NAME,
    RevisionDefaults(),
    KEYS,
    (
        Rule(("timeout_s", "max_timeout_s", "response_start_timeout_s", "idle_timeout_s"), _timeouts),
        Rule(("concurrency", "max_concurrency", "allow_unlimited"), _concurrency),
        *(Rule((f"{each}_request", f"{each}_limit"), _resources(each)) for each in ("cpu", "memory", "storage")),
    ),
)
"""What it is read by."""

"""Knative Serving's Route, Revision and Service, as far as Torpor acts on them.

Field names, defaults and rules: Knative API specification 1.0.2 (knative/specs, specs/serving).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from torpor.errors import InvalidInputError
from torpor.spec.fields import DNS_LABEL, MAX_INTEGER, Fields
from torpor.spec.kinds import Object
from torpor.spec.names import USER_CONTAINER

RevisionName = NewType("RevisionName", str)

# config-defaults of Knative Serving
TIMEOUT_S = 300
MAX_TIMEOUT_S = 24 * 3600
"""Knative's own limit is 600 s, and its users' long generations run into it; ours is a day."""
MAX_CONCURRENCY = 1000

NAME_IN_TEMPLATE = "{{.Name}}"
NAMESPACE_IN_TEMPLATE = "{{.Namespace}}"


@dataclass(frozen=True, slots=True)
class RevisionDefaults:
    """What a cluster gives new revisions, and what they may ask for: Knative's ConfigMap config-defaults.

    It is written into a Revision when that is made, so a change is for those that come later.
    """

    timeout_s: int = TIMEOUT_S
    max_timeout_s: int = MAX_TIMEOUT_S
    response_start_timeout_s: int = 0
    """0: as long as the whole answer may take. Knative's 300 s would cut off long answers that are no streams."""
    idle_timeout_s: int = 0
    """0: no limit."""
    concurrency: int = 0
    """0: no limit."""
    max_concurrency: int = MAX_CONCURRENCY
    allow_unlimited: bool = True
    """Whether a revision may ask for no limit of its concurrency."""
    container_name: str = USER_CONTAINER
    """May have {{.Name}} and {{.Namespace}} of the Configuration in it."""
    service_links: bool = False
    cpu_request: str = ""
    memory_request: str = ""
    storage_request: str = ""
    cpu_limit: str = ""
    memory_limit: str = ""
    storage_limit: str = ""

    @property
    def resources(self) -> dict[str, dict[str, str]]:
        """Return what a container gets that asks for nothing, as its `resources`."""
        return {
            "requests": {"cpu": self.cpu_request, "memory": self.memory_request, _STORAGE: self.storage_request},
            "limits": {"cpu": self.cpu_limit, "memory": self.memory_limit, _STORAGE: self.storage_limit},
        }


_STORAGE = "ephemeral-storage"
BUILT_IN = RevisionDefaults()
"""Without the ConfigMap."""
ACCEPTED = RevisionDefaults(max_timeout_s=MAX_INTEGER, max_concurrency=MAX_INTEGER)
"""By which a Revision is read that exists: what was allowed when it was made stays so."""


@dataclass(frozen=True, slots=True)
class Target:
    """One line of `traffic`: which revision gets how much, and under which tag."""

    revision: RevisionName | None
    """None: the configuration's latest ready revision."""
    configuration: str | None
    """Only on Routes: whose latest revision, where it is not the Route's own service's."""
    percent: int
    tag: str


@dataclass(frozen=True, slots=True)
class RevisionLimits:
    """What a revision asks of the door in front of it."""

    concurrency: int
    """Requests one pod may have at once; 0 is no limit."""
    timeout_s: float
    """For the whole request, counted from when it was handed to a pod."""
    response_start_timeout_s: float
    """Until the first byte of the answer, counted likewise."""
    idle_timeout_s: float | None
    """Longest silence within an answer; None is no limit."""


def parse_limits(spec: Fields, defaults: RevisionDefaults = BUILT_IN) -> RevisionLimits:
    """Read a RevisionSpec's concurrency and timeouts, with the defaults and the limits of the cluster."""
    most_s = defaults.max_timeout_s
    least = 0 if defaults.allow_unlimited else 1
    concurrency = spec.integer("containerConcurrency", minimum=least, maximum=defaults.max_concurrency)
    timeout = spec.integer("timeoutSeconds", minimum=0, maximum=most_s) or defaults.timeout_s
    start = spec.integer("responseStartTimeoutSeconds", minimum=0, maximum=most_s)
    if not start:
        start = min(timeout, defaults.response_start_timeout_s or timeout)
    if start > timeout:
        raise spec.refuse("responseStartTimeoutSeconds", f"use at most timeoutSeconds, which is {timeout}")
    idle = spec.integer("idleTimeoutSeconds", minimum=0, maximum=most_s)
    if idle is None and defaults.idle_timeout_s < timeout:
        idle = defaults.idle_timeout_s
    if idle and idle > timeout:
        raise spec.refuse("idleTimeoutSeconds", f"use at most timeoutSeconds, which is {timeout}")
    concurrency = defaults.concurrency if concurrency is None else concurrency
    return RevisionLimits(concurrency, float(timeout), float(start), float(idle) if idle else None)


def parse_traffic(owner: Fields, name: str = "traffic") -> tuple[Target, ...]:
    """Read `traffic`; raises InvalidInputError if percents do not sum to 100, tags repeat, or a target is unclear.

    Empty traffic is returned as empty: its meaning (all to the latest ready revision) is the caller's default.
    """
    targets = tuple(_parse_target(fields) for fields in owner.objects(name))
    if not targets:
        return ()
    total = sum(target.percent for target in targets)
    if total != 100:
        raise InvalidInputError(owner.at(name), total, "the percents must sum to 100")
    tags = [target.tag for target in targets if target.tag]
    for index, tag in enumerate(tags):
        if tag in tags[:index]:
            raise InvalidInputError(owner.at(name), tag, "each tag may be used once")
    return targets


def _parse_target(fields: Fields) -> Target:
    revision = fields.text("revisionName")
    configuration = fields.text("configurationName")
    if revision and configuration:
        raise fields.refuse("configurationName", "set revisionName or configurationName, not both")
    latest = fields.raw.get("latestRevision")
    if latest is True and revision:
        raise fields.refuse("latestRevision", "it must be false or absent where revisionName is set")
    if latest is False and not revision:
        raise fields.refuse("latestRevision", "it must be true or absent where revisionName is not set")
    tag = fields.text("tag")
    if tag and not DNS_LABEL.match(tag):
        raise fields.refuse("tag", "use lower-case letters, digits and '-' (a DNS-1123 label)")
    percent = fields.integer("percent", minimum=0, maximum=100) or 0
    return Target(RevisionName(revision) if revision else None, configuration or None, percent, tag)


def condition(obj: Object, type_: str) -> str:
    """Return a condition's status: "True", "False", or "Unknown" where it is absent."""
    for item in (obj.get("status") or {}).get("conditions") or ():
        if item.get("type") == type_:
            return str(item.get("status", "Unknown"))
    return "Unknown"

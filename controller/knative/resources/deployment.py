"""The Deployment that runs a revision. Pure."""

from __future__ import annotations

from typing import Any

from controller.compare import digest
from controller.knative.resources.metadata import annotations_of, child, handed_on, labels_of
from torpor.errors import InvalidInputError
from torpor.spec import names
from torpor.spec.autoscaling import Scaling
from torpor.spec.children import deployment_name
from torpor.spec.duration import parse_duration
from torpor.spec.kinds import DEPLOYMENT, REVISION, Object
from torpor.spec.revision import RevisionSpec

PROGRESS_DEADLINE_S = 600
"""Knative's: how long a start may take before it counts as failed."""

# Of a RevisionSpec: not a pod's.
_NOT_POD = ("containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds")
_PROBES = ("readinessProbe", "livenessProbe", "startupProbe")
PROBE_EVERY_S = 1
"""Kubernetes' own ten seconds would be most of a cold start."""


def deployment(revision: Object, spec: RevisionSpec, scaling: Scaling) -> Object:
    """Return the Deployment as it is created; of one that exists the replicas are the autoscaler's.

    Raises InvalidInputError where an annotation makes no sense.
    """
    made = child(
        DEPLOYMENT,
        REVISION,
        revision,
        deployment_name(revision["metadata"]["name"]),
        labels=pod_labels(revision),
        annotations=_annotations(revision),
    )
    made["spec"] = {
        "selector": {"matchLabels": selector(revision)},
        "progressDeadlineSeconds": _progress_deadline_s(revision),
        # A new template replaces pods only when its own are ready.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
        "template": {
            "metadata": {"labels": pod_labels(revision), "annotations": _annotations(revision)},
            "spec": pod_spec(revision, spec),
        },
    }
    made["metadata"]["annotations"] = _annotations(revision) | {names.MADE_FROM: digest(made)}
    # As in Knative the upper bound has the last word, also over an initial scale.
    wanted = max(scaling.initial_scale, scaling.min_scale)
    made["spec"]["replicas"] = min(wanted, scaling.max_scale) if scaling.max_scale else wanted
    return made


def selector(revision: Object) -> dict[str, str]:
    return {names.REVISION_UID: revision["metadata"]["uid"]}


def pod_labels(revision: Object) -> dict[str, str]:
    """Return the labels of everything made for a revision; its routing changes while its pods stay the same."""
    metadata = revision["metadata"]
    own = {key: value for key, value in labels_of(revision).items() if key != names.ROUTING_STATE}
    return own | {names.REVISION: metadata["name"], names.APP: metadata["name"]} | selector(revision)


def pod_spec(revision: Object, spec: RevisionSpec) -> dict[str, Any]:
    """Return the pod's spec: the revision's own, made to fit the runtime contract."""
    given = {key: value for key, value in (revision.get("spec") or {}).items() if key not in _NOT_POD}
    identity = _identity(revision)
    containers = [
        _container(raw, parsed.name, spec.port if parsed.name == spec.serving else None, identity)
        for raw, parsed in zip(given["containers"], spec.containers, strict=True)
    ]
    return {
        # Of every Service of the namespace six variables: a start with a thousand of them is slow.
        "enableServiceLinks": False,
        **given,
        "containers": containers,
        # Requests in flight may take as long as the revision allows any request to take.
        "terminationGracePeriodSeconds": int(spec.limits.timeout_s),
    }


def _container(raw: dict[str, Any], name: str, port: int | None, identity: dict[str, str]) -> dict[str, Any]:
    """Return a container; `port` is the serving one's, None for those beside it."""
    contract = identity if port is None else {"PORT": str(port)} | identity
    made = {
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **raw,
        "name": name,
        "env": [item for item in raw.get("env") or () if item.get("name") not in contract]
        + [{"name": key, "value": value} for key, value in contract.items()],
    }
    if port is not None:
        made["ports"] = raw.get("ports") or [{"name": "http1"}]
        made["ports"] = [{"protocol": "TCP", **each, "containerPort": port} for each in made["ports"]]
        made["readinessProbe"] = raw.get("readinessProbe") or {}
    for probe in _PROBES:
        if probe in made:
            made[probe] = _probe(made[probe], port, ready=probe == "readinessProbe")
    return made


def _probe(raw: dict[str, Any], port: int | None, *, ready: bool) -> dict[str, Any]:
    """Return a probe with the port it goes to, and often enough for a cold start."""
    probe = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    if port is not None:
        if not any(action in probe for action in ("httpGet", "tcpSocket", "exec", "grpc")):
            probe["tcpSocket"] = {}
        for action in ("httpGet", "tcpSocket", "grpc"):
            if action in probe:
                probe[action]["port"] = probe[action].get("port") or port
    if not probe.get("periodSeconds"):
        # Knative: 0 is "as often as is good".
        probe.pop("periodSeconds", None)
        if ready:
            probe["periodSeconds"] = PROBE_EVERY_S
    return probe


def _identity(revision: Object) -> dict[str, str]:
    own = labels_of(revision)
    return {
        "K_REVISION": revision["metadata"]["name"],
        "K_CONFIGURATION": own.get(names.CONFIGURATION, ""),
        "K_SERVICE": own.get(names.SERVICE, ""),
    }


def _annotations(revision: Object) -> dict[str, str]:
    # Its routing changes while its pods stay the same.
    mine = (names.ROUTES, names.ROUTING_STATE_MODIFIED)
    return {key: value for key, value in handed_on(revision).items() if key not in mine}


def _progress_deadline_s(revision: Object) -> int:
    raw = annotations_of(revision).get(names.PROGRESS_DEADLINE)
    if raw is None:
        return PROGRESS_DEADLINE_S
    field = f"metadata.annotations[{names.PROGRESS_DEADLINE}]"
    seconds = parse_duration(field, raw)
    if seconds != int(seconds) or seconds < 1:
        raise InvalidInputError(field, raw, "use whole seconds, at least 1s")
    return int(seconds)

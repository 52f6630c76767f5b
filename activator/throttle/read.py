"""Read from Kubernetes objects what the throttlers need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from activator.throttle.pod import Endpoint
from activator.throttle.throttler import Terms
from torpor.spec import conditions, names
from torpor.spec.children import private_service_name
from torpor.spec.fields import Fields
from torpor.spec.kinds import Object
from torpor.spec.knative import ACCEPTED, parse_limits
from torpor.spec.revision import H2C
from torpor.spec.session import Affinity, parse_affinity
from torpor.spec.waiting import NOTHING_ASLEEP, Asleep, parse_activation_timeout, parse_asleep, parse_wakes

T = TypeVar("T")

GRPC = "grpc"
"""Name of a port that speaks HTTP/2 beside the one that speaks HTTP/1.1."""
KILLED = 128
"""Exit codes beyond this one say which signal ended the process: not the model's own word."""
CRASHES = 3
"""Restarts after which a container that keeps being killed counts as one that will not start."""

# Without a change to the object, these do not pass.
_HOPELESS = frozenset({"ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError"})
# The container runtime could not even start the program. What it says while a container waits may be its own trouble;
# the system's words for a program that cannot be run are not.
_NEVER_RAN = frozenset({"StartError", "ContainerCannotRun"})
_UNSTARTED = frozenset({"CreateContainerError", "RunContainerError"})
_NO_PROGRAM = re.compile("executable file not found|no such file or directory|permission denied|exec format error")
# An image could not be pulled, more than once. It may still come; whether anybody hopes for it, the Revision says.
_PULLING = "ImagePullBackOff"

# Why nothing is made of a Revision, so that no pod will come as long as it says so.
_UNMADE = frozenset({"ContainerMissing", "InvalidSpec", "NotOwned"})
# Why no pod can be made at this moment: no room in a quota, or somebody's rule.
_UNMAKEABLE = "FailedCreate"


class Verdict(NamedTuple):
    """What a Revision that is not ready says of itself."""

    words: str
    stands: bool = False
    """No pod will come before it says something else."""
    told: bool = False
    """No pod came for those who wait; for those who come later one may."""


def read_terms(revision: Object, activation_timeout_s: float) -> Terms:
    """Return what a Revision asks for; raises InvalidInputError naming field or annotation."""
    limits = parse_limits(Fields(revision.get("spec") or {}, "spec"), ACCEPTED)
    own_s = _annotation(revision, names.ACTIVATION_TIMEOUT, parse_activation_timeout)
    return Terms(limits, own_s or activation_timeout_s)


def read_affinity(revision: Object) -> Affinity | None:
    """Return by what a Revision's sessions are told apart, None where it has none; raises InvalidInputError."""
    return _annotation(revision, names.SESSION_AFFINITY, parse_affinity)


def read_asleep(revision: Object) -> Asleep:
    """Return what is answered for a Revision while it sleeps; raises InvalidInputError."""
    return _annotation(revision, names.ANSWER_WHILE_ASLEEP, parse_asleep) or NOTHING_ASLEEP


def read_wakes(revision: Object) -> tuple[str, ...]:
    """Return the services that are woken with a Revision; raises InvalidInputError."""
    return _annotation(revision, names.WAKES, parse_wakes) or ()


def _annotation(revision: Object, name: str, parse: Callable[[str, str], T]) -> T | None:
    raw = (revision["metadata"].get("annotations") or {}).get(name)
    return None if raw is None else parse(f"metadata.annotations[{name}]", raw)


def verdict_of(revision: Object) -> Verdict | None:
    """Return what a Revision says of itself where it is not ready for a known reason."""
    mark = conditions.read(revision, conditions.READY)
    if mark is None or not mark.is_false:
        return None
    words = f"revision {revision['metadata']['name']} cannot run ({mark.reason}){_said(mark.message)}"
    return Verdict(words, mark.reason in _UNMADE, mark.reason == _UNMAKEABLE)


def revision_of(obj: Object) -> tuple[str, str] | None:
    """Return the revision that an object is labelled with."""
    metadata = obj["metadata"]
    name = (metadata.get("labels") or {}).get(names.REVISION)
    return (metadata.get("namespace", ""), name) if name else None


def ready_endpoints(slice_: Object) -> Iterator[Endpoint]:
    """Yield where an EndpointSlice says that pods are ready; nothing for a slice of another Service than the pods' own.

    On a cluster with Knative a revision has two: of the public one the endpoints may be activators.
    """
    labels = slice_["metadata"].get("labels") or {}
    if labels.get(names.SERVICE_NAME) != private_service_name(labels.get(names.REVISION) or ""):
        return
    ports = {port.get("name") or "": int(port["port"]) for port in slice_.get("ports") or () if port.get("port")}
    # Knative's names; a port without one speaks HTTP/1.1 as well.
    name = next((name for name in ("http", "http1", H2C, "") if name in ports), None)
    if name is None:
        return
    for endpoint in slice_.get("endpoints") or ():
        conditions = endpoint.get("conditions") or {}
        # Kubernetes: an absent `ready` is to be read as true.
        if conditions.get("ready", True) and not conditions.get("terminating"):
            pod = endpoint.get("targetRef") or {}
            for address in endpoint.get("addresses") or ():
                yield Endpoint(
                    pod.get("name", ""),
                    pod.get("uid", ""),
                    address,
                    ports[name],
                    h2c=name == H2C,
                    grpc_port=ports.get(GRPC, 0),
                )


def is_ending(pod: Object) -> bool:
    """Tell whether a pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def ready_runs(pod: Object) -> frozenset[str]:
    """Return when the containers that are ready now were started: each run of a container has its own time."""
    return frozenset(
        str((status.get("state") or {}).get("running", {}).get("startedAt"))
        for status in _containers(pod)
        if status.get("ready") and (status.get("state") or {}).get("running")
    )


def waits_for_image(pod: Object) -> bool:
    """Tell whether an image could not be pulled again and again."""
    return any(
        ((status.get("state") or {}).get("waiting") or {}).get("reason") == _PULLING for status in _containers(pod)
    )


def failure_of(pod: Object, served: frozenset[str] = frozenset()) -> str | None:
    """Return why a pod will not become ready, None where that is not known. `served`: runs that were ready once."""
    for status in _containers(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        message = waiting.get("message") or ""
        if reason in _HOPELESS or (reason in _UNSTARTED and _NO_PROGRAM.search(message)):
            return _sentence(pod, status, f"cannot be started ({reason})", message)
        ended = _last_end(status)
        if ended is None or (status.get("state") or {}).get("running"):
            continue
        crashing = reason == "CrashLoopBackOff" and status.get("restartCount", 0) >= CRASHES
        if crashing or _did_not_start(ended, served):
            return _exited(pod, status, ended)
    return None


def new_failure(old: Object | None, new: Object, served: frozenset[str] = frozenset()) -> str | None:
    """Return what a container said that has ended between the two, though it may be running again."""
    if old is None:
        return None
    before = {status["name"]: status.get("restartCount", 0) for status in _containers(old)}
    for status in _containers(new):
        ended = (status.get("lastState") or {}).get("terminated")
        again = status.get("restartCount", 0) > before.get(status["name"], 0)
        if ended and again and _did_not_start(ended, served):
            return _exited(new, status, ended)
    return None


def _containers(pod: Object) -> list[Object]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _last_end(status: Object) -> Object | None:
    ended: Object | None = (status.get("state") or {}).get("terminated") or (status.get("lastState") or {}).get(
        "terminated"
    )
    return ended


def _did_not_start(ended: Object, served: frozenset[str]) -> bool:
    """Tell whether a container ended by itself before it was ready: one that has served may well do so again."""
    by_itself = 0 < ended.get("exitCode", 0) <= KILLED or ended.get("reason") in _NEVER_RAN
    return by_itself and ended.get("startedAt") not in served


def _exited(pod: Object, status: Object, ended: Object) -> str:
    code, reason = ended.get("exitCode", 0), ended.get("reason")
    if reason in _NEVER_RAN:
        how = f"cannot be started ({reason})"
    else:
        how = f"ended with exit code {code}" if code <= KILLED else f"was killed ({reason or code})"
    return _sentence(pod, status, how, ended.get("message", ""))


def _sentence(pod: Object, status: Object, what: str, message: str) -> str:
    return f"container {status['name']} of pod {pod['metadata']['name']} {what}{_said(message)}"


def _said(message: str) -> str:
    return f": {message.strip()}" if message and message.strip() else ""

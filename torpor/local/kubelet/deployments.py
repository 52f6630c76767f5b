"""Decide which pods a Deployment should gain and lose, and what its status says of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from torpor.spec.fields import Fields
from torpor.spec.kinds import Object

AVAILABLE, PROGRESSING = "Available", "Progressing"
MAX_REPLICAS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Now:
    """One moment, for arithmetic and as Kubernetes writes it."""

    s: float
    text: str


@dataclass(frozen=True, slots=True)
class PodSeen:
    """One pod of a Deployment, at the moment of deciding."""

    uid: str
    hash: str
    """Of the template that it was made from."""
    order: float
    """When it was created, on any scale that grows."""
    ready_since_s: float | None = None
    """None while it is not ready."""
    ending: bool = False

    @property
    def ready(self) -> bool:
        return self.ready_since_s is not None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a Deployment asks for."""

    hash: str
    replicas: int
    surge: int = 0
    """How many more than `replicas` there may be while templates change."""
    unavailable: int = 0
    """How many fewer may be available meanwhile."""
    recreate: bool = False
    """All old pods go before the first new one comes."""
    min_ready_s: float = 0.0
    deadline_s: float | None = None
    """How long a new template may take without progress."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now."""

    create: int = 0
    delete: tuple[str, ...] = ()
    """uids, in the order in which they should go."""


def parse_deployment(obj: Object, template_hash: str) -> Wanted:
    """Read a Deployment's spec; raises InvalidInputError that names field, value and what is allowed."""
    spec = Fields(obj.get("spec") or {}, "spec")
    replicas = spec.integer("replicas", minimum=0, maximum=MAX_REPLICAS)
    replicas = 1 if replicas is None else replicas
    strategy = spec.object("strategy")
    rolling = strategy.object("rollingUpdate")
    surge = math.ceil(_share(rolling, "maxSurge", replicas))
    unavailable = math.floor(_share(rolling, "maxUnavailable", replicas))
    if surge == 0 and unavailable == 0:
        unavailable = 1  # as in Kubernetes: rounding must not stop a rollout for good
    return Wanted(
        template_hash,
        replicas,
        surge,
        unavailable,
        strategy.text("type") == "Recreate",
        spec.integer("minReadySeconds", minimum=0, maximum=MAX_REPLICAS) or 0,
        spec.integer("progressDeadlineSeconds", minimum=0, maximum=MAX_REPLICAS),
    )


def _share(fields: Fields, name: str, of: int) -> Fraction:
    """Return a number, or a share in percent of `of`; Kubernetes' default is 25 %."""
    value = fields.raw.get(name, "25%")
    if isinstance(value, str):
        number, percent = value.removesuffix("%"), value.endswith("%")
        if not number.isdecimal():
            raise fields.refuse(name, 'use a whole number or a share like "25%"')
        return Fraction(of * int(number), 100) if percent else Fraction(number)
    return Fraction(fields.integer(name, minimum=0, maximum=MAX_REPLICAS) or 0)


def plan(wanted: Wanted, pods: Iterable[PodSeen], now_s: float) -> Plan:
    """Return which pods to create and delete now.

    Pods that are ending count for nothing: their successors need not wait for them. While templates change there
    are never more than `replicas + surge` pods, and never fewer than `replicas - unavailable` available ones on our
    account.
    """
    seen = list(pods)
    alive = [pod for pod in seen if not pod.ending]
    new = [pod for pod in alive if pod.hash == wanted.hash]
    old = [pod for pod in alive if pod.hash != wanted.hash]
    if wanted.replicas == 0:
        return Plan(delete=_uids(_first_to_go(alive)))
    if wanted.recreate and any(pod.hash != wanted.hash for pod in seen):
        return Plan(delete=_uids(_first_to_go(old)))
    surplus = _first_to_go(new)[: max(0, len(new) - wanted.replicas)]
    limit = wanted.replicas + (wanted.surge if old else 0)
    create = max(0, min(wanted.replicas - len(new), limit - len(alive)))
    return Plan(create, _uids([*surplus, *_retire(wanted, new, old, now_s)]))


def _retire(wanted: Wanted, new: list[PodSeen], old: list[PodSeen], now_s: float) -> list[PodSeen]:
    """Return the pods of older templates that may go now: first those that serve nobody."""
    floor = wanted.replicas - wanted.unavailable
    new_available = sum(is_available(wanted, pod, now_s) for pod in new)
    available = new_available + sum(is_available(wanted, pod, now_s) for pod in old)
    # New pods that are still coming up need the place of old ones that are not available either.
    broken = [pod for pod in _first_to_go(old) if not is_available(wanted, pod, now_s)]
    room = max(0, len(old) + new_available - floor)
    useless = broken[:room]
    spare = max(0, available - floor)
    healthy = [pod for pod in _first_to_go(old) if is_available(wanted, pod, now_s)]
    return [*useless, *healthy[:spare]]


def _first_to_go(pods: Iterable[PodSeen]) -> list[PodSeen]:
    """Those that are not ready first, then the youngest."""
    return sorted(pods, key=lambda pod: (pod.ready, -pod.order))


def _uids(pods: Iterable[PodSeen]) -> tuple[str, ...]:
    return tuple(pod.uid for pod in pods)


def is_available(wanted: Wanted, pod: PodSeen, now_s: float) -> bool:
    """Tell whether a pod has been ready for long enough."""
    return pod.ready_since_s is not None and now_s - pod.ready_since_s >= wanted.min_ready_s


def next_look_s(
    wanted: Wanted, pods: Iterable[PodSeen], status: Object, progressed_s: float, now_s: float
) -> float | None:
    """Return after how long a decision can be different by the mere passing of time.

    `progressed_s` is when condition Progressing was last updated.
    """
    times = [
        pod.ready_since_s + wanted.min_ready_s - now_s
        for pod in pods
        if pod.ready_since_s is not None and not pod.ending
    ]
    progressing = condition(status, PROGRESSING)
    if wanted.deadline_s is not None and progressing.get("status") == "True" and not _is_complete(progressing):
        times.append(progressed_s + wanted.deadline_s - now_s)
    return min((time for time in times if time > 0), default=None)


# --- status ----------------------------------------------------------------------------------------------------


def status(obj: Object, wanted: Wanted, pods: Iterable[PodSeen], progressed_s: float, now: Now) -> Object:
    """Return the status of a Deployment; counts that are zero are left out, as Kubernetes does."""
    previous = obj.get("status") or {}
    alive = [pod for pod in pods if not pod.ending]
    updated = sum(pod.hash == wanted.hash for pod in alive)
    ready = sum(pod.ready for pod in alive)
    available = sum(is_available(wanted, pod, now.s) for pod in alive)
    updated_available = sum(is_available(wanted, pod, now.s) for pod in alive if pod.hash == wanted.hash)
    counts = {
        "replicas": len(alive),
        "updatedReplicas": updated,
        "readyReplicas": ready,
        "availableReplicas": available,
        "unavailableReplicas": max(0, max(wanted.replicas, len(alive)) - available),
    }
    complete = updated == wanted.replicas == len(alive) == updated_available
    grown = any(counts[key] > previous.get(key, 0) for key in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    late = wanted.deadline_s is not None and now.s - progressed_s >= wanted.deadline_s
    enough = available >= wanted.replicas - wanted.unavailable
    name = f"{obj['metadata']['name']}-{wanted.hash}"
    return {
        "observedGeneration": obj["metadata"].get("generation", 1),
        **{key: value for key, value in counts.items() if value},
        "conditions": [
            _mark(previous, AVAILABLE, *_AVAILABILITY[enough], now),
            _progress(name, previous, now, complete=complete, grown=grown, late=late),
        ],
    }


_Status = Literal["True", "False"]
_AVAILABILITY: dict[bool, tuple[_Status, str, str]] = {
    True: ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
    False: ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
}


def _progress(replica_set: str, previous: Object, now: Now, *, complete: bool, grown: bool, late: bool) -> Object:
    """Return condition Progressing, which judges a template, not a scale: once complete, it stays so.

    Kubernetes speaks of ReplicaSets here, and tools look for its words; on a laptop the name stands for the template.
    """
    known = condition(previous, PROGRESSING)
    same = f'"{replica_set}"' in known.get("message", "")
    if complete or (same and _is_complete(known)):
        text = f'ReplicaSet "{replica_set}" has successfully progressed.'
        return _mark(previous, PROGRESSING, "True", "NewReplicaSetAvailable", text, now)
    if not same:
        text = f'Created new replica set "{replica_set}"'
        return _mark(previous, PROGRESSING, "True", "NewReplicaSetCreated", text, now)
    if grown:
        text = f'ReplicaSet "{replica_set}" is progressing.'
        marked = _mark(previous, PROGRESSING, "True", "ReplicaSetUpdated", text, now)
        return {**marked, "lastUpdateTime": now.text}
    if late and known["status"] == "True":
        text = f'ReplicaSet "{replica_set}" has timed out progressing.'
        return _mark(previous, PROGRESSING, "False", "ProgressDeadlineExceeded", text, now)
    return known


def _is_complete(progressing: Object) -> bool:
    return bool(progressing.get("reason") == "NewReplicaSetAvailable")


def condition(status: Object, type_: str) -> Object:
    """Return one condition of a status; empty where there is none."""
    found: Object = next((item for item in status.get("conditions") or () if item.get("type") == type_), {})
    return found


def _mark(previous: Object, type_: str, value: _Status, reason: str, message: str, now: Now) -> Object:
    known = condition(previous, type_)
    said = {"type": type_, "status": value, "reason": reason, "message": message}
    if all(known.get(key) == text for key, text in said.items()):
        return known
    since = known.get("lastTransitionTime") if known.get("status") == value else None
    return {**said, "lastUpdateTime": now.text, "lastTransitionTime": since or now.text}

"""What is known of a pod's containers, in Kubernetes' words: phase, conditions, container statuses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from torpor.spec.kinds import Object

ADDRESS = "127.0.0.1"
"""Of every pod: on a laptop they share it."""

Restart = Literal["Always", "OnFailure", "Never"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not running, and not over either."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """There is a process."""

    started_at: str


@dataclass(frozen=True, slots=True)
class Terminated:
    """There was a process."""

    exit_code: int
    reason: str
    started_at: str
    finished_at: str
    message: str = ""
    signal: int = 0
    container_id: str = ""


State = Waiting | Running | Terminated

CREATING = Waiting("ContainerCreating")
INITIALIZING = Waiting("PodInitializing")


@dataclass(frozen=True, slots=True)
class ContainerSeen:
    """One container, at the moment of telling."""

    name: str
    image: str
    state: State = CREATING
    last: Terminated | None = None
    restarts: int = 0
    ready: bool = False
    started: bool = False
    container_id: str = ""

    @property
    def succeeded(self) -> bool:
        return isinstance(self.state, Terminated) and self.state.exit_code == 0


@dataclass(frozen=True, slots=True)
class PodKnown:
    """One pod, at the moment of telling."""

    containers: tuple[ContainerSeen, ...]
    init_containers: tuple[ContainerSeen, ...] = ()
    restart: Restart = "Always"
    started_at: str = ""
    refused: tuple[str, str] | None = None
    """(reason, message) of a pod that will never run."""

    @property
    def initialized(self) -> bool:
        return all(container.succeeded for container in self.init_containers)

    @property
    def ready(self) -> bool:
        return phase(self) == "Running" and all(container.ready for container in self.containers)


def phase(pod: PodKnown) -> str:
    """Return Pending, Running, Succeeded or Failed by Kubernetes' rules."""
    if pod.refused is not None:
        return "Failed"
    if not pod.initialized:
        broken = any(isinstance(each.state, Terminated) and each.state.exit_code for each in pod.init_containers)
        return "Failed" if broken and pod.restart == "Never" else "Pending"
    states = [container.state for container in pod.containers]
    ended = [state for state in states if isinstance(state, Terminated)]
    if len(ended) == len(states):
        failed = any(state.exit_code for state in ended)
        if pod.restart == "Always" or (failed and pod.restart == "OnFailure"):
            return "Running"  # it is about to be restarted
        return "Failed" if failed else "Succeeded"
    never_ran = [each for each in pod.containers if isinstance(each.state, Waiting) and each.last is None]
    return "Pending" if never_ran else "Running"


def status(pod: PodKnown, previous: Object, now: str) -> Object:
    """Return the status of a pod; conditions keep the time of their last change."""
    where = phase(pod)
    told: Object = {
        "phase": where,
        "conditions": _conditions(pod, where, previous.get("conditions") or (), now),
        "hostIP": ADDRESS,
        "hostIPs": [{"ip": ADDRESS}],
        "podIP": ADDRESS,
        "podIPs": [{"ip": ADDRESS}],
        "startTime": pod.started_at,
        "containerStatuses": [_container(container) for container in pod.containers],
    }
    if pod.init_containers:
        told["initContainerStatuses"] = [_container(container) for container in pod.init_containers]
    if pod.refused is not None:
        told["reason"], told["message"] = pod.refused
    return told


def _container(seen: ContainerSeen) -> Object:
    told: Object = {
        "name": seen.name,
        "image": seen.image,
        "imageID": "",
        "state": _state(seen.state),
        "lastState": {} if seen.last is None else _state(seen.last),
        "ready": seen.ready,
        "started": seen.started,
        "restartCount": seen.restarts,
    }
    if seen.container_id:
        told["containerID"] = seen.container_id
    return told


def _state(state: State) -> Object:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        case Running(started_at):
            return {"running": {"startedAt": started_at}}
        case Terminated():
            told: Object = {
                "exitCode": state.exit_code,
                "reason": state.reason,
                "startedAt": state.started_at,
                "finishedAt": state.finished_at,
            }
            optional = {"message": state.message, "signal": state.signal, "containerID": state.container_id}
            return {"terminated": told | {key: value for key, value in optional.items() if value}}


def _conditions(pod: PodKnown, where: str, previous: Iterable[Object], now: str) -> list[Object]:
    known = {item["type"]: item for item in previous}
    over = where == "Succeeded"
    not_ready = [each.name for each in pod.containers if not each.ready]
    incomplete = [each.name for each in pod.init_containers if not each.succeeded]
    ready = _verdict("ContainersNotReady", "containers with unready status", not_ready)
    initialized = _verdict("ContainersNotInitialized", "containers with incomplete status", incomplete)
    if over:
        ready, initialized = ("False", "PodCompleted", ""), ("True", "PodCompleted", "")
    elif where == "Failed":
        ready = ("False", "PodFailed", "")
    verdicts = {
        "PodReadyToStartContainers": ("False" if over or where == "Failed" else "True", "", ""),
        "Initialized": initialized,
        "Ready": ready,
        "ContainersReady": ready,
        "PodScheduled": ("True", "", ""),
    }
    return [_condition(type_, *verdict, known.get(type_), now) for type_, verdict in verdicts.items()]


def _verdict(reason: str, text: str, names: Sequence[str]) -> tuple[str, str, str]:
    return ("False", reason, f"{text}: [{' '.join(names)}]") if names else ("True", "", "")


def _condition(type_: str, value: str, reason: str, message: str, known: Object | None, now: str) -> Object:
    told: Object = {"type": type_, "status": value}
    if reason:
        told["reason"] = reason
    if message:
        told["message"] = message
    since = known.get("lastTransitionTime") if known is not None and known.get("status") == value else None
    return {**told, "lastTransitionTime": since or now}

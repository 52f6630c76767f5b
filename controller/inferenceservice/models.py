"""`status.modelStatus`: whether the model is loaded, asleep, loading, or why it cannot be loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torpor.spec import conditions, names
from torpor.spec.kinds import Object

PENDING, STANDBY, LOADING, LOADED, FAILED = "Pending", "Standby", "Loading", "Loaded", "FailedToLoad"
UP_TO_DATE, IN_PROGRESS = "UpToDate", "InProgress"
BLOCKED, INVALID = "BlockedByFailedLoad", "InvalidSpec"

LOAD_FAILED, UNHEALTHY = "ModelLoadFailed", "RuntimeUnhealthy"

# What a container waits for that time alone does not bring.
_HOPELESS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)


@dataclass(frozen=True, slots=True)
class Revisions:
    """The newest revision, and the newest that was ever ready."""

    created: str
    ready: str


def of_service(service: Object) -> Revisions:
    status = service.get("status") or {}
    return Revisions(status.get("latestCreatedRevisionName", ""), status.get("latestReadyRevisionName", ""))


def model_status(service: Object, pods: Iterable[Object], before: Object, now: str) -> Object:
    """Return the status of the model that a Knative Service serves; `before` is what was said last."""
    revisions = of_service(service)
    copies = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    target = [pod for pod in copies if _revision(pod) == revisions.created]
    failures = [failure for pod in target if (failure := _failure(pod, now))]
    state = _target_state(service, revisions, target, failed=bool(failures))
    status: Object = {
        "copies": {"failedCopies": len(failures), "totalCopies": len(target)},
        "states": {"activeModelState": _active_state(revisions, copies), "targetModelState": state},
        "transitionStatus": _transition(revisions, state),
    }
    if state == FAILED:
        status["lastFailureInfo"] = _kept(_worst(failures, service, revisions, before, now), before)
    return status


def stopped() -> Object:
    return _nothing_runs(PENDING, UP_TO_DATE)


def pending() -> Object:
    return _nothing_runs(PENDING, IN_PROGRESS)


def invalid(reason: str, message: str, before: Object, now: str) -> Object:
    """Return the status for a spec that cannot be served; what serves already goes on, and is said to."""
    info = {"reason": reason, "message": message, "time": now}
    states = {**(before.get("states") or {"activeModelState": PENDING}), "targetModelState": FAILED}
    return {
        "copies": before.get("copies") or {"failedCopies": 0, "totalCopies": 0},
        "states": states,
        "transitionStatus": INVALID,
        "lastFailureInfo": _kept(info, before),
    }


def _nothing_runs(state: str, transition: str) -> Object:
    return {
        "copies": {"failedCopies": 0, "totalCopies": 0},
        "states": {"activeModelState": state, "targetModelState": state},
        "transitionStatus": transition,
    }


def _target_state(service: Object, revisions: Revisions, pods: list[Object], *, failed: bool) -> str:
    if any(_is_ready(pod) for pod in pods):
        return LOADED
    mark = conditions.read(service, "ConfigurationsReady")
    if failed or (mark is not None and mark.is_false):
        return FAILED
    if pods:
        return LOADING
    return STANDBY if revisions.created and revisions.created == revisions.ready else PENDING


def _active_state(revisions: Revisions, pods: list[Object]) -> str:
    """What requests meet now: a canary's or an older revision's pods count too."""
    if any(_is_ready(pod) for pod in pods):
        return LOADED
    return STANDBY if revisions.ready else PENDING


def _transition(revisions: Revisions, state: str) -> str:
    if state == FAILED:
        return BLOCKED
    return UP_TO_DATE if revisions.created and revisions.created == revisions.ready else IN_PROGRESS


def _revision(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(names.REVISION, ""))


def _is_ready(pod: Object) -> bool:
    mark = conditions.read(pod, "Ready")
    return mark is not None and mark.is_true


# --- failures --------------------------------------------------------------------------------------------------


def _failure(pod: Object, now: str) -> Object | None:
    """Return KServe's FailureInfo of a pod that will not become ready as things are."""
    if _is_ready(pod):
        return None
    status = pod.get("status") or {}
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        state = container.get("state") or {}
        ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
        waits = state.get("waiting") or {}
        if ended.get("exitCode"):
            info = _ended(ended)
        elif waits.get("reason") in _HOPELESS:
            info = {"reason": UNHEALTHY, "message": f"{waits['reason']}: {waits.get('message', '')}", "time": now}
        else:
            continue
        return {"location": pod["metadata"]["name"], "modelRevisionName": _revision(pod), **info}
    return None


def _ended(ended: Object) -> Object:
    code = ended["exitCode"]
    said = (ended.get("message") or "").strip()
    return {
        "reason": LOAD_FAILED,
        "message": said or f"{ended.get('reason') or 'Error'}: the container ended with exit code {code}",
        "exitCode": code,
        **({"time": ended["finishedAt"]} if ended.get("finishedAt") else {}),
    }


def _worst(failures: list[Object], service: Object, revisions: Revisions, before: Object, now: str) -> Object:
    """The newest of the pods' failures. Pods that failed may be gone: then what they said, or the Service says."""
    if failures:
        return max(failures, key=lambda failure: str(failure.get("time", "")))
    last = before.get("lastFailureInfo") or {}
    if last.get("modelRevisionName") == revisions.created and last:
        return dict(last)
    mark = conditions.read(service, "ConfigurationsReady") or conditions.UNKNOWN
    reason = LOAD_FAILED if mark.message.startswith("Container failed with:") else UNHEALTHY
    message = mark.message or mark.reason
    return {"modelRevisionName": revisions.created, "reason": reason, "message": message, "time": now}


def _kept(info: Object, before: Object) -> Object:
    """The same failure keeps the time at which it was found."""
    last = before.get("lastFailureInfo") or {}
    same = {**info, "time": ""} == {**last, "time": ""}
    return dict(last) if same else info

"""What a revision's Deployment and pods say of it, in Knative's conditions, reasons and messages. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.knative.reconcile.child import observed
from torpor.spec import conditions
from torpor.spec.autoscaling import Scaling
from torpor.spec.conditions import TRUE, Mark, failed, unknown
from torpor.spec.kinds import Object

ACTIVE = "Active"
CONTAINER_HEALTHY = "ContainerHealthy"
RESOURCES_AVAILABLE = "ResourcesAvailable"

DEPLOYING = "Deploying"
PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
NEVER_ACHIEVED = failed(PROGRESS_DEADLINE_EXCEEDED, "Initial scale was never achieved")
NO_TRAFFIC = failed("NoTraffic", "The target is not receiving traffic.")
QUEUED = unknown("Queued", "Requests to the target are being buffered as resources are provisioned.")
TIMED_OUT = failed("TimedOut", "The target could not be activated.")

# Without a change to an object these do not pass; a pull may, but Knative too refuses an image it cannot find.
HOPELESS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)


@dataclass(frozen=True, slots=True)
class Ground:
    """What is judged."""

    deployment: Object | None
    pods: tuple[Object, ...]
    foreign: Mark | None = None
    """A name that the revision needs is taken."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The three conditions of a revision beside Ready, which is the first two."""

    resources_available: Mark
    container_healthy: Mark
    active: Mark


@dataclass(frozen=True, slots=True)
class Memory:
    """What the revision said of itself before; what nothing speaks against goes on."""

    resources_available: Mark
    container_healthy: Mark

    @property
    def initialized(self) -> bool:
        """Whether it has run as its owner asked once; then it stays ready, asleep or not."""
        return self.container_healthy.is_true


def remembered(revision: Object) -> Memory:
    deploying = unknown(DEPLOYING)
    return Memory(
        conditions.read(revision, RESOURCES_AVAILABLE) or deploying,
        conditions.read(revision, CONTAINER_HEALTHY) or deploying,
    )


def judge(ground: Ground, scaling: Scaling, memory: Memory) -> Marks:
    """Return the conditions of a revision.

    Ready is decided once: when as many pods were ready as its initial scale asks for, or at once where that is 0.
    """
    deploying = unknown(DEPLOYING)
    if ground.foreign is not None:
        return Marks(ground.foreign, memory.container_healthy, deploying)
    if ground.deployment is None:
        # Also where nothing has to run first: there must be something to wake.
        return Marks(deploying, TRUE if memory.initialized else deploying, deploying)
    wanted = ground.deployment["spec"].get("replicas", 1)
    ready = observed(ground.deployment).get("readyReplicas") or 0
    first = max(scaling.initial_scale, scaling.min_scale)
    initialized = memory.initialized or ready >= first
    return Marks(
        _resources_available(ground, memory, wanted, ready, initialized=initialized),
        TRUE if initialized else _container_healthy(ground, memory, wanted, ready),
        _active(
            wanted, ready, at_least=max(1, scaling.min_scale, 0 if initialized else first), initialized=initialized
        ),
    )


def _resources_available(ground: Ground, memory: Memory, wanted: int, ready: int, *, initialized: bool) -> Mark:
    if wanted == 0:
        if initialized or memory.container_healthy.is_false:
            return TRUE  # a container that failed is what is wrong, not room for it
        return memory.resources_available if memory.resources_available.is_false else NEVER_ACHIEVED
    if ready > 0:
        return TRUE
    waiting = _waiting(ground)
    if waiting is not None:
        return waiting
    return _progress(ground) or _scheduled(ground) or (TRUE if initialized else unknown(DEPLOYING))


def _waiting(ground: Ground) -> Mark | None:
    """Return why a container is not started, where waiting longer will not change it."""
    late = _late(ground)
    for status in _containers(ground):
        state = (status.get("state") or {}).get("waiting") or {}
        reason = str(state.get("reason") or "")
        crashed = _ended(status) is not None  # what it said when it ended is told as ContainerHealthy
        if reason in HOPELESS or (late and reason and not crashed):
            return failed(reason, str(state.get("message") or ""))
    return None


def _progress(ground: Ground) -> Mark | None:
    """Return what the Deployment says of its own progress; None where it has said nothing yet."""
    progressing = conditions.read(ground.deployment, "Progressing")
    failure = conditions.read(ground.deployment, "ReplicaFailure")
    if failure is not None and failure.is_true:
        return failed(failure.reason, failure.message)
    if progressing is None or progressing.is_true:
        return None
    return progressing


def _late(ground: Ground) -> bool:
    progressing = conditions.read(ground.deployment, "Progressing")
    return progressing is not None and progressing.is_false


def _scheduled(ground: Ground) -> Mark | None:
    """Return why a pod has no node yet. It may still get one: a node may be on its way."""
    for pod in _living(ground):
        mark = conditions.read(pod, "PodScheduled")
        if mark is not None and mark.is_false:
            return unknown(mark.reason, mark.message)
    return None


def _container_healthy(ground: Ground, memory: Memory, wanted: int, ready: int) -> Mark:
    if wanted > 0 and ready == 0:
        for status in _containers(ground):
            ended = _ended(status)
            if ended is not None:
                return _exited(ended)
    return memory.container_healthy if memory.container_healthy.is_false else unknown(DEPLOYING)


def _exited(ended: Object) -> Mark:
    code = ended.get("exitCode") or 0
    message = str(ended.get("message") or "").strip()
    if not message and code == 0:
        message = "container exited with no error"
    return failed(f"ExitCode{code}", f"Container failed with: {message or ended.get('reason') or f'exit code {code}'}")


def _active(wanted: int, ready: int, *, at_least: int, initialized: bool) -> Mark:
    if wanted == 0:
        return NO_TRAFFIC if initialized else TIMED_OUT
    return TRUE if ready >= at_least else QUEUED


def _living(ground: Ground) -> Iterator[Object]:
    return (pod for pod in ground.pods if "deletionTimestamp" not in pod["metadata"])


def _containers(ground: Ground) -> Iterator[Object]:
    """Yield the containers that are to run: an initial one that has done its work is not."""
    for pod in _living(ground):
        status = pod.get("status") or {}
        for initial in status.get("initContainerStatuses") or ():
            if ((initial.get("state") or {}).get("terminated") or {}).get("exitCode") != 0:
                yield initial
        yield from status.get("containerStatuses") or ()


def _ended(status: Object) -> Object | None:
    """Return how a container ended last, if it did not come up again since."""
    for state in (status.get("state") or {}, status.get("lastState") or {}):
        ended: Object | None = state.get("terminated")
        if ended is not None:
            return ended
    return None

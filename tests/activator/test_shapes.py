"""All that the activator reads of objects is kept, and nothing comes out otherwise without the rest.

Objects are as whole as they come from an API. They go through all parts of the activator that follow informers, three
times: as they are, trimmed, and as they are with every name noted that is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from activator.access.locks import Locks
from activator.autoscaler.loop import Autoscaler
from activator.proxy.pool import Pool
from activator.routing.follow import Follower
from activator.routing.match import Entry
from activator.routing.table import Router, build
from activator.settings import ClientLimits, PodLimits
from activator.shapes import SHAPES
from activator.throttle import coldstart
from activator.throttle.throttler import Hooks
from activator.throttle.throttlers import Throttlers
from activator.throttle.wakes import Wakes
from activator.waiting import stages
from activator.waiting.watching import Watching
from tests.activator.throttle.objects import BACK_OFF, RUNNING, container, ended
from tests.support.clock import FakeClock
from tests.support.cluster import FakeCluster
from torpor.kube import Informer, Recorder
from torpor.kube.trim import Leaf, Once, Part, kept_of, trimmer
from torpor.spec import names
from torpor.spec.autoscaling import Defaults
from torpor.spec.kinds import (
    CONFIGURATION,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EVENT,
    POD,
    REVISION,
    ROUTE,
    Kind,
    Object,
)

NAMESPACE = "default"
Path = tuple[str, ...]
Trim = Callable[[Kind], Callable[[Object], Object]]


# --- objects as they are -------------------------------------------------------------------------------------------


def metadata(name: str, **annotations: str) -> Object:
    """With what API servers, kubectl and controllers add."""
    own = {"kubectl.kubernetes.io/last-applied-configuration": "{}" * 50, names.CREATOR: "somebody", **annotations}
    owner = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": name, "uid": f"uid-of-{name}"}
    return {
        "name": name,
        "namespace": NAMESPACE,
        "labels": {"app": name, names.SERVICE: name},
        "annotations": own,
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}],
        "finalizers": ["x.example.com/y"],
        "selfLink": "/apis/x",
    }


def labelled(obj: Object, revision: str, **labels: str) -> Object:
    obj["labels"] |= {names.REVISION: revision, **labels}
    return obj


def conditions(status: str = "True", reason: str = "", message: str = "") -> list[Object]:
    when = {"lastTransitionTime": "2026-01-01T00:00:00Z", "severity": "Info"}
    said = {"status": status, "reason": reason, "message": message}
    return [{"type": "Active", "status": "Unknown", **when}, {"type": "Ready", **said, **when}]


CONTAINERS = [{"name": "user-container", "image": "x", "env": [{"name": "A", "value": "b"}], "ports": []}]


def route(name: str, targets: list[Object], spec: list[Object], **annotations: str) -> Object:
    url = f"http://{name}.other.example.test"
    return {
        "metadata": metadata(name, **annotations),
        "spec": {"traffic": spec},
        "status": {
            "url": url,
            "address": {"url": url, "CACerts": "x"},
            "traffic": targets,
            "conditions": conditions("False", "RevisionMissing", "no revision yet"),
            "observedGeneration": 3,
        },
    }


def revision(name: str, status: list[Object], **annotations: str) -> Object:
    spec = {
        "containers": CONTAINERS,
        "containerConcurrency": 4,
        "timeoutSeconds": 200,
        "responseStartTimeoutSeconds": 100,
        "idleTimeoutSeconds": 50,
        "serviceAccountName": "x",
    }
    more = {"actualReplicas": 0, "desiredReplicas": 0, "containerStatuses": [{"name": "user-container"}]}
    return {"metadata": metadata(name, **annotations), "spec": spec, "status": {"conditions": status, **more}}


def deployment(name: str, replicas: int) -> Object:
    template = {"metadata": {"labels": {}}, "spec": {"containers": CONTAINERS}}
    spec = {"replicas": replicas, "progressDeadlineSeconds": 300, "selector": {"matchLabels": {}}, "template": template}
    status = {"readyReplicas": replicas, "availableReplicas": replicas, "conditions": conditions()}
    return {"metadata": labelled(metadata(f"{name}-deployment"), name), "spec": spec, "status": status}


def pod(name: str, of: str, *statuses: Object, port: str | None = None) -> Object:
    declared = {} if port is None else {names.POD_PORT: port}
    made = labelled(metadata(name, **{names.PROGRESS_PATH: "/progress"}, **declared), of)
    ports = [{"name": "http", "containerPort": 8012, "protocol": "TCP"}]
    return {
        "metadata": made,
        "spec": {"containers": [{**CONTAINERS[0], "ports": ports}], "volumes": []},
        "status": {"podIP": "127.0.0.1", "containerStatuses": list(statuses), "conditions": conditions()},
    }


def slice_of(name: str, pod_name: str) -> Object:
    port = {"name": "http", "port": 8012, "protocol": "TCP"}
    target = {"kind": "Pod", "name": pod_name, "uid": f"uid-of-{pod_name}"}
    at = {"addresses": ["127.0.0.1"], "conditions": {"ready": True, "terminating": False}, "targetRef": target}
    service = {names.SERVICE_NAME: f"{name}-private"}
    return {
        "metadata": labelled(metadata(f"{name}-private-x"), name, **service),
        "addressType": "IPv4",
        "ports": [port, {"name": "grpc", "port": 8013}],
        "endpoints": [at],
    }


ANNOTATED = {
    names.AUTOSCALING + "max-scale": "10",
    names.AUTOSCALING + "minScale": "1",
    names.AUTOSCALING + "target": "3",
    names.AUTOSCALING + "window": "30s",
    names.KEEP_ALIVE: "adaptive",
    names.SCHEDULE: "Mon-Sun 00:00-24:00=2",
    names.ACTIVATION_TIMEOUT: "33",
    names.SESSION_AFFINITY: "header=x-session",
    names.ANSWER_WHILE_ASLEEP: "health,metadata",
    names.WAKES: "other",
}
OBJECTS: list[tuple[Kind, Object]] = [
    (
        ROUTE,
        route(
            "app",
            [
                {"revisionName": "app-1", "percent": 90, "latestRevision": False, "tag": "old", "url": "http://old.x"},
                {"revisionName": "app-2", "percent": 10, "latestRevision": True},
            ],
            [{"configurationName": "app", "percent": 100, "latestRevision": True}],
            **{names.MIRROR: "app-3=10", names.ACCESS: "keys=nowhere"},
        ),
    ),
    (ROUTE, route("early", [], [{"configurationName": "early", "percent": 100, "tag": "new"}])),
    (ROUTE, route("none", [], [{"configurationName": "none", "percent": 100}])),
    (
        CONFIGURATION,
        {
            "metadata": metadata("early"),
            "spec": {"template": {"spec": {"containers": CONTAINERS}}},
            "status": {"latestCreatedRevisionName": "early-1", "latestReadyRevisionName": "", "conditions": []},
        },
    ),
    (REVISION, revision("app-1", conditions(), **ANNOTATED)),
    (REVISION, revision("app-2", conditions("Unknown"), **{names.SCALE_METRIC: "queue-wait=200ms"})),
    (REVISION, revision("app-3", conditions(), **{names.AUTOSCALING + "window": "nonsense"})),
    (REVISION, revision("early-1", conditions("False", "ContainerMissing", "no such image"))),
    (DEPLOYMENT, deployment("app-1", 0)),
    (DEPLOYMENT, deployment("app-2", 1)),
    (DEPLOYMENT, deployment("app-3", 1)),
    (POD, pod("p-1", "app-1", container(running=RUNNING) | {"ready": True}, port="8012")),
    (POD, pod("p-2", "app-2", container(3, ended(message="boom"), waiting=BACK_OFF))),
    (POD, pod("p-3", "app-3", container(running=RUNNING))),
    (ENDPOINT_SLICE, slice_of("app-1", "p-1")),
]


# --- what is made of them ------------------------------------------------------------------------------------------


@dataclass
class Reads:
    """Which names of which kind were asked for."""

    paths: set[tuple[Kind, Path]] = field(default_factory=set)

    def noting(self, kind: Kind) -> Callable[[Object], Object]:
        return lambda obj: Noting(obj, lambda path: self.paths.add((kind, path)), ())


class Noting(dict[str, Any]):
    """A mapping that says which of its names are asked for, there or not."""

    def __init__(self, of: Object, note: Callable[[Path], None], at: Path) -> None:
        super().__init__({name: self._within(each, note, (*at, name)) for name, each in of.items()})
        self._note, self._at = note, at

    @classmethod
    def _within(cls, value: Any, note: Callable[[Path], None], at: Path) -> Any:
        if isinstance(value, list):
            return [cls._within(each, note, at) for each in value]
        return cls(value, note, at) if isinstance(value, dict) else value

    def __getitem__(self, name: str) -> Any:
        self._note((*self._at, name))
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._note((*self._at, str(name)))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:  # type: ignore[override]  # one of three signatures
        self._note((*self._at, name))
        return super().get(name, default)

    def __iter__(self) -> Iterator[str]:
        self._note((*self._at, "*"))
        return super().__iter__()

    def items(self) -> Any:
        self._note((*self._at, "*"))
        return super().items()


async def outcome(trim: Trim) -> dict[str, Any]:
    """Have all parts follow the objects, ask them everything, and return what they say."""
    cluster, clock = FakeCluster(), FakeClock()
    informers = {
        kind: Informer(cluster, kind, trim=trim(kind))  # type: ignore[arg-type]  # it fits
        for kind in SHAPES
    }
    recorder = Recorder(cluster, "torpor")  # type: ignore[arg-type]  # it fits
    locks = Locks(informers[ROUTE], recorder, clock)
    pods = informers[POD]
    pool, wakes, watching = Pool(PodLimits(), ClientLimits().buffered_bytes, clock), Wakes(pods, clock), Watching(clock)
    throttlers = Throttlers(10, 600.0, Hooks(lambda _: None, lambda *_: None, pool.gone), clock)
    informers[REVISION].subscribe(throttlers.revision_changed)
    informers[ENDPOINT_SLICE].subscribe(throttlers.slice_changed)
    for each in (throttlers, wakes, watching):
        pods.subscribe(each.pod_changed)
    router = Router(build((), "example.test"))
    follower = Follower(
        *(router, "example.test", informers[ROUTE], informers[CONFIGURATION], throttlers, lambda: 0.5, locks.guard_of)
    )
    scaler = Autoscaler(
        cluster,  # type: ignore[arg-type]  # it fits
        *(informers[DEPLOYMENT], informers[REVISION], informers[ROUTE], throttlers, recorder, clock),
        Defaults(),
    )
    tasks = [asyncio.create_task(run()) for run in (recorder.run, *(each.run for each in informers.values()))]
    try:
        for kind, obj in OBJECTS:
            cluster.put(kind, obj)
        await settle()
        for kind, obj in OBJECTS:  # once more: a change has an old and a new
            cluster.put(kind, obj)
        await settle()
        follower.rebuild()
        for _ in range(40):
            clock.advance(2.0)
            scaler.sample()
            scaler.tick()
            await settle()
        locks.look()
        await settle()
        return {
            "hosts": {host: _said(entry) for host, entry in sorted(router.table.by_host.items())},
            "terms": {each.key: repr(each.terms) for each in throttlers},
            "pods": {each.key: [repr(pod.at) for pod in each.pods] for each in throttlers},
            "verdicts": repr(sorted(throttlers._verdicts.items())),
            "hopeless": {each.key: throttlers._hopeless(each.key) for each in throttlers},
            "replicas": {each["metadata"]["name"]: each["spec"]["replicas"] for each in cluster.all(DEPLOYMENT)},
            "stages": {
                key: (stages.of_pod(obj), stages.report_of(obj), coldstart.from_status(obj, 0.0))
                for key, obj in pods.items.items()
            },
            "events": sorted(
                (each["involvedObject"]["kind"], each["involvedObject"]["name"], each["reason"], each["message"])
                for each in cluster.all(EVENT)
            ),
        }
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        follower.close()
        throttlers.close()
        await locks.close()


def _said(entry: Entry) -> str:
    guard = None if entry.guard is None else entry.guard.policy
    return repr((entry.namespace, entry.name, entry.traffic.revisions, entry.unready, entry.tag, entry.mirror, guard))


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def whole(_: Kind) -> Callable[[Object], Object]:
    return lambda obj: obj


async def test_nothing_comes_out_otherwise() -> None:
    """Routes, queues, pods, failures, scale and events are the same without what is not kept."""
    wanted = await outcome(whole)
    assert await outcome(lambda kind: trimmer(SHAPES[kind])) == wanted
    assert len(wanted["hosts"]) >= 8
    assert {reason for _, _, reason, _ in wanted["events"]} >= {"InvalidScaling", "AccessPolicyUnusable"}
    assert len(set(map(str, wanted["stages"].values()))) > 1
    assert any(wanted["hopeless"].values())
    assert wanted["replicas"]["app-1-deployment"] == 2, "its schedule says so"


async def test_all_that_is_read_is_kept() -> None:
    """Whoever reads a name that the shape of its kind has not would get nothing, and so must add it there."""
    reads = Reads()
    await outcome(reads.noting)
    assert len(reads.paths) > 60
    lost = sorted(f"{kind.kind}: {'.'.join(path)}" for kind, path in reads.paths if not is_kept(SHAPES[kind], path))
    assert lost == []


def is_kept(part: Part | None, path: Path) -> bool:
    if isinstance(part, Once):
        return is_kept(part.shape, path)
    if part is None or isinstance(part, Leaf) or not path:
        return part is not None
    return is_kept(kept_of(part, path[0]), path[1:])


@pytest.mark.parametrize("kind", SHAPES, ids=lambda kind: kind.kind)
def test_what_every_informer_needs_is_kept(kind: Kind) -> None:
    """Its key and version, and of what an event is told."""
    needed = ("apiVersion", "kind"), *(("metadata", name) for name in ("name", "namespace", "uid", "resourceVersion"))
    assert [path for path in needed if not is_kept(SHAPES[kind], path)] == []

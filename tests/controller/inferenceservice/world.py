"""Objects around an InferenceService, and a world in which plans come true as the API would make them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from controller.inferenceservice.credentials import Sources
from controller.inferenceservice.reconcile import Seen, reconcile
from controller.options import Options
from controller.plan import Plan, Write
from torpor.spec.kinds import KSERVICE, ROUTE, Kind, Object

NOW = "2026-01-01T00:00:00Z"
LATER = "2026-01-01T00:05:00Z"
OPTIONS = Options("localhost", 8080)
NAME, SERVICE = "iris", "iris-predictor"


def isvc(predictor: dict[str, Any] | None = None, *, generation: int = 1, **metadata: Any) -> Object:
    """An InferenceService with a scikit-learn model on a volume."""
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "pvc://models/iris"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": NAME, "namespace": "default", "uid": "u-isvc", "generation": generation} | metadata,
        "spec": {"predictor": {"model": model} | (predictor or {})},
    }


def condition(type_: str, status: str = "True", reason: str = "", message: str = "") -> Object:
    return {"type": type_, "status": status, "reason": reason, "message": message}


def pod(
    revision: str,
    name: str = "p",
    *,
    ready: bool = False,
    state: Object | None = None,
    last: Object | None = None,
    **metadata: Any,
) -> Object:
    """A pod of a revision, with one container."""
    labels = {"serving.knative.dev/revision": revision, "serving.knative.dev/service": SERVICE}
    container = {"name": "kserve-container", "ready": ready, "state": state or {"running": {}}, "lastState": last or {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels} | metadata,
        "status": {
            "conditions": [condition("Ready", "True" if ready else "False")],
            "containerStatuses": [container],
        },
    }


def ended(message: str = "", code: int = 1, at: str = NOW) -> Object:
    return {"terminated": {"exitCode": code, "reason": "Error", "message": message, "finishedAt": at}}


def target(revision: str, percent: int, *, latest: bool = True, tag: str = "") -> Object:
    return {"revisionName": revision, "percent": percent, "latestRevision": latest} | ({"tag": tag} if tag else {})


@dataclass
class World:
    """An InferenceService and what there is beside it."""

    owner: Object
    service: Object | None = None
    route: Object | None = None
    account: Object | None = None
    secrets: dict[str, Object | None] = field(default_factory=dict)
    pods: list[Object] = field(default_factory=list)

    def look(self, now: str = NOW) -> Plan:
        sources = Sources(self.account, self.secrets, "ServiceAccount models")
        seen = Seen(sources, self.service, self.route, tuple(self.pods))
        before = copy.deepcopy((self.owner, seen))
        plan = reconcile(self.owner, seen, OPTIONS, now)
        assert (self.owner, seen) == before, "a reconciler must not change what it is shown"
        return plan

    def obey(self, plan: Plan) -> None:
        """Do what the plan says."""
        for write in (*plan.creates, *plan.replaces):
            self._put(write)
        for delete in plan.deletes:
            self._set(delete.kind, None)
        if plan.status is not None:
            self.owner = {**self.owner, "status": copy.deepcopy(plan.status)}

    def settle(self, now: str = NOW) -> Plan:
        """Look and obey; return the plan."""
        plan = self.look(now)
        self.obey(plan)
        return plan

    def change(self, predictor: dict[str, Any], **metadata: Any) -> None:
        """The owner writes another spec."""
        metadata = {**self.owner["metadata"], "generation": self.owner["metadata"]["generation"] + 1} | metadata
        spec = {"predictor": self.owner["spec"]["predictor"] | predictor}
        self.owner = {**self.owner, "metadata": metadata, "spec": spec}

    def knative(self, created: str, ready: str = "", *, traffic: list[Object] | None = None, **marks: Object) -> None:
        """Knative's controllers have seen the newest Service and Route."""
        assert self.service is not None
        assert self.route is not None
        done = "True" if created == ready else "Unknown"
        types = {"Ready": done, "ConfigurationsReady": done, "RoutesReady": "True" if ready else "Unknown"}
        status = {
            "observedGeneration": self.service["metadata"]["generation"],
            "conditions": [marks.get(type_, condition(type_, value)) for type_, value in types.items()],
            "latestCreatedRevisionName": created,
            "latestReadyRevisionName": ready,
            "traffic": traffic if traffic is not None else [target(ready, 100)] * bool(ready),
            "url": f"http://{SERVICE}.default.localhost:8080",
        }
        self.service = {**self.service, "status": status}
        url = f"http://{NAME}.default.localhost:8080"
        reached = {
            "observedGeneration": self.route["metadata"]["generation"],
            "conditions": [condition("Ready", "True" if ready else "Unknown")],
            "url": url,
            "address": {"url": url},
        }
        self.route = {**self.route, "status": reached}

    @property
    def status(self) -> Object:
        found: Object = self.owner["status"]
        return found

    def mark(self, type_: str) -> Object:
        (found,) = [each for each in self.status["conditions"] if each["type"] == type_]
        return dict(found)

    def _put(self, write: Write) -> None:
        there = self.service if write.kind == KSERVICE else self.route
        generation = there["metadata"]["generation"] + 1 if there else 1
        metadata = {"uid": f"u-{write.kind.plural}"} | write.obj["metadata"] | {"generation": generation}
        self._set(write.kind, copy.deepcopy({**write.obj, "metadata": metadata}))

    def _set(self, kind: Kind, obj: Object | None) -> None:
        if kind == KSERVICE:
            self.service = obj
        else:
            assert kind == ROUTE
            self.route = obj


def ready_world(predictor: dict[str, Any] | None = None, **metadata: Any) -> World:
    """A World whose first revision is ready and has all the traffic."""
    world = World(isvc(predictor, **metadata))
    world.settle()
    world.knative("r1", "r1")
    world.pods = [pod("r1", ready=True)]
    world.settle()
    return world

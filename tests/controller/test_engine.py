"""The whole controller on a cluster in memory: what is decided is done, once, and nothing of others is lost."""

from __future__ import annotations

import asyncio

import pytest

from controller.app import chosen
from controller.engine import Engine
from controller.inferenceservice.observe import RECONCILER as INFERENCE_SERVICES
from controller.knative.reconcilers import RECONCILERS
from controller.options import Options
from controller.plan import NOTHING, Delete, Note, Plan, Write
from controller.reconciler import Reconciler
from controller.view import View
from tests.controller.world import World, world
from tests.support.clock import FakeClock
from tests.support.cluster import FakeCluster
from torpor import errors
from torpor.kube import Informer, Recorder
from torpor.kube.client import StatusError
from torpor.spec import conditions, names
from torpor.spec.kinds import (
    CONFIG_MAP,
    CONFIGURATION,
    CORE_SERVICE,
    DEPLOYMENT,
    KSERVICE,
    POD,
    REVISION,
    ROUTE,
    SECRET,
    Kind,
    Object,
)


async def test_from_a_service_to_ready() -> None:
    """Everything is made; when the pod is ready, so is the Service, with URL and traffic."""
    async with world() as it:
        it.apply()
        await it.settle(lambda: it.find(CORE_SERVICE, "svc-00001-private"))
        assert it.names(CONFIGURATION) == it.names(ROUTE) == ["svc"]
        assert it.names(DEPLOYMENT) == ["svc-00001-deployment"]
        assert it.ready(KSERVICE, "svc") == "Unknown"
        it.run_pods("svc-00001", 1)
        await it.settle(lambda: it.ready(KSERVICE, "svc") == "True")
        assert it.get(KSERVICE, "svc")["status"]["url"] == "http://svc.default.localhost:8080"
        assert it.traffic() == [("svc-00001", 100)]
        assert it.get(REVISION, "svc-00001")["metadata"]["labels"][names.ROUTING_STATE] == "active"


async def ready_service(it: World) -> None:
    it.apply()
    await it.settle(lambda: it.find(DEPLOYMENT, "svc-00001-deployment"))
    it.run_pods("svc-00001", 1)
    await it.settle(lambda: it.ready(KSERVICE, "svc") == "True")


async def test_asleep_and_awake_the_service_stays_ready() -> None:
    """Only the Revision's Active changes; nothing is written above it."""
    async with world() as it:
        await ready_service(it)
        above = [it.get(kind, "svc")["metadata"]["resourceVersion"] for kind in (KSERVICE, CONFIGURATION, ROUTE)]
        it.scale("svc-00001", 0)
        it.run_pods("svc-00001", 0)

        def active() -> str:
            mark = conditions.read(it.get(REVISION, "svc-00001"), "Active")
            return "" if mark is None else mark.status + mark.reason

        await it.settle(lambda: active() == "FalseNoTraffic")
        it.scale("svc-00001", 1)
        await it.settle(lambda: active() == "UnknownQueued")
        it.run_pods("svc-00001", 1)
        await it.settle(lambda: active() == "True")
        assert it.ready(REVISION, "svc-00001") == "True"
        after = [it.get(kind, "svc")["metadata"]["resourceVersion"] for kind in (KSERVICE, CONFIGURATION, ROUTE)]
        assert after == above


async def test_traffic_moves_when_the_new_revision_is_ready() -> None:
    """Not before; and the old one is then kept in reserve."""
    async with world() as it:
        await ready_service(it)
        it.apply(image="j")
        await it.settle(lambda: it.find(DEPLOYMENT, "svc-00002-deployment"))
        assert it.traffic() == [("svc-00001", 100)]
        it.run_pods("svc-00002", 1)
        await it.settle(lambda: it.ready(KSERVICE, "svc") == "True")
        assert it.traffic() == [("svc-00002", 100)]
        assert it.get(REVISION, "svc-00001")["metadata"]["labels"][names.ROUTING_STATE] == "reserve"


async def test_a_new_revision_that_fails_never_takes_the_traffic() -> None:
    """The Service says what the container said; requests go where they went."""
    async with world() as it:
        await ready_service(it)
        it.apply(image="broken")
        await it.settle(lambda: it.find(DEPLOYMENT, "svc-00002-deployment"))
        ended = {"name": "user-container", "lastState": {"terminated": {"exitCode": 1, "message": "no such model"}}}
        pod = {"metadata": {"name": "p", "namespace": "default", "labels": {names.REVISION: "svc-00002"}}}
        it.cluster.put(POD, {**pod, "status": {"containerStatuses": [ended]}})
        await it.settle(lambda: it.ready(KSERVICE, "svc") == "False")
        mark = conditions.read(it.get(KSERVICE, "svc"), conditions.READY)
        assert mark is not None
        assert mark.reason == "RevisionFailed"
        assert mark.message == 'Revision "svc-00002" failed with message: Container failed with: no such model.'
        assert it.traffic() == [("svc-00001", 100)]


async def test_changing_the_traffic_alone_makes_no_revision() -> None:
    """It goes to the Route."""
    async with world() as it:
        await ready_service(it)
        it.apply(traffic=[{"revisionName": "svc-00001", "percent": 100, "tag": "blue"}])
        await it.settle(lambda: it.ready(KSERVICE, "svc") == "True")
        assert it.names(REVISION) == ["svc-00001"]
        [target] = it.get(KSERVICE, "svc")["status"]["traffic"]
        assert target["url"] == "http://blue-svc.default.localhost:8080"


async def test_when_all_is_well_nothing_is_written() -> None:
    """News that change nothing lead to no request at all."""
    async with world() as it:
        await ready_service(it)
        before = list(it.cluster.replaces)
        for kind, name in ((KSERVICE, "svc"), (CONFIGURATION, "svc"), (ROUTE, "svc"), (REVISION, "svc-00001")):
            it.cluster.change(kind, name, "default", {"metadata": {"managedFields": [{"manager": "somebody"}]}})
        await it.settle()
        assert it.cluster.replaces == before


async def test_what_is_deleted_by_hand_is_made_again() -> None:
    """While its owner is there."""
    async with world() as it:
        await ready_service(it)
        first = it.get(ROUTE, "svc")["metadata"]["uid"]
        it.cluster.remove(ROUTE, "svc", "default")
        it.cluster.remove(CORE_SERVICE, "svc-00001-private", "default")
        await it.settle(lambda: it.find(ROUTE, "svc") and it.find(CORE_SERVICE, "svc-00001-private"))
        await it.settle(lambda: it.ready(KSERVICE, "svc") == "True")
        assert it.get(ROUTE, "svc")["metadata"]["uid"] != first
        assert it.traffic() == [("svc-00001", 100)]


async def test_what_is_being_deleted_is_left_alone() -> None:
    """Its children go with it: nobody makes them anew."""
    async with world() as it:
        await ready_service(it)
        it.cluster.change(KSERVICE, "svc", "default", {"metadata": {"deletionTimestamp": "2026-11-25T22:40:00Z"}})
        it.cluster.remove(ROUTE, "svc", "default")
        await it.settle()
        assert it.names(ROUTE) == []


async def test_events_are_told_once() -> None:
    """However often the controller looked."""
    async with world() as it:
        await ready_service(it)
        assert sorted(it.events()) == [
            ("Configuration", "ConfigurationReady"),
            ("Configuration", "Created"),
            ("Configuration", "LatestReadyUpdate"),
            ("Revision", "Created"),
            ("Revision", "Created"),
            ("Revision", "RevisionReady"),
            ("Service", "Created"),
            ("Service", "Created"),
        ]


async def test_all_kinds_stop_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is slow has all the time that there is, and takes nobody else's."""
    together = asyncio.Barrier(len(RECONCILERS))
    stop = Engine.stop

    async def meet(engine: Engine[object], grace_s: float) -> None:
        await together.wait()
        await stop(engine, grace_s)

    monkeypatch.setattr(Engine, "stop", meet)
    async with asyncio.timeout(10):
        async with world() as it:
            await it.settle()


# --- the engine alone -----------------------------------------------------------------------------------------------


class Bench:
    """One reconciler of ConfigMaps that does what the test says, and an engine that the test turns by hand."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.cluster = FakeCluster()
        self.informer = Informer(self.cluster, CONFIG_MAP)  # type: ignore[arg-type]  # it fits
        view = View([self.informer])
        self.recorder = Recorder(self.cluster, "test")  # type: ignore[arg-type]
        self.told: list[tuple[str, str]] = []
        self.recorder.emit = lambda _about, _type, reason, message: self.told.append((reason, message))  # type: ignore[method-assign]
        reconciler = Reconciler(CONFIG_MAP, lambda _view, _obj: None, lambda _obj, _seen, _options, _now: self.plan)
        self.engine = Engine(
            reconciler,
            view,
            self.cluster,  # type: ignore[arg-type]
            self.recorder,
            Options(),
            FakeClock(),
        )

    def show(self, obj: Object) -> None:
        """Let the engine see an object, as old as the test likes."""
        self.informer.items["default", obj["metadata"]["name"]] = obj

    async def turn(self) -> float | None:
        return await self.engine._handle(("default", "a"))


def config_map(name: str = "a", **data: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


NOTE = Note("Normal", "Happened", "it happened")


async def test_a_status_is_not_written_over_what_somebody_else_wrote() -> None:
    """What was decided from an older look is refused as a whole, and nothing is told."""
    bench = Bench(Plan(status={"seen": True}, notes=(NOTE,)))
    bench.show(bench.cluster.put(CONFIG_MAP, config_map()))
    bench.cluster.change(CONFIG_MAP, "a", "default", {"data": {"key": "newer"}})
    with pytest.raises(errors.ConflictError):
        await bench.turn()
    [stored] = bench.cluster.all(CONFIG_MAP)
    assert stored["data"] == {"key": "newer"}
    assert "status" not in stored
    assert bench.told == []
    bench.show(stored)
    await bench.turn()
    assert bench.cluster.all(CONFIG_MAP)[0]["status"] == {"seen": True}
    assert bench.told == [("Happened", "it happened")]


async def test_an_object_that_changes_itself_gets_its_status_all_the_same() -> None:
    """The status is written to what the object is after its own change."""
    bench = Bench(NOTHING)
    stored = bench.cluster.put(CONFIG_MAP, config_map())
    bench.show(stored)
    write = Write(CONFIG_MAP, {**stored, "data": {"key": "mine"}})
    bench.plan = Plan(replaces=(write,), status={"seen": True})
    await bench.turn()
    [after] = bench.cluster.all(CONFIG_MAP)
    assert (after["data"], after["status"]) == ({"key": "mine"}, {"seen": True})


async def test_a_plan_without_writes_tells_nothing_and_may_ask_to_look_again() -> None:
    """Then it is no news."""
    bench = Bench(Plan(notes=(NOTE,), again_s=7.0))
    bench.show(bench.cluster.put(CONFIG_MAP, config_map()))
    assert await bench.turn() == 7.0
    assert bench.told == []


async def test_only_this_incarnation_is_deleted() -> None:
    """A new object of the same name is somebody else; one that is gone already is fine."""
    bench = Bench(Plan(deletes=(Delete(SECRET, "default", "s", "uid-of-old"),)))
    bench.show(bench.cluster.put(CONFIG_MAP, config_map()))
    await bench.turn()
    bench.cluster.put(SECRET, {"metadata": {"name": "s", "namespace": "default"}})
    with pytest.raises(errors.ConflictError):
        await bench.turn()
    assert len(bench.cluster.all(SECRET)) == 1


async def test_an_object_that_went_meanwhile_is_no_failure() -> None:
    """It is looked for again, quietly."""
    bench = Bench(Plan(status={"seen": True}))
    bench.show(bench.cluster.put(CONFIG_MAP, config_map()))
    bench.cluster.remove(CONFIG_MAP, "a", "default")
    with pytest.raises(errors.ConflictError):
        await bench.turn()
    del bench.informer.items["default", "a"]
    assert await bench.turn() is None


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(StatusError(422, "spec is wrong"), id="no valid object"),
        pytest.param(StatusError(400, "admission webhook denied"), id="a webhook"),
        pytest.param(errors.ForbiddenError("secrets is forbidden"), id="a role that is missing"),
    ],
)
async def test_what_the_api_refuses_is_told_on_the_object(
    error: errors.TorporError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once in its status, which keeps all else; and it is tried again, but not soon."""
    bench = Bench(Plan(creates=(Write(SECRET, {"metadata": {"name": "s", "namespace": "default"}}),), notes=(NOTE,)))
    other = {"type": "Other", "status": "True"}
    bench.show(bench.cluster.put(CONFIG_MAP, config_map() | {"status": {"url": "u", "conditions": [other]}}))

    async def refuse(*_: object) -> Object:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(bench.cluster, "create", refuse)
        assert await bench.turn() == 60.0
        [stored] = bench.cluster.all(CONFIG_MAP)
        message = f'Secret "s" is refused: {error}'
        assert bench.told == [("Refused", message)]
        assert conditions.read(stored, conditions.READY) == conditions.failed("Refused", message)
        assert (stored["status"]["url"], stored["status"]["observedGeneration"]) == ("u", 1)
        assert stored["status"]["conditions"][0] == other
        bench.show(stored)
        await bench.turn()
        assert bench.cluster.all(CONFIG_MAP) == [stored], "the same again is not written again"
    await bench.turn()
    assert len(bench.cluster.all(SECRET)) == 1


async def test_a_refusal_is_told_by_the_owners_too() -> None:
    """A Configuration that cannot make its Revision fails, and so does the Service that made it."""
    async with world() as it:
        create = it.cluster.create

        async def refuse_revisions(kind: Kind, obj: Object) -> Object:
            if kind == REVISION:
                raise StatusError(422, "spec is wrong")
            return await create(kind, obj)

        it.cluster.create = refuse_revisions  # type: ignore[method-assign]
        it.apply()
        await it.settle(lambda: it.ready(KSERVICE, "svc") == "False")
        mark = conditions.read(it.get(KSERVICE, "svc"), conditions.READY)
        assert mark == conditions.failed("Refused", 'Revision "svc-00001" is refused: spec is wrong')


async def test_an_api_that_fails_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said of the object, and the queue tries again soon."""
    bench = Bench(Plan(creates=(Write(SECRET, {"metadata": {"name": "s", "namespace": "default"}}),)))
    bench.show(bench.cluster.put(CONFIG_MAP, config_map()))

    async def fail(*_: object) -> Object:
        raise StatusError(502, "bad gateway")

    monkeypatch.setattr(bench.cluster, "create", fail)
    with pytest.raises(StatusError):
        await bench.turn()
    assert bench.told == []
    assert "status" not in bench.cluster.all(CONFIG_MAP)[0]


# --- whose kinds are ours -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "installed", "ours"),
    [
        pytest.param("auto", False, True, id="no Knative"),
        pytest.param("auto", True, False, id="Knative is there"),
        pytest.param("on", True, True, id="told to"),
        pytest.param("off", False, False, id="told not to"),
    ],
)
async def test_knatives_kinds_are_left_to_knative(setting: str, installed: bool, ours: bool) -> None:  # noqa: FBT001
    """It is there if its controller is."""
    cluster = FakeCluster()
    cluster.put(DEPLOYMENT, {"metadata": {"name": "controller", "namespace": "default"}})
    if installed:
        cluster.put(DEPLOYMENT, {"metadata": {"name": "controller", "namespace": "knative-serving"}})
    found = await chosen(setting, cluster)  # type: ignore[arg-type]  # it fits
    assert INFERENCE_SERVICES in found
    assert (set(RECONCILERS) <= set(found)) is ours

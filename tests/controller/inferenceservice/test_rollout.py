"""Canaries: which revisions share the traffic, told as the life of a service."""

from __future__ import annotations

import pytest

from controller.inferenceservice.rollout import Rollout, rolled_out, traffic
from tests.controller.inferenceservice.world import World, ready_world, target
from torpor.spec.kinds import Object

OTHER = {"modelFormat": {"name": "sklearn"}, "storageUri": "pvc://models/other"}
THIRD = {"modelFormat": {"name": "sklearn"}, "storageUri": "pvc://models/third"}


def shares(world: World) -> dict[str, int]:
    """What the Service asks for: percent by revision, the newest under `latest`. The Route asks for the same."""
    assert world.service is not None
    assert world.route is not None
    found = {each.get("revisionName", "latest"): each["percent"] for each in world.service["spec"]["traffic"]}
    assert found == {each.get("revisionName", "latest"): each["percent"] for each in world.route["spec"]["traffic"]}
    return found


def canary(percent: int) -> World:
    """A second revision beside the first."""
    world = ready_world()
    world.change({"model": OTHER, "canaryTrafficPercent": percent})
    world.settle()
    assert shares(world) == {"latest": percent, "r1": 100 - percent}
    # It is not ready yet: Knative gives the newest's part to the newest that is ready.
    world.knative("r2", "r1", traffic=[target("r1", percent), target("r1", 100 - percent, latest=False, tag="prev")])
    world.settle()
    assert shares(world) == {"latest": percent, "r1": 100 - percent}
    split = [target("r2", percent), target("r1", 100 - percent, latest=False, tag="prev")]
    world.knative("r2", "r2", traffic=split)
    world.settle()
    return world


def component(world: World) -> Object:
    found: Object = world.status["components"]["predictor"]
    return found


def test_without_a_canary_everything_goes_to_the_newest() -> None:
    """Blue to green: once it is ready."""
    world = ready_world()
    assert shares(world) == {"latest": 100}
    assert component(world)["latestRolledoutRevision"] == "r1"
    world.change({"model": OTHER})
    world.settle()
    assert shares(world) == {"latest": 100}
    world.knative("r2", "r2")
    world.settle()
    assert (component(world)["latestRolledoutRevision"], component(world)["previousRolledoutRevision"]) == ("r2", "r1")


def test_the_first_revision_has_nothing_to_stand_beside() -> None:
    """A canary percent from the beginning on changes nothing."""
    assert shares(ready_world({"canaryTrafficPercent": 10})) == {"latest": 100}


def test_a_canary_stands_beside_the_revision_before() -> None:
    """From the moment it is written: no request leaks to it, none is lost to it."""
    world = canary(10)
    assert shares(world) == {"latest": 10, "r1": 90}
    assert component(world)["latestRolledoutRevision"] == "r1"


def test_the_rest_is_tagged_prev() -> None:
    """And the newest `latest`, where the owner asks for routing by tags."""
    world = canary(10)
    assert world.service is not None
    assert world.service["spec"]["traffic"][1]["tag"] == "prev"
    assert "tag" not in world.service["spec"]["traffic"][0]
    world.change({}, annotations={"serving.kserve.io/enable-tag-routing": "true"})
    world.settle()
    assert world.service["spec"]["traffic"][0]["tag"] == "latest"


@pytest.mark.parametrize("percent", [None, 100])
def test_a_canary_is_promoted(percent: int | None) -> None:
    """By taking the percent away, or by asking for all."""
    world = canary(10)
    world.change({"canaryTrafficPercent": percent})
    world.settle()
    assert shares(world) == {"latest": 100}
    world.knative("r2", "r2")
    world.settle()
    assert (component(world)["latestRolledoutRevision"], component(world)["previousRolledoutRevision"]) == ("r2", "r1")


def test_a_canary_is_rolled_back() -> None:
    """With 0 percent; the next one stands beside the good revision."""
    world = canary(10)
    world.change({"canaryTrafficPercent": 0})
    world.settle()
    assert shares(world) == {"latest": 0, "r1": 100}
    world.knative("r2", "r2", traffic=[target("r2", 0), target("r1", 100, latest=False, tag="prev")])
    world.settle()
    world.change({"model": THIRD, "canaryTrafficPercent": 20})
    world.settle()
    assert shares(world) == {"latest": 20, "r1": 80}


@pytest.mark.parametrize("percent", [0, 30])
def test_what_was_promoted_is_rolled_back(percent: int) -> None:
    """Asking for less than all, of a revision that has all, brings back the one before; it stays so."""
    world = canary(10)
    world.change({"canaryTrafficPercent": None})
    world.settle()
    world.knative("r2", "r2")
    world.settle()
    world.change({"canaryTrafficPercent": percent})
    world.settle()
    assert shares(world) == {"latest": percent, "r1": 100 - percent}
    assert world.look().replaces == ()
    world.knative("r2", "r2", traffic=[target("r2", percent), target("r1", 100 - percent, latest=False, tag="prev")])
    world.settle()
    assert shares(world) == {"latest": percent, "r1": 100 - percent}
    world.change({"model": THIRD})
    world.settle()
    assert shares(world) == {"latest": percent, "r1": 100 - percent}
    world.knative("r3", "r3", traffic=[target("r3", percent), target("r1", 100 - percent, latest=False, tag="prev")])
    world.settle()
    assert shares(world) == {"latest": percent, "r1": 100 - percent}


def test_a_canary_after_a_canary_stands_beside_the_same() -> None:
    """The first was never rolled out."""
    world = canary(10)
    world.change({"model": THIRD, "canaryTrafficPercent": 20})
    world.settle()
    assert shares(world) == {"latest": 20, "r1": 80}


def test_a_service_made_anew_begins_anew() -> None:
    """Its revisions have the old names and are other revisions."""
    world = canary(10)
    world.service = None
    world.settle()
    assert shares(world) == {"latest": 100}
    world.knative("r1", "r1")
    world.settle()
    assert component(world)["latestRolledoutRevision"] == "r1"
    assert "previousRolledoutRevision" not in component(world)


@pytest.mark.parametrize(
    ("known", "targets", "wanted"),
    [
        pytest.param(Rollout(), [], Rollout(), id="no traffic yet"),
        pytest.param(Rollout(), [target("r1", 100)], Rollout("r1"), id="the first"),
        pytest.param(Rollout("r1"), [target("r2", 100)], Rollout("r2", "r1"), id="the next"),
        pytest.param(Rollout("r2", "r1"), [target("r2", 100)], Rollout("r2", "r1"), id="the same"),
        pytest.param(Rollout("r1"), [target("r2", 50), target("r1", 50)], Rollout("r1"), id="a split"),
        pytest.param(Rollout("r1"), [target("r1", 50), target("r1", 50)], Rollout("r1"), id="a split of one revision"),
        pytest.param(Rollout("r2", "r1"), [target("r2", 0), target("r1", 100)], Rollout("r1", "r2"), id="rolled back"),
    ],
)
def test_what_is_rolled_out(known: Rollout, targets: list[Object], wanted: Rollout) -> None:
    """The revision that has all the traffic, under however many targets."""
    status = {"latestRolledoutRevision": known.latest, "previousRolledoutRevision": known.previous}
    assert rolled_out(status, {"status": {"traffic": targets}}) == wanted


@pytest.mark.parametrize("percent", [None, 0, 1, 99, 100])
@pytest.mark.parametrize("stable", ["", "r1"])
def test_percents_sum_to_a_hundred(percent: int | None, stable: str) -> None:
    """Knative takes nothing else."""
    assert sum(each["percent"] for each in traffic(percent, stable, tagged=False)) == 100

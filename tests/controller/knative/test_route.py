"""A Route: the traffic that is asked for becomes the traffic that is so, once all of it can be served."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.knative.reconcile.route import Seen, reconcile
from controller.options import Options
from controller.plan import NOTHING
from tests.controller.knative.objects import (
    LATER,
    NOW,
    OPTIONS,
    created,
    marks,
    replaced,
    revision,
    route,
    settled_configuration,
    stored,
    with_status,
)
from torpor.spec.kinds import CORE_SERVICE, Object

URL = "http://svc.default.localhost:8080"
ONE = revision(1, ready="True")
TWO = revision(2, ready="True")
UNREADY = revision(2)
FAILED = revision(2, ready="False", reason="ExitCode1", message="no")


def seen(configuration: Object | None, *revisions: Object) -> Seen:
    return Seen(
        {} if configuration is None else {"svc": configuration}, {each["metadata"]["name"]: each for each in revisions}
    )


READY = settled_configuration(ONE)


def test_all_to_the_latest() -> None:
    """URL, address, one target, and four conditions in Knative's words."""
    plan = reconcile(route(), seen(READY), OPTIONS, NOW)
    assert plan.status is not None
    conditions = plan.status.pop("conditions")
    assert plan.status == {
        "observedGeneration": 1,
        "url": URL,
        "address": {"url": URL},
        "traffic": [{"revisionName": "svc-00001", "latestRevision": True, "percent": 100}],
    }
    assert marks({"conditions": conditions}) == {
        "AllTrafficAssigned": ("True", "", ""),
        "CertificateProvisioned": ("True", "TLSNotEnabled", "autoTLS is not enabled"),
        "IngressReady": ("True", "", ""),
        "Ready": ("True", "", ""),
    }
    assert (plan.creates, plan.replaces, plan.deletes) == ((), (), ())


def test_a_canary_with_tags() -> None:
    """Each target is told with its revision, percent, tag, and the tag's URL."""
    traffic = [
        {"latestRevision": True, "percent": 10, "tag": "next"},
        {"revisionName": "svc-00001", "percent": 90},
        {"revisionName": "svc-00001", "tag": "old"},
    ]
    both = settled_configuration(ONE, TWO, generation=2)
    plan = reconcile(route(traffic=traffic), seen(both, ONE), OPTIONS, NOW)
    assert plan.status is not None
    assert plan.status["traffic"] == [
        {
            "revisionName": "svc-00002",
            "latestRevision": True,
            "percent": 10,
            "tag": "next",
            "url": "http://next-svc.default.localhost:8080",
        },
        {"revisionName": "svc-00001", "latestRevision": False, "percent": 90},
        {
            "revisionName": "svc-00001",
            "latestRevision": False,
            "tag": "old",
            "url": "http://old-svc.default.localhost:8080",
        },
    ]


SPLIT = [{"latestRevision": True, "percent": 50}, {"revisionName": "svc-00002", "percent": 50}]


@pytest.mark.parametrize(
    ("traffic", "looked", "wanted"),
    [
        pytest.param(
            None,
            seen(settled_configuration(revision())),
            ("Unknown", "RevisionMissing", 'Configuration "svc" is waiting for a Revision to become ready.'),
            id="no revision is ready yet",
        ),
        pytest.param(
            None,
            seen(settled_configuration(revision(ready="False", message="no"))),
            ("False", "RevisionMissing", 'Configuration "svc" does not have any ready Revision.'),
            id="the only revision failed",
        ),
        pytest.param(
            None,
            seen(None),
            ("False", "ConfigurationMissing", 'Configuration "svc" referenced in traffic not found.'),
            id="no configuration",
        ),
        pytest.param(
            SPLIT,
            seen(READY),
            ("False", "RevisionMissing", 'Revision "svc-00002" referenced in traffic not found.'),
            id="no such revision",
        ),
        pytest.param(
            SPLIT,
            seen(READY, UNREADY),
            ("Unknown", "RevisionMissing", 'Revision "svc-00002" is not yet ready.'),
            id="a revision that is not ready yet",
        ),
        pytest.param(
            SPLIT,
            seen(READY, FAILED),
            ("False", "RevisionMissing", 'Revision "svc-00002" failed to become ready.'),
            id="a revision that failed",
        ),
        pytest.param(
            SPLIT,
            seen(settled_configuration(revision()), FAILED),
            ("False", "RevisionMissing", 'Revision "svc-00002" failed to become ready.'),
            id="of two problems the failure is told",
        ),
        pytest.param(
            [{"latestRevision": True, "percent": 60}],
            seen(READY),
            ("False", "InvalidTraffic", "spec.traffic: 60 is not allowed; the percents must sum to 100"),
            id="percents that do not sum to 100",
        ),
    ],
)
def test_traffic_that_cannot_be_served(
    traffic: list[Object] | None, looked: Seen, wanted: tuple[str, str, str]
) -> None:
    """It is told why, and what was served before goes on being served."""
    plan = reconcile(route(traffic=traffic), looked, OPTIONS, NOW)
    found = marks(plan.status)
    assert found["AllTrafficAssigned"] == found["Ready"] == wanted
    assert found["IngressReady"] == ("Unknown", "IngressNotConfigured", "Ingress has not yet been reconciled.")
    assert plan.status is not None
    assert "traffic" not in plan.status
    assert plan.status["url"] == URL

    served = with_status(route(), reconcile(route(), seen(READY), OPTIONS, NOW))
    changed = route(traffic=traffic, generation=2) | {"status": served["status"]}
    later = reconcile(changed, looked, OPTIONS, LATER)
    assert later.status is not None
    assert later.status["traffic"] == served["status"]["traffic"]


def test_empty_traffic() -> None:
    """A Route of its own must say where to."""
    empty = {**route(), "spec": {}}
    found = marks(reconcile(empty, seen(READY), OPTIONS, NOW).status)
    assert found["Ready"] == ("False", "InvalidTraffic", "spec.traffic: at least one target is needed")


def test_traffic_moves_only_when_the_new_revision_is_ready() -> None:
    """While it is not, and when it failed, the old one has all of it."""
    obj = with_status(route(), reconcile(route(), seen(READY), OPTIONS, NOW))
    for newer in (UNREADY, FAILED):
        configuration = settled_configuration(ONE, newer, generation=2)
        assert reconcile(obj, seen(configuration), OPTIONS, LATER) == NOTHING
    moved = reconcile(obj, seen(settled_configuration(ONE, TWO, generation=2)), OPTIONS, LATER)
    assert moved.status is not None
    assert [each["revisionName"] for each in moved.status["traffic"]] == ["svc-00002"]


def test_another_objects_route_may_name_any_configuration() -> None:
    """As an InferenceService's does: `minilm` serves the configuration `minilm-predictor`."""
    obj = route()
    obj["metadata"]["name"] = "minilm"
    obj["spec"]["traffic"] = [{"configurationName": "svc", "percent": 100}]
    plan = reconcile(obj, seen(READY), OPTIONS, NOW)
    assert plan.status is not None
    assert plan.status["url"] == "http://minilm.default.localhost:8080"
    assert plan.status["traffic"] == [{"revisionName": "svc-00001", "latestRevision": True, "percent": 100}]


INSIDE = Options("example.com", 80, "activator.torpor.svc.cluster.local")
TAGGED = [{"latestRevision": True, "percent": 100, "tag": "next"}]


def test_a_cluster_gives_routes_names_of_its_own() -> None:
    """A core Service per name, which leads to the activator; its URL is the address."""
    plan = reconcile(route(traffic=TAGGED), seen(READY), INSIDE, NOW)
    assert created(plan) == [("Service", "svc"), ("Service", "next-svc")]
    made = plan.creates[0].obj
    assert made["spec"]["externalName"] == "activator.torpor.svc.cluster.local"
    assert made["metadata"]["labels"] == {"serving.knative.dev/service": "svc", "serving.knative.dev/route": "svc"}
    assert plan.status is not None
    assert plan.status["url"] == "http://svc.default.example.com"
    assert plan.status["address"] == {"url": "http://svc.default.svc.cluster.local"}

    there = {
        name: stored(CORE_SERVICE, write.obj) for write in plan.creates for name in [write.obj["metadata"]["name"]]
    }
    again = dataclasses.replace(seen(READY), services=there)
    settled = with_status(route(traffic=TAGGED), plan)
    assert reconcile(settled, again, INSIDE, LATER) == NOTHING
    moved = reconcile(settled, again, Options("example.com", 80, "other.local"), LATER)
    assert replaced(moved) == [("Service", "svc"), ("Service", "next-svc")]


def test_a_placeholder_whose_name_is_taken() -> None:
    """The Service that somebody else made stays as it is."""
    theirs = stored(CORE_SERVICE, {"metadata": {"name": "svc"}, "spec": {}})
    plan = reconcile(route(), dataclasses.replace(seen(READY), services={"svc": theirs}), INSIDE, NOW)
    assert (plan.creates, plan.replaces) == ((), ())
    text = 'There is an existing placeholder Service "svc" that we do not own.'
    assert marks(plan.status)["IngressReady"] == ("False", "NotOwned", text)


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.sets(st.integers(1, 6)),
    st.integers(0, 6),
    st.data(),
)
def test_percents_are_whole_and_every_revision_is_ready(
    wanted: list[int], ready: set[int], latest: int, data: st.DataObject
) -> None:
    """Whatever is asked for and whatever is ready: traffic sums to 100 and goes to ready revisions only, or is none."""
    cuts = sorted(data.draw(st.lists(st.integers(0, 100), min_size=len(wanted), max_size=len(wanted))))
    percents = [high - low for low, high in zip([0, *cuts], [*cuts, 100], strict=True)]
    traffic: list[Object] = [{"latestRevision": True, "percent": percents[0]}]
    traffic += [
        {"revisionName": f"svc-{number:05d}", "percent": percent}
        for number, percent in zip(wanted, percents[1:], strict=True)
    ]
    revisions = [revision(number, ready="True" if number in ready else "False") for number in range(1, 6)]
    configuration = settled_configuration(*([revision(latest, ready="True")] if latest else []), generation=latest or 1)
    obj = route(traffic=traffic)
    plan = reconcile(obj, seen(configuration, *revisions), OPTIONS, NOW)
    assert plan.status is not None
    assert reconcile(with_status(obj, plan), seen(configuration, *revisions), OPTIONS, LATER) == NOTHING
    served = plan.status.get("traffic")
    if served is None:
        assert marks(plan.status)["Ready"][0] != "True"
        return
    assert sum(each["percent"] for each in served) == 100
    good = {f"svc-{number:05d}" for number in ready & set(range(1, 6))} | {f"svc-{latest:05d}"}
    assert {each["revisionName"] for each in served} <= good

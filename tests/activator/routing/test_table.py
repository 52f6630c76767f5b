"""Routes make names known, and say where each leads."""

from __future__ import annotations

import pytest

from activator.routing.table import REMEMBERED, Router, build
from tests.activator.routing.routes import configuration, route, to
from torpor.errors import NotFoundError, TorporError
from torpor.spec.kinds import Object

DOMAIN = "example.test"
LATEST = {"configurationName": "app", "latestRevision": True, "percent": 100}


def leads(table_of: list[Object], configurations: list[Object], name: str = "app") -> tuple[tuple[str, str], ...]:
    return build(table_of, DOMAIN, configurations).by_path["default", name].traffic.revisions


@pytest.mark.parametrize(
    ("obj", "configurations", "revisions"),
    [
        pytest.param(route("app", to("app-1")), [configuration("app", "app-2")], ["app-1"], id="the status decides"),
        pytest.param(
            route("app", spec={"traffic": [LATEST]}), [configuration("app", "app-1")], ["app-1"],
            id="never ready: the newest revision",
        ),
        pytest.param(route("app"), [configuration("app", "app-3")], ["app-3"], id="no spec: its namesake"),
        pytest.param(
            route("app", spec={"traffic": [{"configurationName": "app-predictor", "percent": 100}]}),
            [configuration("app-predictor", "app-predictor-1"), configuration("app", "wrong")],
            ["app-predictor-1"],
            id="another's configuration",
        ),
        pytest.param(
            route("app", spec={"traffic": [{"revisionName": "mine", "percent": 60}, {**LATEST, "percent": 40}]}),
            [configuration("app", "app-1")],
            ["mine", "app-1"],
            id="a revision by name and a newest one",
        ),
        pytest.param(
            route("app", spec={"traffic": [LATEST]}), [configuration("app", "app-1", namespace="other")], [],
            id="not the one of another namespace",
        ),
        pytest.param(route("app"), [configuration("app")], [], id="no revision was made yet"),
        pytest.param(route("app"), [], [], id="no configuration"),
        pytest.param(
            route("app", {"latestRevision": True, "percent": 100}), [configuration("app", "app-1")], ["app-1"],
            id="a status that names no revision is no status",
        ),
    ],
)  # fmt: skip
def test_where_a_route_leads(obj: Object, configurations: list[Object], revisions: list[str]) -> None:
    """Where its status says; before it says anything, to the newest revision, where early requests wait."""
    assert leads([obj], configurations) == tuple(("default", each) for each in revisions)


def test_the_weights_of_a_route_that_was_never_ready_are_its_spec_s() -> None:
    """And its tags are known already."""
    spec = {"traffic": [{**LATEST, "percent": 25}, {"revisionName": "old", "percent": 75, "tag": "before"}]}
    table = build([route("app", spec=spec)], DOMAIN, [configuration("app", "app-1")])
    assert table.by_host["app.default.example.test"].traffic.weights == (25, 75)
    assert table.by_host["before-app.default.example.test"].traffic.revisions == (("default", "old"),)


def test_a_route_without_traffic_says_why() -> None:
    """Its own condition's words, or that there is no revision yet."""
    said: Object = {"conditions": [{"type": "Ready", "status": "False", "reason": "NoConfig", "message": "it is gone"}]}
    unready = {"metadata": {"namespace": "default", "name": "app"}, "status": said}
    table = build([unready, route("young")], DOMAIN)
    assert table.by_path["default", "app"].unready == "NoConfig: it is gone"
    assert table.by_path["default", "young"].unready == "it has no revision yet"


def test_hosts_are_those_of_the_urls_and_the_one_every_service_has() -> None:
    """Case and port of a URL do not matter."""
    obj = route("app", to("app-1", tag="t", url="http://tagged.example.org"), url="https://Shop.Example.org:8443")
    obj["status"]["address"] = {"url": "http://app.default.svc.cluster.local"}
    table = build([obj], DOMAIN)
    assert set(table.by_host) == {
        "app.default.example.test",
        "shop.example.org",
        "app.default.svc.cluster.local",
        "t-app.default.example.test",
        "tagged.example.org",
    }


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "in reverse"])
def test_a_service_has_its_name_whatever_tags_there_are(order: int) -> None:
    """In whichever order the Routes come."""
    routes = [route("app", to("app-1", tag="blue")), route("blue-app", to("blue-app-1"))][::order]
    table = build(routes, DOMAIN)
    assert table.by_host["blue-app.default.example.test"].traffic.revisions == (("default", "blue-app-1"),)
    assert table.by_path["default", "blue-app"].traffic.revisions == (("default", "blue-app-1"),)


def test_a_new_table_counts_at_once() -> None:
    """What was looked up in the old one is forgotten."""
    router = Router(build([route("app", to("app-1"))], DOMAIN))
    host = b"app.default.example.test"
    assert router.find(host, b"/")[0] is router.find(host, b"/")[0]
    router.table = build([route("app", to("app-2"))], DOMAIN)
    assert router.find(host, b"/")[0].traffic.revisions == (("default", "app-2"),)
    router.table = build([], DOMAIN)
    with pytest.raises(NotFoundError):
        router.find(host, b"/")


def test_what_clients_make_up_is_not_kept_without_bound() -> None:
    """Host headers are the clients' choice: ports and capitals make endless forms of one name."""
    router = Router(build([route("app", to("app-1"))], DOMAIN))
    for port in range(REMEMBERED + 100):
        router.find(b"app.default.example.test:%d" % port, b"/")
        with pytest.raises(NotFoundError):
            router.find(b"nobody-%d.example.test" % port, b"/")
        for dots in (b".." + b"." * (port % 60), b"." * 40_000):
            with pytest.raises(TorporError):
                router.find(b"app.default.example.test" + dots, b"/")
    assert len(router._known) <= REMEMBERED
    assert max(map(len, router._known)) < 300

"""Deleting: what goes with an object, what waits, and what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.apiserver.objects import box, make, owner_reference
from tests.local.apiserver.server import Api
from tests.support.laptop import wait_for
from torpor.spec.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, POD, SECRET, SERVICE_ACCOUNT, Kind, Object

FINALIZER = "example.com/hold"


def gone(api: Api, kind: Kind, name: str, namespace: str | None) -> bool:
    return api.http.get(kind.path(namespace, name)).status_code == 404


def wait_gone(api: Api, kind: Kind, name: str, namespace: str | None) -> None:
    wait_for(lambda: gone(api, kind, name, namespace), 20, f"{kind.kind} {name} is gone", every_s=0.01)


def owners(api: Api, namespace: str) -> list[Object]:
    """Whose the Secret `c` is."""
    found: list[Object] = api.get(SECRET, "c", namespace)["metadata"]["ownerReferences"]
    return found


def family(api: Api, namespace: str, **metadata: Any) -> Object:
    """A ConfigMap `a` that owns `b`, which owns `c`; returns `a`."""
    first = api.create(CONFIG_MAP, box("a", namespace, **metadata), namespace)
    second = api.create(CONFIG_MAP, box("b", namespace, ownerReferences=[owner_reference(first)]), namespace)
    api.create(SECRET, make(SECRET, "c", namespace, ownerReferences=[owner_reference(second)]), namespace)
    return dict(first)


# --- one object ------------------------------------------------------------------------------------------------


def test_what_is_deleted_is_said(api: Api, namespace: str) -> None:
    """A Status with the name and uid of what is gone; and a second time it is not found."""
    created = api.create(CONFIG_MAP, box("a", namespace), namespace)
    status = api.delete(CONFIG_MAP, "a", namespace)
    assert (status["status"], status["details"]["uid"]) == ("Success", created["metadata"]["uid"])
    api.delete(CONFIG_MAP, "a", namespace, code=404)


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
def test_only_what_was_seen_is_deleted(api: Api, namespace: str, field: str) -> None:
    """With a precondition, another incarnation or version stays."""
    created = api.create(CONFIG_MAP, box("a", namespace), namespace)
    refused = api.delete(CONFIG_MAP, "a", namespace, {"preconditions": {field: "1"}}, code=409)
    assert "Precondition failed" in refused["message"]
    api.delete(CONFIG_MAP, "a", namespace, {"preconditions": {field: created["metadata"][field]}})


def test_a_finalizer_holds(api: Api, namespace: str) -> None:
    """Marked as going, it stays until the last finalizer is taken; nothing new may hold it."""
    api.create(CONFIG_MAP, box("a", namespace, finalizers=[FINALIZER, "example.com/too"]), namespace)
    marked = api.delete(CONFIG_MAP, "a", namespace)
    assert marked["metadata"]["deletionTimestamp"]
    assert api.delete(CONFIG_MAP, "a", namespace)["metadata"] == marked["metadata"]
    more = {"metadata": {"finalizers": [FINALIZER, "example.com/new"]}}
    refused = api.patch(CONFIG_MAP, "a", more, "merge", namespace, code=422)
    assert "no new finalizers can be added if the object is being deleted" in refused["message"]
    api.patch(CONFIG_MAP, "a", {"metadata": {"finalizers": [FINALIZER]}}, "merge", namespace)
    assert not gone(api, CONFIG_MAP, "a", namespace)
    api.patch(CONFIG_MAP, "a", {"metadata": {"finalizers": None}}, "merge", namespace)
    assert gone(api, CONFIG_MAP, "a", namespace)


def test_who_watches_sees_it_marked_and_then_gone(api: Api, namespace: str) -> None:
    """Controllers do their part in between."""
    created = api.create(CONFIG_MAP, box("a", namespace, finalizers=[FINALIZER]), namespace)
    with api.watch(CONFIG_MAP, namespace, resourceVersion=created["metadata"]["resourceVersion"]) as events:
        api.delete(CONFIG_MAP, "a", namespace)
        event = next(events)
        assert (event["type"], "deletionTimestamp" in event["object"]["metadata"]) == ("MODIFIED", True)
        api.patch(CONFIG_MAP, "a", {"metadata": {"finalizers": []}}, "merge", namespace)
        assert next(events)["type"] == "DELETED"


def test_a_name_is_free_again(api: Api, namespace: str) -> None:
    """For an object of its own, with another uid."""
    first = api.create(CONFIG_MAP, box("a", namespace), namespace)
    api.delete(CONFIG_MAP, "a", namespace)
    second = api.create(CONFIG_MAP, box("a", namespace), namespace)
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


def test_a_collection(api: Api, namespace: str) -> None:
    """All that a selector fits, and nothing else."""
    for name, colour in (("a", "red"), ("b", "blue"), ("c", "red")):
        api.create(CONFIG_MAP, box(name, namespace, labels={"colour": colour}), namespace)
    deleted = api.request("DELETE", CONFIG_MAP.path(namespace), labelSelector="colour=red")
    assert [item["metadata"]["name"] for item in deleted["items"]] == ["a", "c"]
    assert api.names(CONFIG_MAP, namespace) == ["b"]


def test_of_all_namespaces_at_once_nothing_is_deleted(api: Api) -> None:
    """Nobody means that."""
    api.request("DELETE", CONFIG_MAP.path(), code=405)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([], id="no object"),
        pytest.param({"propagationPolicy": "Sideways"}, id="a policy that is none"),
        pytest.param({"gracePeriodSeconds": "soon"}, id="a grace that is none"),
        pytest.param({"preconditions": []}, id="preconditions that are none"),
        pytest.param({"dryRun": ["Some"]}, id="a stage that is none"),
        pytest.param(b"{", id="no JSON"),
    ],
)
def test_options_that_are_none(api: Api, namespace: str, body: Any) -> None:
    """400, and the object stays."""
    api.create(CONFIG_MAP, box("a", namespace), namespace)
    api.delete(CONFIG_MAP, "a", namespace, body, code=400)
    assert not gone(api, CONFIG_MAP, "a", namespace)


# --- dependents ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [None, {"propagationPolicy": "Background"}], ids=["by default", "background"])
def test_in_the_background(api: Api, namespace: str, options: Any) -> None:
    """The owner at once, its dependents and theirs soon after."""
    family(api, namespace)
    api.delete(CONFIG_MAP, "a", namespace, options)
    assert gone(api, CONFIG_MAP, "a", namespace)
    wait_gone(api, CONFIG_MAP, "b", namespace)
    wait_gone(api, SECRET, "c", namespace)


def test_in_the_foreground(api: Api, namespace: str) -> None:
    """The owner waits for the last of its dependents, however deep."""
    family(api, namespace)
    api.patch(SECRET, "c", {"metadata": {"finalizers": [FINALIZER]}}, "merge", namespace)
    marked = api.delete(CONFIG_MAP, "a", namespace, {"propagationPolicy": "Foreground"})
    assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]
    wait_for(
        lambda: "deletionTimestamp" in api.get(SECRET, "c", namespace)["metadata"], 20, "c is marked", every_s=0.01
    )
    assert "deletionTimestamp" in api.get(CONFIG_MAP, "b", namespace)["metadata"]
    assert not gone(api, CONFIG_MAP, "a", namespace)
    api.patch(SECRET, "c", {"metadata": {"finalizers": []}}, "merge", namespace)
    wait_gone(api, CONFIG_MAP, "b", namespace)
    wait_gone(api, CONFIG_MAP, "a", namespace)


def test_in_the_foreground_with_nobody_to_wait_for(api: Api, namespace: str) -> None:
    """It goes at once; so it does if its dependents do not block it."""
    first = api.create(CONFIG_MAP, box("a", namespace), namespace)
    loose = owner_reference(first, blocking=False)
    api.create(CONFIG_MAP, box("b", namespace, ownerReferences=[loose]), namespace)
    api.delete(CONFIG_MAP, "a", namespace, propagationPolicy="Foreground")
    assert gone(api, CONFIG_MAP, "a", namespace)
    wait_gone(api, CONFIG_MAP, "b", namespace)


@pytest.mark.parametrize("options", [{"propagationPolicy": "Orphan"}, {"orphanDependents": True}], ids=["new", "old"])
def test_orphans(api: Api, namespace: str, options: Any) -> None:
    """`kubectl delete --cascade=orphan`: the dependents stay, and forget whose they were."""
    family(api, namespace)
    api.delete(CONFIG_MAP, "a", namespace, options)
    assert gone(api, CONFIG_MAP, "a", namespace)
    second = api.get(CONFIG_MAP, "b", namespace)
    assert "ownerReferences" not in second["metadata"]
    assert "ownerReferences" in api.get(SECRET, "c", namespace)["metadata"]


def test_one_of_two_owners(api: Api, namespace: str) -> None:
    """While another lives, what it owned stays and forgets the one that went."""
    first, second = (api.create(CONFIG_MAP, box(name, namespace), namespace) for name in ("a", "b"))
    both = [owner_reference(first), owner_reference(second)]
    api.create(SECRET, make(SECRET, "c", namespace, ownerReferences=both), namespace)
    api.delete(CONFIG_MAP, "a", namespace)
    wait_for(lambda: owners(api, namespace) == both[1:], 20, "c forgets a", every_s=0.01)
    api.delete(CONFIG_MAP, "b", namespace)
    wait_gone(api, SECRET, "c", namespace)


def test_an_owner_that_is_gone_already(api: Api, namespace: str) -> None:
    """A child that is born too late goes too: its maker had not heard yet."""
    first = api.create(CONFIG_MAP, box("a", namespace), namespace)
    api.delete(CONFIG_MAP, "a", namespace)
    api.create(CONFIG_MAP, box("a", namespace), namespace)  # of the same name: it is not the owner
    api.create(SECRET, make(SECRET, "c", namespace, ownerReferences=[owner_reference(first)]), namespace)
    wait_gone(api, SECRET, "c", namespace)


def test_an_owner_of_a_kind_that_is_not_served(api: Api, namespace: str) -> None:
    """Nobody here can say whether it is gone."""
    unknown = {"apiVersion": "example.com/v1", "kind": "Thing", "name": "t", "uid": "1"}
    first = api.create(CONFIG_MAP, box("a", namespace), namespace)
    api.create(SECRET, make(SECRET, "c", namespace, ownerReferences=[unknown, owner_reference(first)]), namespace)
    api.delete(CONFIG_MAP, "a", namespace)
    wait_for(lambda: owners(api, namespace) == [unknown], 20, "c forgets a", every_s=0.01)


def test_a_great_family(api: Api, namespace: str) -> None:
    """A hundred children go while the server answers others."""
    first = api.create(CONFIG_MAP, box("a", namespace), namespace)
    for index in range(100):
        child = make(SECRET, f"c{index}", namespace, ownerReferences=[owner_reference(first)])
        api.create(SECRET, child, namespace)
    api.delete(CONFIG_MAP, "a", namespace)
    assert api.get(NAMESPACE, namespace)["status"]["phase"] == "Active"
    wait_for(lambda: api.names(SECRET, namespace) == [], 30, "all children are gone", every_s=0.05)


# --- pods: they end before they go -----------------------------------------------------------------------------


@pytest.fixture
def running_pod(api: Api, namespace: str) -> Object:
    api.create(POD, make(POD, "p", namespace), namespace)
    api.patch(POD, "p", {"spec": {"nodeName": "here"}}, "merge", namespace)
    status = {"status": {"phase": "Running"}}
    return dict(api.patch(POD, "p", status, "merge", namespace, sub="status"))


def test_a_pod_is_asked_first(api: Api, namespace: str, running_pod: Object) -> None:
    """It has its grace; who runs it deletes it again, with none, when its process has ended."""
    marked = api.delete(POD, "p", namespace)
    assert (
        marked["metadata"]["deletionGracePeriodSeconds"] == running_pod["spec"]["terminationGracePeriodSeconds"] == 30
    )
    assert not gone(api, POD, "p", namespace)
    shorter = api.delete(POD, "p", namespace, {"gracePeriodSeconds": 5})
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
    longer = api.delete(POD, "p", namespace, {"gracePeriodSeconds": 60})
    assert longer["metadata"]["deletionGracePeriodSeconds"] == 5
    api.delete(POD, "p", namespace, {"gracePeriodSeconds": 0})
    assert gone(api, POD, "p", namespace)


@pytest.mark.usefixtures("running_pod")
def test_a_pod_is_forced(api: Api, namespace: str) -> None:
    """`kubectl delete --grace-period=0 --force`."""
    api.delete(POD, "p", namespace, gracePeriodSeconds=0)
    assert gone(api, POD, "p", namespace)


def test_a_pod_that_never_ran_goes_at_once(api: Api, namespace: str) -> None:
    """There is nobody to ask."""
    api.create(POD, make(POD, "p", namespace), namespace)
    api.delete(POD, "p", namespace)
    assert gone(api, POD, "p", namespace)


@pytest.mark.usefixtures("running_pod")
def test_a_pod_that_has_ended_goes_at_once(api: Api, namespace: str) -> None:
    """Its process is no more."""
    api.patch(POD, "p", {"status": {"phase": "Succeeded"}}, "merge", namespace, sub="status")
    api.delete(POD, "p", namespace)
    assert gone(api, POD, "p", namespace)


# --- namespaces ------------------------------------------------------------------------------------------------


def test_a_namespace_goes_with_all_that_is_in_it(api: Api, namespace: str) -> None:
    """And takes nothing new in the meantime."""
    api.create(CONFIG_MAP, box("a", namespace, finalizers=[FINALIZER]), namespace)
    api.create(DEPLOYMENT, make(DEPLOYMENT, "d", namespace), namespace)
    marked = api.delete(NAMESPACE, namespace)
    assert marked["status"]["phase"] == "Terminating"
    refused = api.create(CONFIG_MAP, box("b", namespace), namespace, code=403)
    assert "because it is being terminated" in refused["message"]
    wait_gone(api, DEPLOYMENT, "d", namespace)
    wait_gone(api, SERVICE_ACCOUNT, "default", namespace)
    assert not gone(api, NAMESPACE, namespace, None)
    api.patch(CONFIG_MAP, "a", {"metadata": {"finalizers": []}}, "merge", namespace)
    wait_gone(api, NAMESPACE, namespace, None)
    api.create(NAMESPACE, {"metadata": {"name": namespace}})
    assert api.names(CONFIG_MAP, namespace) == []


@pytest.mark.parametrize("name", ["default", "kube-system"])
def test_some_namespaces_stay(api: Api, name: str) -> None:
    """As on a cluster."""
    assert "may not be deleted" in api.delete(NAMESPACE, name, code=403)["message"]

"""The four patch types over HTTP: what each does, to whom it is offered, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.local.apiserver.objects import box, make
from tests.local.apiserver.server import TYPES, Api
from torpor.spec.kinds import CONFIG_MAP, CONFIGURATION, DEPLOYMENT, KSERVICE, POD, ROUTE, Kind, Object


@pytest.fixture
def place(api: Api, namespace: str) -> str:
    """A namespace with a ConfigMap `a` and a Deployment `d`."""
    api.create(CONFIG_MAP, box("a", namespace, {"a": "1", "b": "2"}), namespace)
    api.create(DEPLOYMENT, make(DEPLOYMENT, "d", namespace), namespace)
    return namespace


# --- JSON patch ------------------------------------------------------------------------------------------------


def test_json_patch(api: Api, place: str) -> None:
    """Operations in order; each sees what the ones before made."""
    operations = [
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "move", "from": "/data/a", "path": "/data/c"},
        {"op": "copy", "from": "/data/c", "path": "/data/d"},
        {"op": "add", "path": "/metadata/labels", "value": {}},
        {"op": "add", "path": "/metadata/labels/example.com~1x", "value": "y"},
        {"op": "remove", "path": "/data/b"},
    ]
    patched = api.patch(CONFIG_MAP, "a", operations, "json", place)
    assert patched["data"] == {"c": "1", "d": "1"}
    assert patched["metadata"]["labels"] == {"example.com/x": "y"}


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        pytest.param([{"op": "test", "path": "/data/a", "value": "9"}], 422, id="a test that fails"),
        pytest.param([{"op": "remove", "path": "/data/nothing"}], 422, id="a path that is not there"),
        pytest.param([{"op": "jump", "path": "/data"}], 400, id="an unknown operation"),
        pytest.param([{"path": "/data"}], 400, id="no operation"),
        pytest.param([{"op": "add", "path": "data", "value": 1}], 422, id="a path that is none"),
        pytest.param({"op": "add"}, 400, id="no list"),
        pytest.param([7], 400, id="a number in place of an operation"),
        pytest.param([{"op": "add", "path": "/data/x", "value": "1"}] * 10_001, 413, id="too many"),
        pytest.param([{"op": "replace", "path": "", "value": []}], 400, id="a list in place of the object"),
    ],
)
def test_a_json_patch_that_fails_changes_nothing(api: Api, place: str, operations: Any, code: int) -> None:
    """Not even what came before the mistake."""
    before = api.get(CONFIG_MAP, "a", place)
    if isinstance(operations, list):
        operations = [{"op": "add", "path": "/data/first", "value": "1"}, *operations]
    api.patch(CONFIG_MAP, "a", operations, "json", place, code=code)
    assert api.get(CONFIG_MAP, "a", place) == before


# --- merge patch -----------------------------------------------------------------------------------------------


def test_merge_patch(api: Api, place: str) -> None:
    """Maps merge, null takes away, lists are replaced."""
    patched = api.patch(CONFIG_MAP, "a", {"data": {"a": None, "c": "3"}}, "merge", place)
    assert patched["data"] == {"b": "2", "c": "3"}
    finalizers = {"metadata": {"finalizers": ["example.com/x"]}}
    api.patch(CONFIG_MAP, "a", finalizers, "merge", place)
    assert "finalizers" not in api.patch(CONFIG_MAP, "a", {"metadata": {"finalizers": []}}, "merge", place)["metadata"]


def test_a_patch_may_say_which_version_it_is_for(api: Api, place: str) -> None:
    """Then it is a conflict where somebody else was faster; without one it is not."""
    old = api.get(CONFIG_MAP, "a", place)["metadata"]["resourceVersion"]
    api.patch(CONFIG_MAP, "a", {"data": {"a": "2"}}, "merge", place)
    stale = {"metadata": {"resourceVersion": old}, "data": {"a": "3"}}
    assert api.patch(CONFIG_MAP, "a", stale, "merge", place, code=409)["reason"] == "Conflict"


def test_a_patch_that_changes_nothing_makes_no_version(api: Api, place: str) -> None:
    """Nobody who watches is woken for it."""
    before = api.get(CONFIG_MAP, "a", place)
    assert api.patch(CONFIG_MAP, "a", {"data": {"a": "1"}}, "merge", place) == before
    assert api.patch(CONFIG_MAP, "a", {}, "merge", place) == before


@pytest.mark.parametrize("patch", [{"metadata": {"name": "b"}}, {"kind": "Secret"}, {"metadata": {"namespace": "x"}}])
def test_a_patch_does_not_make_another_object(api: Api, place: str, patch: Object) -> None:
    """Name, namespace and kind are the path's."""
    api.patch(CONFIG_MAP, "a", patch, "merge", place, code=400)


# --- strategic merge patch -------------------------------------------------------------------------------------


def test_strategic_merge_patch(api: Api, place: str) -> None:
    """Containers merge by name, and their environment too; a directive takes one away."""
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    body = {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": env}, {"name": "s", "image": "y"}]}}}}
    spec = api.patch(DEPLOYMENT, "d", body, "strategic", place)["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["containers"]] == ["c", "s"]
    assert spec["containers"][0]["image"] == "example.com/x:1"
    more = [{"name": "B", "value": "3"}, {"name": "A", "$patch": "delete"}]
    body = {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": more}]}}}}
    containers = api.patch(DEPLOYMENT, "d", body, "strategic", place)["spec"]["template"]["spec"]["containers"]
    assert next(each["env"] for each in containers if each["name"] == "c") == [{"name": "B", "value": "3"}]
    assert len(containers) == 2


@pytest.mark.parametrize("kind", [KSERVICE, CONFIGURATION, ROUTE], ids=lambda kind: kind.kind)
def test_custom_kinds_have_no_strategic_merge_patch(api: Api, namespace: str, kind: Kind) -> None:
    """415, with what there is: kubectl then sends a merge patch."""
    api.create(kind, make(kind, "a", namespace), namespace)
    refused = api.patch(kind, "a", {}, "strategic", namespace, code=415)
    assert refused["reason"] == "UnsupportedMediaType"
    assert TYPES["merge"] in refused["message"]


@pytest.mark.parametrize("type_", ["application/json", "text/plain", "application/merge-patch+yaml"])
def test_a_patch_of_no_type(api: Api, place: str, type_: str) -> None:
    """415."""
    api.request("PATCH", CONFIG_MAP.path(place, "a"), {}, type_=type_, code=415)


@pytest.mark.parametrize("how", ["json", "merge", "strategic"])
@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'"text"', b"[[[["])
def test_a_patch_that_cannot_be_read(api: Api, place: str, how: str, raw: bytes) -> None:
    """400."""
    api.patch(CONFIG_MAP, "a", raw, how, place, code=400)


@pytest.mark.parametrize("how", TYPES)
def test_what_a_patch_makes_is_checked(api: Api, place: str, how: str) -> None:
    """As any other write: a type that is wrong is named, and nothing changes."""
    before = api.get(DEPLOYMENT, "d", place)
    body: Any = {"spec": {"replicas": "many"}}
    if how == "json":
        body = [{"op": "replace", "path": "/spec/replicas", "value": "many"}]
    if how == "apply":
        body |= {"apiVersion": "apps/v1", "kind": "Deployment"}
    refused = api.patch(DEPLOYMENT, "d", body, how, place, code=400)
    assert "spec.replicas" in refused["message"]
    assert api.get(DEPLOYMENT, "d", place) == before


# --- server-side apply -----------------------------------------------------------------------------------------


def config(data: dict[str, str] | None, **metadata: Any) -> Object:
    """What somebody applies to the ConfigMap `a`."""
    found: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **metadata}}
    return found if data is None else found | {"data": data}


def owners(obj: Object) -> dict[str, list[str]]:
    """Who owns which keys of `data`."""
    return {
        entry["manager"]: sorted(key[2:] for key in entry["fieldsV1"].get("f:data", {}) if key != ".")
        for entry in obj["metadata"]["managedFields"]
    }


def test_apply_creates(api: Api, namespace: str) -> None:
    """And says so by 201; applied again it is the same, to its version."""
    path = CONFIG_MAP.path(namespace, "a")
    created = api.request("PATCH", path, config({"a": "1"}), type_=TYPES["apply"], code=201, fieldManager="me")
    assert owners(created) == {"me": ["a"]}
    again = api.request("PATCH", path, config({"a": "1"}), type_=TYPES["apply"], code=200, fieldManager="me")
    assert again == created


def test_apply_takes_yaml(api: Api, namespace: str) -> None:
    """As `kubectl apply --server-side` of a file would send it."""
    text = yaml.safe_dump(config({"a": "1"})).encode()
    assert api.patch(CONFIG_MAP, "a", text, "apply", namespace)["data"] == {"a": "1"}


def test_apply_lets_others_be(api: Api, namespace: str) -> None:
    """Two managers, each with a key of its own; what one no longer wants goes, the other's stays."""
    api.patch(CONFIG_MAP, "a", config({"a": "1", "b": "2"}), "apply", namespace, fieldManager="one")
    both = api.patch(CONFIG_MAP, "a", config({"c": "3"}), "apply", namespace, fieldManager="two")
    assert (both["data"], owners(both)) == ({"a": "1", "b": "2", "c": "3"}, {"one": ["a", "b"], "two": ["c"]})
    less = api.patch(CONFIG_MAP, "a", config({"a": "1"}), "apply", namespace, fieldManager="one")
    assert (less["data"], owners(less)) == ({"a": "1", "c": "3"}, {"one": ["a"], "two": ["c"]})
    none = api.patch(CONFIG_MAP, "a", config(None), "apply", namespace, fieldManager="one")
    assert (none["data"], owners(none)) == ({"c": "3"}, {"two": ["c"]})


def test_what_others_want_otherwise_is_a_conflict(api: Api, namespace: str) -> None:
    """It names who, and each field; nothing is written."""
    api.patch(CONFIG_MAP, "a", config({"a": "1", "b": "2"}), "apply", namespace, fieldManager="one")
    before = api.get(CONFIG_MAP, "a", namespace)
    refused = api.patch(CONFIG_MAP, "a", config({"a": "9"}), "apply", namespace, fieldManager="two", code=409)
    assert refused["message"] == 'Apply failed with 1 conflict: conflict with "one" using v1: .data.a'
    [cause] = refused["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".data.a")
    assert api.get(CONFIG_MAP, "a", namespace) == before


def test_force_takes_a_field_over(api: Api, namespace: str) -> None:
    """From then on it is the new owner's alone."""
    api.patch(CONFIG_MAP, "a", config({"a": "1", "b": "2"}), "apply", namespace, fieldManager="one")
    query = {"fieldManager": "two", "force": "true"}
    taken = api.patch(CONFIG_MAP, "a", config({"a": "9"}), "apply", namespace, **query)
    assert (taken["data"], owners(taken)) == ({"a": "9", "b": "2"}, {"one": ["b"], "two": ["a"]})
    refused = api.patch(CONFIG_MAP, "a", config({"a": "1"}), "apply", namespace, fieldManager="one", code=409)
    assert 'conflict with "two"' in refused["message"]


def test_the_same_wish_is_shared(api: Api, namespace: str) -> None:
    """Two who want the same value own it both; it goes when neither wants it."""
    api.patch(CONFIG_MAP, "a", config({"a": "1"}), "apply", namespace, fieldManager="one")
    both = api.patch(CONFIG_MAP, "a", config({"a": "1"}), "apply", namespace, fieldManager="two")
    assert owners(both) == {"one": ["a"], "two": ["a"]}
    one = api.patch(CONFIG_MAP, "a", config(None), "apply", namespace, fieldManager="one")
    assert one["data"] == {"a": "1"}
    neither = api.patch(CONFIG_MAP, "a", config(None), "apply", namespace, fieldManager="two")
    assert "data" not in neither


def test_who_replaces_owns_what_changed(api: Api, namespace: str) -> None:
    """An update is no apply: it takes without asking, and an apply must then force."""
    api.patch(CONFIG_MAP, "a", config({"a": "1", "b": "2"}), "apply", namespace, fieldManager="one")
    changed = api.patch(CONFIG_MAP, "a", {"data": {"a": "9"}}, "merge", namespace, fieldManager="hand")
    assert owners(changed) == {"one": ["b"], "hand": ["a"]}
    refused = api.patch(CONFIG_MAP, "a", config({"a": "1", "b": "2"}), "apply", namespace, fieldManager="one", code=409)
    assert 'conflict with "hand" using v1: .data.a' in refused["message"]


def test_apply_merges_containers_by_name(api: Api, place: str) -> None:
    """One manager's sidecar beside another's container."""
    sidecar = {"name": "side", "image": "example.com/s:1"}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"template": {"spec": {"containers": [sidecar]}}},
    }
    spec = api.patch(DEPLOYMENT, "d", body, "apply", place)["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["containers"]] == ["c", "side"]
    body["spec"] = {"template": {"spec": {"containers": []}}}
    spec = api.patch(DEPLOYMENT, "d", body, "apply", place)["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["containers"]] == ["c"]


def test_apply_of_a_status(api: Api, namespace: str) -> None:
    """Through the subresource, and nothing else of the object with it."""
    api.create(KSERVICE, make(KSERVICE, "a", namespace), namespace)
    body = {
        "apiVersion": KSERVICE.api_version,
        "kind": "Service",
        "metadata": {"name": "a", "labels": {"not": "taken"}},
        "status": {"observedGeneration": 1},
    }
    written = api.patch(KSERVICE, "a", body, "apply", namespace, sub="status")
    assert written["status"] == {"observedGeneration": 1}
    assert "labels" not in written["metadata"]
    assert [entry["subresource"] for entry in written["metadata"]["managedFields"] if "subresource" in entry] == [
        "status"
    ]


def test_apply_needs_a_manager(api: Api, namespace: str) -> None:
    """Who owns it must be known; and nobody writes who owns what by hand."""
    refused = api.patch(CONFIG_MAP, "a", config({}), "apply", namespace, fieldManager="", code=400)
    assert "fieldManager is required" in refused["message"]
    managed = config({}, managedFields=[{"manager": "x"}])
    assert "managedFields must be nil" in api.patch(CONFIG_MAP, "a", managed, "apply", namespace, code=400)["message"]


def test_a_new_object_must_be_whole(api: Api, namespace: str) -> None:
    """Applying what is not there creates it: what is needed must be said."""
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    refused = api.patch(POD, "p", body, "apply", namespace, code=422)
    assert "spec.containers: Required value" in refused["message"]

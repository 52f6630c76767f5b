"""Create, read, replace: names, versions, generations, and what an object keeps for life."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.apiserver.objects import BODIES, box, complete, make
from tests.local.apiserver.server import Api
from torpor.local.apiserver.kinds.table import BY_KIND
from torpor.spec.kinds import (
    CONFIG_MAP,
    CONFIGURATION,
    CORE_SERVICE,
    DEPLOYMENT,
    INFERENCE_SERVICE,
    KSERVICE,
    NAMESPACE,
    POD,
    REVISION,
    ROUTE,
    SECRET,
    SERVICE_ACCOUNT,
    Kind,
    Object,
)

KINDS = [pytest.param(kind, id=f"{kind.plural}.{kind.group}") for kind in BODIES]
WITH_STATUS = [pytest.param(kind, id=kind.kind) for kind in BODIES if BY_KIND[kind].status and kind != NAMESPACE]


# --- every kind ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_life(api: Api, namespace: str, kind: Kind) -> None:
    """Created, read, replaced, listed, deleted: in each kind the same."""
    place = namespace if kind.namespaced else None
    name = f"life-{namespace}"
    created = api.create(kind, complete(api, kind, name, namespace), place, code=201)
    metadata = created["metadata"]
    assert (created["apiVersion"], created["kind"], metadata["name"]) == (kind.api_version, kind.kind, name)
    assert {"uid", "creationTimestamp", "resourceVersion"} <= metadata.keys()
    assert api.get(kind, name, place) == created

    created["metadata"]["labels"] = {"life": namespace}
    replaced = api.put(kind, created)
    assert (replaced["metadata"]["labels"]["life"], replaced["metadata"]["uid"]) == (namespace, metadata["uid"])
    assert int(replaced["metadata"]["resourceVersion"]) > int(metadata["resourceVersion"])
    assert api.get(kind, "", place, labelSelector=f"life={namespace}")["items"] == [replaced]

    api.delete(kind, name, place)
    if kind != NAMESPACE:
        assert api.get(kind, name, place, code=404)["reason"] == "NotFound"


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_given_once(api: Api, namespace: str, kind: Kind) -> None:
    """The second creation is a conflict that says so."""
    place = namespace if kind.namespaced else None
    obj = complete(api, kind, f"twice-{namespace}", namespace)
    api.create(kind, obj, place)
    refused = api.create(kind, obj, place, code=409)
    assert (refused["reason"], refused["details"]["name"]) == ("AlreadyExists", f"twice-{namespace}")


@pytest.mark.parametrize("kind", WITH_STATUS)
def test_a_status_is_written_where_it_belongs(api: Api, namespace: str, kind: Kind) -> None:
    """A client that creates or replaces writes none; who writes one changes nothing that is wanted."""
    status: Object = {"phase": "Running"} if kind == POD else {"conditions": []}
    obj = complete(api, kind, "s", namespace) | {"status": status}
    created = api.create(kind, obj, namespace)
    assert created.get("status", {}).items().isdisjoint(status.items())

    changed = {**created, "status": status, "metadata": {**created["metadata"], "labels": {"not": "taken"}}}
    written = api.put(kind, changed, sub="status")
    assert written["status"] == status
    assert "labels" not in written["metadata"]
    assert written["metadata"].get("generation") == created["metadata"].get("generation")

    again = api.put(kind, {**written, "status": {}})
    assert again["status"] == status
    assert api.get(kind, "s", namespace, sub="status") == again


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=kind.kind) for kind in BODIES if BY_KIND[kind].generation and kind != REVISION]
)
def test_a_generation_counts_what_is_wanted(api: Api, namespace: str, kind: Kind) -> None:
    """One for each change of the spec, none for labels, status, or a write that changes nothing."""
    obj = api.create(kind, make(kind, "g", namespace), namespace)
    assert obj["metadata"]["generation"] == 1
    obj["metadata"]["annotations"] = {"a": "b"}
    obj = api.put(kind, obj)
    assert obj["metadata"]["generation"] == 1
    obj = api.put(kind, _wished(obj))
    assert obj["metadata"]["generation"] == 2
    same = api.put(kind, obj)
    assert same["metadata"] == obj["metadata"]


def _wished(obj: Object) -> Object:
    """The object with something else in it."""
    changes: dict[str, Any] = {
        POD.kind: lambda spec: spec["containers"][0].update(image="example.com/y:2"),
        DEPLOYMENT.kind: lambda spec: spec.update(replicas=3),
        KSERVICE.kind: lambda spec: spec["template"]["spec"].update(containerConcurrency=1),
        CONFIGURATION.kind: lambda spec: spec["template"]["spec"].update(containerConcurrency=1),
        ROUTE.kind: lambda spec: spec["traffic"][0].update(tag="t"),
        INFERENCE_SERVICE.kind: lambda spec: spec["predictor"].update(minReplicas=0),
    }
    if obj["kind"] in changes:
        changes[obj["kind"]](obj["spec"])
    else:
        obj["endpoints"] = [{"addresses": ["127.0.0.1"]}]
    return obj


# --- versions --------------------------------------------------------------------------------------------------


def test_who_writes_over_a_newer_version_is_told(api: Api, namespace: str) -> None:
    """What somebody else wrote in between is not lost."""
    first = api.create(CONFIG_MAP, box("a", namespace), namespace)
    api.put(CONFIG_MAP, {**first, "data": {"a": "2"}})
    refused = api.put(CONFIG_MAP, {**first, "data": {"a": "3"}}, code=409)
    assert refused["reason"] == "Conflict"
    assert "the object has been modified" in refused["message"]
    assert api.get(CONFIG_MAP, "a", namespace)["data"] == {"a": "2"}


def test_a_built_in_kind_is_replaced_without_a_version(api: Api, namespace: str) -> None:
    """Whatever is there: `kubectl replace` of a file does so."""
    api.create(CONFIG_MAP, box("a", namespace), namespace)
    assert api.put(CONFIG_MAP, box("a", namespace, {"b": "2"}))["data"] == {"b": "2"}
    zero = box("a", namespace, {"c": "3"}, resourceVersion="0")
    assert api.put(CONFIG_MAP, zero)["data"] == {"c": "3"}


def test_a_custom_kind_is_not(api: Api, namespace: str) -> None:
    """As Kubernetes has it of custom resources."""
    api.create(KSERVICE, make(KSERVICE, "a", namespace), namespace)
    refused = api.put(KSERVICE, make(KSERVICE, "a", namespace), code=422)
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in refused["message"]


@pytest.mark.parametrize("version", ["x", "-1"])
def test_a_version_that_is_none(api: Api, namespace: str, version: str) -> None:
    """Refused by its field's name."""
    api.create(CONFIG_MAP, box("a", namespace), namespace)
    refused = api.put(CONFIG_MAP, box("a", namespace, resourceVersion=version), code=422)
    assert "metadata.resourceVersion: Invalid value" in refused["message"]


def test_another_incarnation_is_not_replaced(api: Api, namespace: str) -> None:
    """The uid says which one was seen."""
    api.create(CONFIG_MAP, box("a", namespace), namespace)
    refused = api.put(CONFIG_MAP, box("a", namespace, uid="another"), code=409)
    assert "UID in precondition: another" in refused["message"]


def test_what_was_never_created_cannot_be_replaced(api: Api, namespace: str) -> None:
    """PUT makes nothing."""
    api.put(CONFIG_MAP, box("a", namespace), code=404)


def test_what_an_object_keeps_for_life(api: Api, namespace: str) -> None:
    """Whatever a client sends: uid, creation, generation."""
    created = api.create(KSERVICE, make(KSERVICE, "a", namespace), namespace)
    metadata = {
        **created["metadata"],
        "creationTimestamp": "2000-01-01T00:00:00Z",
        "generation": 99,
        "labels": {"x": "y"},
    }
    written = api.put(KSERVICE, {**created, "metadata": metadata})["metadata"]
    assert {key: written[key] for key in ("uid", "creationTimestamp", "generation")} == {
        key: created["metadata"][key] for key in ("uid", "creationTimestamp", "generation")
    }
    assert written["labels"] == {"x": "y"}


# --- names and namespaces --------------------------------------------------------------------------------------


def test_a_name_can_be_made_up(api: Api, namespace: str) -> None:
    """From a beginning; each time another one, and never too long."""
    body = {"metadata": {"generateName": "x" * 70}, "data": {}}
    first, second = (api.create(CONFIG_MAP, body, namespace)["metadata"]["name"] for _ in range(2))
    assert first != second
    assert (len(first), first[:58]) == (63, "x" * 58)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(CONFIG_MAP, "Upper", id="upper case"),
        pytest.param(CONFIG_MAP, "under_score", id="an underscore"),
        pytest.param(CONFIG_MAP, "-a", id="a dash in front"),
        pytest.param(CONFIG_MAP, "a..b", id="an empty label"),
        pytest.param(CONFIG_MAP, "ä", id="not ASCII"),
        pytest.param(CONFIG_MAP, "a/b", id="a slash"),
        pytest.param(CONFIG_MAP, "..", id="a way up"),
        pytest.param(CONFIG_MAP, "a\n", id="a newline at the end"),
        pytest.param(CONFIG_MAP, "x" * 254, id="too long"),
        pytest.param(NAMESPACE, "a.b", id="a dot in a namespace"),
        pytest.param(CORE_SERVICE, "1a", id="a Service that begins with a digit"),
        pytest.param(INFERENCE_SERVICE, "a.b", id="a dot in an InferenceService"),
    ],
)
def test_a_name_that_is_none(api: Api, namespace: str, kind: Kind, name: str) -> None:
    """Refused with the name and the rule."""
    code = 400 if kind == INFERENCE_SERVICE else 422
    refused = api.create(kind, make(kind, name, namespace), namespace if kind.namespaced else None, code=code)
    assert name.strip()[:50] in refused["message"]
    assert ("use at most" if code == 400 else "must") in refused["message"]


def test_no_name_at_all(api: Api, namespace: str) -> None:
    """Refused by its field's name."""
    refused = api.create(CONFIG_MAP, {"metadata": {}}, namespace, code=422)
    assert refused["message"].endswith("metadata.name: Required value: name or generateName is required")


def test_a_namespace_must_exist(api: Api) -> None:
    """Nothing is created where nobody looks."""
    refused = api.create(CONFIG_MAP, box("a", "nowhere"), "nowhere", code=404)
    assert refused["message"] == 'namespaces "nowhere" not found'


def test_every_namespace_has_an_account(api: Api, namespace: str) -> None:
    """Called default, as on a cluster."""
    assert api.names(SERVICE_ACCOUNT, namespace) == ["default"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"metadata": {"name": "a", "namespace": "default"}}, id="another namespace"),
        pytest.param({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a"}}, id="another kind"),
        pytest.param({"kind": "ConfigMap", "apiVersion": "v2", "metadata": {"name": "a"}}, id="another version"),
        pytest.param({"metadata": {"name": "a", "resourceVersion": "7"}}, id="a version before it exists"),
        pytest.param({"metadata": []}, id="metadata that is no object"),
        pytest.param([], id="no object"),
        pytest.param(None, id="null"),
        pytest.param("text", id="a text"),
    ],
)
def test_a_body_that_contradicts_the_request(api: Api, namespace: str, body: Any) -> None:
    """400, and nothing is created."""
    assert api.create(CONFIG_MAP, body, namespace, code=400)["reason"] == "BadRequest"
    assert api.names(CONFIG_MAP, namespace) == []


def test_a_body_for_another_name(api: Api, namespace: str) -> None:
    """The path says what is written."""
    api.create(CONFIG_MAP, box("a", namespace), namespace)
    path = CONFIG_MAP.path(namespace, "a")
    assert "does not match the name on the URL" in api.request("PUT", path, box("b", namespace), code=400)["message"]


# --- what may not change, and what is not there ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        pytest.param(
            DEPLOYMENT,
            {
                "spec": {
                    "selector": {"matchLabels": {"app": "y"}},
                    "template": {"metadata": {"labels": {"app": "y"}}},
                }
            },
            "spec.selector: Invalid value",
            id="a Deployment's selector",
        ),
        pytest.param(POD, {"spec": {"hostname": "x"}}, "pod updates may not change fields", id="a pod's spec"),
        pytest.param(SECRET, {"type": "other"}, "type: Invalid value", id="a Secret's type"),
        pytest.param(
            REVISION, {"spec": {"containerConcurrency": 2}}, "Immutable fields changed", id="a Revision's spec"
        ),
    ],
)
def test_fields_that_never_change(api: Api, namespace: str, kind: Kind, change: Object, says: str) -> None:
    """Refused with the field's name; the object stays as it is."""
    before = api.create(kind, complete(api, kind, "a", namespace), namespace)
    code = 400 if kind == REVISION else 422
    refused = api.patch(kind, "a", change, "merge", namespace, code=code)
    assert says in refused["message"]
    assert api.get(kind, "a", namespace) == before


def test_an_immutable_config_map(api: Api, namespace: str) -> None:
    """Once it says so, its data stay, and so does the word."""
    api.create(CONFIG_MAP, box("a", namespace) | {"immutable": True}, namespace)
    for change in ({"data": {"a": "2"}}, {"immutable": False}):
        refused = api.patch(CONFIG_MAP, "a", change, "merge", namespace, code=422)
        assert "field is immutable when `immutable` is set" in refused["message"]


def test_what_is_written_of_a_secret_is_read_as_data(api: Api, namespace: str) -> None:
    """stringData is for writing only."""
    created = api.create(SECRET, make(SECRET, "a", namespace), namespace)
    assert (created["data"], created["type"]) == ({"a": "MQ=="}, "Opaque")
    assert "stringData" not in created


def test_a_dry_run_says_what_would_be(api: Api, namespace: str) -> None:
    """Defaults, names and refusals; and nothing is."""
    made = api.create(DEPLOYMENT, make(DEPLOYMENT, "a", namespace), namespace, dryRun="All")
    assert made["spec"]["replicas"] == 1
    api.get(DEPLOYMENT, "a", namespace, code=404)
    real = api.create(DEPLOYMENT, make(DEPLOYMENT, "a", namespace), namespace)
    tried = api.patch(DEPLOYMENT, "a", {"spec": {"replicas": 9}}, "merge", namespace, dryRun="All")
    assert tried["spec"]["replicas"] == 9
    api.delete(DEPLOYMENT, "a", namespace, dryRun="All")
    assert api.get(DEPLOYMENT, "a", namespace) == real
    assert api.create(CONFIG_MAP, box("b", namespace), namespace, dryRun="Some", code=400)["reason"] == "BadRequest"


# --- scale -----------------------------------------------------------------------------------------------------


def test_scale_is_a_view_of_replicas(api: Api, namespace: str) -> None:
    """Read, replaced, patched; the object's generation counts it, its selector is a text."""
    created = api.create(DEPLOYMENT, make(DEPLOYMENT, "d", namespace), namespace)
    scale = api.get(DEPLOYMENT, "d", namespace, sub="scale")
    assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == ("Scale", {"replicas": 1}, "app=x")

    scale["spec"]["replicas"] = 3
    path = DEPLOYMENT.path(namespace, "d", "scale")
    written = api.request("PUT", path, scale)
    obj = api.get(DEPLOYMENT, "d", namespace)
    assert obj["spec"]["replicas"] == 3
    assert obj["metadata"]["generation"] == created["metadata"]["generation"] + 1
    assert written["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]

    assert "has been modified" in api.request("PUT", path, scale, code=409)["message"]
    for how, body in (
        ("json", [{"op": "replace", "path": "/spec/replicas", "value": 5}]),
        ("merge", {"spec": {"replicas": 5}}),
        ("strategic", {"spec": {"replicas": 5}}),
    ):
        api.patch(DEPLOYMENT, "d", {"spec": {"replicas": 0}}, "merge", namespace, sub="scale")
        assert api.patch(DEPLOYMENT, "d", body, how, namespace, sub="scale")["spec"]["replicas"] == 5
    assert api.get(DEPLOYMENT, "d", namespace)["spec"]["template"] == created["spec"]["template"]


@pytest.mark.parametrize(
    ("replicas", "code"),
    [
        pytest.param(-1, 422, id="fewer than none"),
        pytest.param(2**31, 422, id="more than an int32"),
        pytest.param("3", 400, id="a text"),
        pytest.param(True, 400, id="a truth"),
        pytest.param(1.5, 400, id="one and a half"),
    ],
)
def test_replicas_that_are_none(api: Api, namespace: str, replicas: Any, code: int) -> None:
    """Refused with the field's name."""
    api.create(DEPLOYMENT, make(DEPLOYMENT, "d", namespace), namespace)
    body = {"spec": {"replicas": replicas}}
    assert "spec.replicas" in api.patch(DEPLOYMENT, "d", body, "merge", namespace, sub="scale", code=code)["message"]


def test_only_who_has_replicas_has_a_scale(api: Api, namespace: str) -> None:
    """Elsewhere there is no such path."""
    api.create(CONFIG_MAP, box("a", namespace), namespace)
    for sub in ("scale", "status", "nothing"):
        api.get(CONFIG_MAP, "a", namespace, sub=sub, code=404)

"""What comes in is held against its schema; what does not fit is named, by field."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.local.apiserver.objects import box, make
from tests.local.apiserver.server import Api
from torpor.spec.kinds import (
    CONFIG_MAP,
    CONFIGURATION,
    CORE_SERVICE,
    DEPLOYMENT,
    EVENT,
    INFERENCE_SERVICE,
    KSERVICE,
    POD,
    REVISION,
    ROUTE,
    Kind,
    Object,
)


def with_unknown(kind: Kind, namespace: str) -> Object:
    """An object with a field that its kind does not have, and one deeper in it."""
    obj = make(kind, "a", namespace) | {"tempalte": 1}
    deep = obj["spec"]["template"] = {**obj["spec"]["template"]}
    deep["colour"] = "red"
    return obj


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        pytest.param(
            DEPLOYMENT,
            'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: ',
            id="Kubernetes' own",
        ),
        pytest.param(KSERVICE, "strict decoding error: ", id="a custom kind"),
    ],
)
def test_unknown_fields_strict(api: Api, namespace: str, kind: Kind, says: str) -> None:
    """`kubectl apply` asks for it: refused, with every field, and nothing is created."""
    refused = api.create(kind, with_unknown(kind, namespace), namespace, code=400, fieldValidation="Strict")
    fields = [f'unknown field "{field}"' for field in ("spec.template.colour", "tempalte")]
    assert refused["message"].startswith(says)
    assert all(field in refused["message"] for field in fields)
    assert api.names(kind, namespace) == []


@pytest.mark.parametrize("kind", [DEPLOYMENT, KSERVICE], ids=["Kubernetes' own", "a custom kind"])
@pytest.mark.parametrize("query", [{}, {"fieldValidation": "Warn"}, {"fieldValidation": "Ignore"}], ids=str)
def test_unknown_fields_go(api: Api, namespace: str, kind: Kind, query: dict[str, str]) -> None:
    """Created without them; with a warning unless the client does not want to hear."""
    body = orjson.dumps(with_unknown(kind, namespace))
    headers = {"Content-Type": "application/json"}
    answer = api.http.post(kind.path(namespace), content=body, headers=headers, params=query)
    assert answer.status_code == 201
    assert "tempalte" not in answer.json()
    assert "colour" not in answer.json()["spec"]["template"]
    warnings = answer.headers.get_list("warning")
    if query == {"fieldValidation": "Ignore"}:
        assert warnings == []
    else:
        assert sorted(warnings) == [
            '299 - "unknown field \\"spec.template.colour\\""',
            '299 - "unknown field \\"tempalte\\""',
        ]


def test_a_patch_is_held_against_it_too(api: Api, namespace: str) -> None:
    """What it brings that is unknown is refused, if the client is strict."""
    api.create(CONFIG_MAP, box("a", namespace), namespace)
    for how in ("merge", "strategic", "apply"):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "dtaa": {}}
        refused = api.patch(CONFIG_MAP, "a", body, how, namespace, code=400, fieldValidation="Strict")
        assert 'unknown field "dtaa"' in refused["message"]


def test_a_validation_that_is_none(api: Api, namespace: str) -> None:
    """Refused, with the words that there are."""
    refused = api.create(CONFIG_MAP, box("a", namespace), namespace, code=400, fieldValidation="Sometimes")
    assert 'supported values: "Ignore", "Strict", "Warn"' in refused["message"]


@pytest.mark.parametrize(
    ("kind", "change", "code", "says"),
    [
        pytest.param(
            DEPLOYMENT,
            {"spec": {"replicas": "many"}},
            400,
            "json: cannot unmarshal string into Go struct field Deployment.spec.replicas of type int64",
            id="a text for a number",
        ),
        pytest.param(DEPLOYMENT, {"spec": {"replicas": 1.5}}, 400, "spec.replicas", id="a fraction for a whole number"),
        pytest.param(DEPLOYMENT, {"spec": {"paused": "yes"}}, 400, "spec.paused of type bool", id="a text for a truth"),
        pytest.param(DEPLOYMENT, {"spec": []}, 400, "Deployment.spec of type object", id="a list for an object"),
        pytest.param(CONFIG_MAP, {"data": {"a": 1}}, 400, "ConfigMap.data.a of type string", id="a number in a map"),
        pytest.param(
            CONFIG_MAP, {"metadata": {"labels": {"a": True}}}, 400, "metadata.labels.a of type string", id="a label"
        ),
        pytest.param(
            KSERVICE,
            {"spec": {"template": {"spec": {"containerConcurrency": "many"}}}},
            422,
            "containerConcurrency in body must be of type integer",
            id="a custom kind",
        ),
        pytest.param(
            INFERENCE_SERVICE,
            {"spec": {"predictor": {"minReplicas": "one"}}},
            422,
            "spec.predictor.minReplicas in body must be of type integer",
            id="a custom kind with a deep field",
        ),
        pytest.param(
            POD,
            {"spec": {"containers": [{"name": "c", "image": "x", "resources": {"limits": {"cpu": "much"}}}]}},
            400,
            "quantities must match the regular expression",
            id="a quantity",
        ),
        pytest.param(
            EVENT, {"lastTimestamp": "2026-99-99T00:00:00Z"}, 400, "a time like", id="a day that no calendar has"
        ),
        pytest.param(EVENT, {"lastTimestamp": "yesterday"}, 400, "a time like", id="a time in words"),
    ],
)
def test_wrong_types(api: Api, namespace: str, kind: Kind, change: Object, code: int, says: str) -> None:
    """Named by field, in Kubernetes' words; nothing is created."""
    refused = api.create(kind, _merged(make(kind, "a", namespace), change), namespace, code=code)
    assert says in refused["message"]
    assert api.names(kind, namespace) == []


def _merged(obj: Any, change: Any) -> Any:
    if not isinstance(obj, dict) or not isinstance(change, dict):
        return change
    return {**obj, **{key: _merged(obj.get(key), value) for key, value in change.items()}}


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        pytest.param(POD, {"spec": {"containers": []}}, "spec.containers: Required value", id="no container"),
        pytest.param(
            POD, {"spec": {"containers": [{"name": "c"}]}}, "spec.containers[0].image: Required value", id="no image"
        ),
        pytest.param(
            POD,
            {"spec": {"containers": [{"name": "c", "image": "x"}, {"name": "c", "image": "y"}]}},
            'Duplicate value: "c"',
            id="a name twice",
        ),
        pytest.param(
            POD,
            {"spec": {"containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 99999}]}]}},
            "ports[0].containerPort: Invalid value: 99999: must be between 1 and 65535, inclusive",
            id="a port",
        ),
        pytest.param(
            POD,
            {"spec": {"containers": [{"name": "c", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}},
            'volumeMounts[0].name: Not found: "v"',
            id="a volume that is not there",
        ),
        pytest.param(
            POD,
            {"spec": {"containers": [{"name": "c", "image": "x", "readinessProbe": {"periodSeconds": 1}}]}},
            "readinessProbe: Required value: must specify a handler type",
            id="a probe of nothing",
        ),
        pytest.param(
            DEPLOYMENT,
            {"spec": {"template": {"metadata": {"labels": {"app": "y"}}}}},
            "`selector` does not match template `labels`",
            id="a selector of others",
        ),
        pytest.param(
            DEPLOYMENT, {"spec": {"replicas": -1}}, "spec.replicas: Invalid value: -1: must be greater", id="replicas"
        ),
        pytest.param(CORE_SERVICE, {"spec": {"ports": []}}, "spec.ports: Required value", id="a Service without ports"),
        pytest.param(
            CONFIG_MAP, {"data": {"a/b": "1"}}, 'data[a/b]: Invalid value: "a/b": a valid config key', id="a key"
        ),
        pytest.param(
            CONFIG_MAP, {"metadata": {"labels": {"a b": "1"}}}, 'metadata.labels: Invalid value: "a b"', id="a label"
        ),
        pytest.param(
            CONFIG_MAP,
            {"metadata": {"labels": {"a": "x" * 64}}},
            "must be no more than 63 bytes",
            id="a label's value that is too long",
        ),
        pytest.param(
            CONFIG_MAP,
            {"metadata": {"annotations": {"a": "x" * (256 * 1024)}}},
            "may not be more than 262144 bytes",
            id="annotations that are too large",
        ),
        pytest.param(
            CONFIG_MAP,
            {"metadata": {"finalizers": ["mine"]}},
            "name is neither a standard finalizer name nor is it fully qualified",
            id="a finalizer of nobody's",
        ),
        pytest.param(
            CONFIG_MAP,
            {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}]}},
            "metadata.ownerReferences[0].uid: Required value",
            id="an owner without a uid",
        ),
        pytest.param(
            CONFIG_MAP, {"data": {"a": "x" * 2**20 + "y"}}, "may not be more than 1048576 bytes", id="much data"
        ),
    ],
)
def test_what_makes_no_sense(api: Api, namespace: str, kind: Kind, change: Object, says: str) -> None:
    """422, with the cause and its field."""
    refused = api.create(kind, _merged(make(kind, "a", namespace), change), namespace, code=422)
    assert says in refused["message"]
    assert refused["details"]["causes"]


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        pytest.param(
            KSERVICE,
            {"spec": {"template": {"metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "-1"}}}}},
            "autoscaling.knative.dev/min-scale: '-1' is not allowed",
            id="an annotation out of range",
        ),
        pytest.param(
            KSERVICE,
            {"metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1"}}},
            'must be put under "spec.template.metadata.annotations"',
            id="an annotation in the wrong place",
        ),
        pytest.param(
            KSERVICE,
            {"spec": {"template": {"metadata": {"annotations": {"torpor.dev/session-affinity": "X-Mine"}}}}},
            "spec.template.metadata.annotations[torpor.dev/session-affinity]: 'X-Mine' is not allowed; use header=NAME",
            id="sessions recognised by nothing",
        ),
        pytest.param(
            KSERVICE,
            {"metadata": {"annotations": {"torpor.dev/mirror": "a-00001"}}},
            "metadata.annotations[torpor.dev/mirror]: 'a-00001' is not allowed; use REVISION=PERCENT",
            id="a mirror without a share",
        ),
        pytest.param(
            INFERENCE_SERVICE,
            {"metadata": {"annotations": {"torpor.dev/answer-while-asleep": "everything"}}},
            "metadata.annotations[torpor.dev/answer-while-asleep]: 'everything' is not allowed",
            id="an answer that is not given",
        ),
        pytest.param(
            KSERVICE,
            {"spec": {"traffic": [{"percent": 50, "latestRevision": True}]}},
            "the percents must sum to 100",
            id="half of the traffic",
        ),
        pytest.param(
            KSERVICE,
            {"spec": {"template": {"spec": {"hostNetwork": True}}}},
            "must not set the field(s): spec.template.spec.hostNetwork",
            id="a field that is not a revision's",
        ),
        pytest.param(
            INFERENCE_SERVICE,
            {"spec": {"predictor": {"model": None}}},
            "spec.predictor: 'none of them' is not allowed; use one of model, containers, huggingface",
            id="a predictor of nothing",
        ),
        pytest.param(
            INFERENCE_SERVICE,
            {"spec": {"predictor": {"minReplicas": 3, "maxReplicas": 2}}},
            "spec.predictor.minReplicas: 3 is not allowed; use at most maxReplicas, which is 2",
            id="more at least than at most",
        ),
        pytest.param(
            INFERENCE_SERVICE,
            {"spec": {"predictor": {"model": {"storageUri": "ftp://host/iris"}}}},
            "spec.predictor.model.storageUri: 'ftp://host/iris' is not allowed; use file://, pvc://, s3://",
            id="a place that nothing reads",
        ),
        pytest.param(
            INFERENCE_SERVICE,
            {"metadata": {"name": "a" * 54}},
            "is not allowed; use at most 53 lower-case letters",
            id="a name that is too long",
        ),
        pytest.param(
            REVISION,
            {},
            "a Revision is made by its Configuration",
            id="a Revision that somebody made",
        ),
        pytest.param(
            REVISION,
            {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1"}]}},
            "a Revision is made by its Configuration",
            id="a Revision of something else",
        ),
        pytest.param(
            KSERVICE,
            {"spec": {"template": {"metadata": {"name": "a-1."}}}},
            "spec.template.metadata.name: 'a-1.' is not allowed; use at most 63",
            id="a name of a revision",
        ),
    ],
)
def test_what_a_webhook_would_refuse(api: Api, namespace: str, kind: Kind, change: Object, says: str) -> None:
    """400, in the name of the webhook that says so on a cluster."""
    obj = _merged(make(kind, "a", namespace), change)
    if change == {"spec": {"predictor": {"model": None}}}:
        obj["spec"]["predictor"] = {}
    refused = api.create(kind, obj, namespace, code=400)
    assert refused["message"].startswith("admission webhook")
    assert says in refused["message"]


@pytest.mark.parametrize("kind", [KSERVICE, CONFIGURATION, REVISION, ROUTE], ids=lambda kind: kind.kind)
@pytest.mark.parametrize("name", ["a" * 64, "a.b", "1abc"], ids=["too long", "with a point", "a digit first"])
def test_names_that_are_no_host_names(api: Api, namespace: str, kind: Kind, name: str) -> None:
    """They become names of hosts and of core Services: a DNS-1035 label."""
    refused = api.create(kind, make(kind, name, namespace), namespace, code=422)
    assert [cause["field"] for cause in refused["details"]["causes"]] == ["metadata.name"]


@pytest.mark.parametrize(
    "model",
    [
        pytest.param({"modelFormat": {"name": "tensorflow"}}, id="a format that nothing here serves"),
        pytest.param({"runtime": "theirs"}, id="a runtime that is not here"),
        pytest.param({"storageUri": "gs://models/iris"}, id="a place that KServe reads"),
        pytest.param({"storageUri": None}, id="no place"),
    ],
)
def test_what_kserve_serves_is_accepted(api: Api, namespace: str, model: Object) -> None:
    """The manifest is right; that it is not served here is told in its status."""
    obj = _merged(make(INFERENCE_SERVICE, "a", namespace), {"spec": {"predictor": {"model": model}}})
    api.create(INFERENCE_SERVICE, obj, namespace)


# --- bodies ----------------------------------------------------------------------------------------------------


def test_a_body_that_is_too_large(api: Api, namespace: str) -> None:
    """413, whether it says so beforehand or not; the server goes on."""
    body = b'{"data":{"a":"' + b"x" * (3 * 2**20) + b'"}}'
    refused = api.create(CONFIG_MAP, body, namespace, code=413)
    assert refused["reason"] == "RequestEntityTooLarge"
    parts = (body[start : start + 65536] for start in range(0, len(body), 65536))
    answer = api.http.post(CONFIG_MAP.path(namespace), content=parts, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_a_body_that_is_too_deep(api: Api, namespace: str, depth: int) -> None:
    """Refused; neither a parser nor a check is brought down by it."""
    objects, lists = b'{"a":' * depth + b"1" + b"}" * depth, b"[" * depth + b"]" * depth
    for type_ in ("application/json", "application/yaml"):
        api.create(CONFIG_MAP, objects, namespace, code=422 if depth == 1_000 else 400, type_=type_)
        api.create(CONFIG_MAP, lists, namespace, code=400, type_=type_)
    status = b'{"status":' + objects + b"}"
    api.create(KSERVICE, make(KSERVICE, "a", namespace), namespace)
    api.patch(KSERVICE, "a", status, "merge", namespace, sub="status", code=400)


@pytest.mark.parametrize(
    ("type_", "body"),
    [
        pytest.param("application/json", b"{", id="JSON that ends early"),
        pytest.param("application/json", b"{'a': 1}", id="JSON in Python's quotes"),
        pytest.param("application/json", b'{"a": NaN}', id="a number that JSON does not have"),
        pytest.param("application/json", b"\xff\xfe", id="no UTF-8"),
        pytest.param("application/json", b"", id="nothing"),
        pytest.param("application/yaml", b"a: [1, }", id="YAML that ends early"),
        pytest.param(
            "application/yaml", b"a: !!python/object/apply:os.system [id]", id="YAML that would run something"
        ),
        pytest.param("application/yaml", b"a: .nan", id="YAML's not a number"),
        pytest.param("application/yaml", b"? [a]\n: 1", id="a list as a key"),
        pytest.param("application/yaml", b"\x00", id="a control character"),
        pytest.param(
            "application/yaml",
            b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + b"".join(
                b"%c: &%c [%s]\n" % (98 + index, 98 + index, b",".join([b"*%c" % (97 + index)] * 10))
                for index in range(8)
            ),
            id="ten lines that stand for a billion",
        ),
    ],
)
def test_a_body_that_cannot_be_read(api: Api, namespace: str, type_: str, body: bytes) -> None:
    """400, soon."""
    assert api.create(CONFIG_MAP, body, namespace, code=400, type_=type_)["reason"] == "BadRequest"


def test_a_body_in_yaml(api: Api, namespace: str) -> None:
    """With a time, and a word that other versions of YAML read as a truth."""
    text = b'metadata: {name: a}\ndata:\n  when: 2026-01-01\n  at: "10"\n'
    assert api.create(CONFIG_MAP, text, namespace, type_="application/yaml")["data"] == {
        "when": "2026-01-01",
        "at": "10",
    }


@pytest.mark.parametrize("type_", ["text/plain", "application/xml", "multipart/form-data"])
def test_a_body_of_another_type(api: Api, namespace: str, type_: str) -> None:
    """415, with the types that there are."""
    refused = api.create(CONFIG_MAP, b"x", namespace, code=415, type_=type_)
    assert "application/json" in refused["message"]


def test_a_form_of_answer_that_is_not_served(api: Api) -> None:
    """406."""
    answer = api.http.get(CONFIG_MAP.path("default"), headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["reason"]) == (406, "NotAcceptable")

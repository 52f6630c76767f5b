"""Lists: by labels, by fields, page by page, in all namespaces."""

from __future__ import annotations

import pytest

from tests.local.apiserver.conftest import HISTORY
from tests.local.apiserver.objects import box, make
from tests.local.apiserver.server import Api
from torpor.spec.kinds import CONFIG_MAP, EVENT, LEASE, NAMESPACE, POD, SECRET, Kind


@pytest.fixture
def boxes(api: Api, namespace: str) -> str:
    """A namespace with five ConfigMaps, of which two are blue."""
    for index, colour in enumerate(("red", "blue", "red", "blue", "green")):
        api.create(CONFIG_MAP, box(f"b{index}", namespace, labels={"colour": colour}), namespace)
    return namespace


def test_by_labels(api: Api, boxes: str) -> None:
    """Set-based conditions included, which have blanks and brackets in the URL."""
    assert api.names(CONFIG_MAP, boxes, labelSelector="colour=blue") == ["b1", "b3"]
    assert api.names(CONFIG_MAP, boxes, labelSelector="colour notin (blue, red)") == ["b4"]
    refused = api.get(CONFIG_MAP, "", boxes, labelSelector="colour=(", code=400)
    assert "unable to parse requirement" in refused["message"]


def test_by_fields(api: Api, boxes: str) -> None:
    """Name and namespace of every kind; what else, each kind says."""
    assert api.names(CONFIG_MAP, boxes, fieldSelector="metadata.name=b2") == ["b2"]
    assert "b2" in api.names(CONFIG_MAP, fieldSelector=f"metadata.namespace={boxes},metadata.name!=b3")
    refused = api.get(CONFIG_MAP, "", boxes, fieldSelector="data.a=1", code=400)
    assert refused["message"] == "field label not supported: data.a"


@pytest.mark.parametrize(
    ("kind", "selector"),
    [
        pytest.param(POD, "status.phase=Pending,spec.nodeName=", id="pods"),
        pytest.param(EVENT, "involvedObject.kind=Pod,reason=R", id="events"),
        pytest.param(SECRET, "type=Opaque", id="secrets"),
    ],
)
def test_by_fields_of_the_kind(api: Api, namespace: str, kind: Kind, selector: str) -> None:
    """Those that kubectl and controllers ask by."""
    api.create(kind, make(kind, "a", namespace), namespace)
    assert api.names(kind, namespace, fieldSelector=selector) == ["a"]
    assert api.names(kind, namespace, fieldSelector=selector.replace("=", "!=", 1)) == []


def test_in_all_namespaces(api: Api, boxes: str) -> None:
    """Ordered by namespace and name."""
    found = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in api.get(CONFIG_MAP)["items"]]
    assert found == sorted(found)
    assert (boxes, "b0") in found


def test_page_by_page(api: Api, boxes: str) -> None:
    """All pages together are the list, and have the version of the first."""
    whole = api.get(CONFIG_MAP, "", boxes)
    first = api.get(CONFIG_MAP, "", boxes, limit=2)
    assert first["metadata"]["remainingItemCount"] == 3
    api.create(CONFIG_MAP, box("a-late-one", boxes), boxes)
    pages = [first]
    while token := pages[-1]["metadata"].get("continue"):
        pages.append(api.get(CONFIG_MAP, "", boxes, limit=2, **{"continue": token}))
    assert [item for page in pages for item in page["items"]] == whole["items"]
    assert {page["metadata"]["resourceVersion"] for page in pages} == {whole["metadata"]["resourceVersion"]}


def test_pages_of_what_a_selector_fits(api: Api, boxes: str) -> None:
    """A page is full of what was asked for."""
    page = api.get(CONFIG_MAP, "", boxes, limit=1, labelSelector="colour=blue")
    assert [item["metadata"]["name"] for item in page["items"]] == ["b1"]
    token = page["metadata"]["continue"]
    assert api.names(CONFIG_MAP, boxes, labelSelector="colour=blue", **{"continue": token}) == ["b3"]


def test_a_page_that_comes_too_late(api: Api, namespace: str) -> None:
    """410: nobody remembers what the list was; the client begins anew."""
    for name in ("a", "b"):
        api.create(LEASE, make(LEASE, name, namespace), namespace)
    token = api.get(LEASE, "", namespace, limit=1)["metadata"]["continue"]
    for index in range(HISTORY + 1):
        api.patch(LEASE, "a", {"spec": {"leaseTransitions": index}}, "merge", namespace)
    refused = api.get(LEASE, "", namespace, limit=1, code=410, **{"continue": token})
    assert refused["reason"] == "Expired"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param({"continue": "x"}, 400, id="a token that is none"),
        pytest.param({"limit": "x"}, 400, id="a limit that is none"),
        pytest.param({"limit": "-1"}, 400, id="a limit below zero"),
        pytest.param({"resourceVersion": "x"}, 400, id="a version that is none"),
        pytest.param({"resourceVersion": "999999999"}, 504, id="a version of the future"),
    ],
)
def test_questions_that_are_none(api: Api, boxes: str, query: dict[str, str], code: int) -> None:
    """Refused, and not answered with something else."""
    api.get(CONFIG_MAP, "", boxes, code=code, **query)


def test_a_version_of_the_past_gets_what_is_now(api: Api, boxes: str) -> None:
    """At least as new as asked for."""
    first = api.get(CONFIG_MAP, "", boxes)
    api.create(CONFIG_MAP, box("new", boxes), boxes)
    assert "new" in api.names(CONFIG_MAP, boxes, resourceVersion=first["metadata"]["resourceVersion"])
    assert "new" in api.names(CONFIG_MAP, boxes, resourceVersion="0")


def test_namespaces_are_listed_without_one(api: Api, namespace: str) -> None:
    """A kind of the whole cluster has no namespaces in its path."""
    assert {"default", "kube-system", namespace} <= set(api.names(NAMESPACE))
    api.request("GET", f"/api/v1/namespaces/{namespace}/namespaces", code=404)

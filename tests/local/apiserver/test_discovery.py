"""What the server says that it serves is what it serves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.apiserver.objects import BODIES
from tests.local.apiserver.server import Api
from torpor.local.apiserver.kinds.resource import Resource
from torpor.local.apiserver.kinds.table import RESOURCES
from torpor.spec.kinds import Kind

ALL_AT_ONCE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def each_resource() -> list[Any]:
    return [pytest.param(resource, id=f"{resource.kind.plural}.{resource.kind.group}") for resource in RESOURCES]


@pytest.mark.parametrize("resource", each_resource())
def test_every_kind_is_listed_where_it_lives(api: Api, resource: Resource) -> None:
    """With its names, verbs and subresources: kubectl asks for nothing that is not here."""
    kind = resource.kind
    listed = {each["name"]: each for each in api.request("GET", kind.base)["resources"]}
    entry = listed[kind.plural]
    assert (entry["kind"], entry["namespaced"], entry["singularName"]) == (
        kind.kind,
        kind.namespaced,
        kind.kind.lower(),
    )
    assert tuple(entry.get("shortNames", ())) == resource.short_names
    assert set(entry["verbs"]) == {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    for sub in resource.subresources:
        assert f"{kind.plural}/{sub}" in listed
    assert api.get(kind)["kind"] == f"{kind.kind}List"


@pytest.mark.parametrize("resource", each_resource())
def test_every_kind_is_described(api: Api, resource: Resource) -> None:
    """OpenAPI v3 has its schema, by group, version and kind, and every reference in the document leads somewhere."""
    kind = resource.kind
    place = f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"
    url = api.request("GET", "/openapi/v3")["paths"][place]["serverRelativeURL"]
    document = api.request("GET", url)
    schemas = document["components"]["schemas"]
    wanted = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    assert [name for name, each in schemas.items() if wanted in each.get("x-kubernetes-group-version-kind", ())]
    assert references(document) <= {f"#/components/schemas/{name}" for name in schemas}
    path = kind.path("{namespace}" if kind.namespaced else None, "{name}")
    parameters = {each["name"] for each in document["paths"][path]["patch"]["parameters"]}
    assert "fieldValidation" in parameters  # kubectl looks here before it sends that


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(each) for each in value.values()))
    return set().union(*(references(each) for each in value)) if isinstance(value, list) else set()


def test_the_older_document_has_every_kind_too(api: Api) -> None:
    """OpenAPI v2, which kubectl reads where it cannot read the newer."""
    document = api.request("GET", "/openapi/v2")
    found = {
        (each["group"], each["version"], each["kind"])
        for definition in document["definitions"].values()
        for each in definition.get("x-kubernetes-group-version-kind", ())
    }
    assert {(r.kind.group, r.kind.version, r.kind.kind) for r in RESOURCES} <= found
    names = {f"#/definitions/{name}" for name in document["definitions"]}
    assert references(document) <= names


def test_everything_at_once(api: Api) -> None:
    """The aggregated form, which new clients ask for, lists the same as the plain one."""
    aggregated: set[tuple[str, str, str, str]] = set()
    for path in ("/api", "/apis"):
        answer = api.http.get(path, headers={"Accept": ALL_AT_ONCE})
        assert answer.headers["content-type"] == ALL_AT_ONCE
        aggregated |= {
            (item["metadata"].get("name", ""), version["version"], each["resource"], each["responseKind"]["kind"])
            for item in answer.json()["items"]
            for version in item["versions"]
            for each in version["resources"]
        }
    assert aggregated == {(r.kind.group, r.kind.version, r.kind.plural, r.kind.kind) for r in RESOURCES}


def test_groups(api: Api) -> None:
    """Each group has its versions, in the list and by itself."""
    assert api.request("GET", "/api")["versions"] == ["v1"]
    groups = {each["name"]: each for each in api.request("GET", "/apis")["groups"]}
    assert set(groups) == {resource.kind.group for resource in RESOURCES if resource.kind.group}
    for name, group in groups.items():
        assert api.request("GET", f"/apis/{name}")["preferredVersion"] == group["preferredVersion"]


@pytest.mark.parametrize("path", ["/apis/nothing", "/apis/apps/v9", "/api/v9", "/openapi/v3/apis/apps/v9", "/x", "/"])
def test_what_is_not_served_is_not_found(api: Api, path: str) -> None:
    """With a Status, as everything that is refused."""
    assert api.request("GET", path, code=404)["reason"] == "NotFound"


def test_version(api: Api) -> None:
    """A release that kubectl can compare with its own."""
    version = api.request("GET", "/version")
    assert (version["major"], version["gitVersion"][:2]) == ("1", "v1")


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.kind) for kind in BODIES])
def test_there_is_an_object_of_each_kind_for_the_other_tests(kind: Kind) -> None:
    """A kind that is new in the table is new in the tests as well."""
    assert kind in {resource.kind for resource in RESOURCES}
    assert len(BODIES) == len(RESOURCES)

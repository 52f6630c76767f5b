"""OpenAPI documents: kubectl explains fields with them, merges by them, and looks there for `fieldValidation`."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import orjson

from torpor.local.apiserver.api.discovery import MINOR, groups_and_versions
from torpor.local.apiserver.kinds.resource import Resource
from torpor.local.apiserver.kinds.table import RESOURCES
from torpor.local.apiserver.schema import definitions
from torpor.local.apiserver.schema.node import REFERENCE
from torpor.local.apiserver.status import no_such_path
from torpor.spec.kinds import Kind, Object

PROTOBUF_ASKED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
PROTOBUF = PROTOBUF_ASKED.replace("@", ".")  # what clients ask for is no media type; Kubernetes answers with this

_INFO = {"title": "Torpor's Kubernetes API", "version": f"v1.{MINOR}.0"}
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_STRATEGIC = "application/strategic-merge-patch+json"
_WRITES = ("post", "put", "patch")
_WRITE_PARAMETERS = {
    "dryRun": "string",
    "fieldManager": "string",
    "fieldValidation": "string",
    "force": "boolean",
}
_LIST_PARAMETERS = {
    "labelSelector": "string",
    "fieldSelector": "string",
    "limit": "integer",
    "continue": "string",
    "resourceVersion": "string",
    "timeoutSeconds": "integer",
    "watch": "boolean",
}


@functools.cache
def index() -> bytes:
    """/openapi/v3: where the document of each group version is."""
    paths = {}
    for group, versions in groups_and_versions().items():
        for version in versions:
            name = f"apis/{group}/{version}" if group else f"api/{version}"
            digest = hashlib.sha256(document_v3(group, version)).hexdigest().upper()
            paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}
    return orjson.dumps({"paths": paths})


@functools.cache
def document_v3(group: str, version: str) -> bytes:
    """/openapi/v3/apis/GROUP/VERSION; raises a 404 for one that is not served."""
    served = [each for each in RESOURCES if (each.kind.group, each.kind.version) == (group, version)]
    if not served:
        raise no_such_path()
    document = {
        "openapi": "3.0.0",
        "info": _INFO,
        "paths": _paths(served, _operation_v3),
        "components": {"schemas": _schemas(served, _schema_v3)},
    }
    return orjson.dumps(document)


@functools.cache
def document_v2() -> bytes:
    """/openapi/v2: everything in one, for clients from before 1.27."""
    document = {
        "swagger": "2.0",
        "info": _INFO,
        "paths": _paths(list(RESOURCES), _operation_v2),
        "definitions": _schemas(list(RESOURCES), _schema_v2),
    }
    return orjson.dumps(document)


def empty_v2() -> bytes:
    """/openapi/v2 as protocol buffers: the version, title and version of the API, and no definitions.

    kubectl lets pass what is not described there. Nothing gets by unseen: it asks for strict validation when it writes.
    """
    info = _text(1, str(_INFO["title"])) + _text(2, str(_INFO["version"]))
    return _text(1, "2.0") + _bytes(2, info)


def _text(number: int, text: str) -> bytes:
    return _bytes(number, text.encode())


def _bytes(number: int, content: bytes) -> bytes:
    """Return a field of a message; both its number and its length fit into seven bits."""
    return bytes([number << 3 | 2, len(content)]) + content


Operation = Callable[[Resource, str, str], Object]


def _paths(served: list[Resource], operation: Operation) -> Object:
    paths: Object = {}
    for resource in served:
        kind = resource.kind
        collection = kind.path("{namespace}" if kind.namespaced else None)
        name = kind.path("{namespace}" if kind.namespaced else None, "{name}")
        if kind.namespaced:
            paths[kind.path()] = {"get": operation(resource, "list", kind.path())}
        paths[collection] = {
            "get": operation(resource, "list", collection),
            "post": operation(resource, "post", collection),
        }
        paths[name] = {each: operation(resource, each, name) for each in ("get", "put", "patch", "delete")}
        for sub in resource.subresources:
            path = f"{name}/{sub}"
            paths[path] = {each: operation(resource, each, path) for each in ("get", "put", "patch")}
    return paths


def _common(resource: Resource, action: str, path: str) -> Object:
    kind = resource.kind
    words = [word.strip("{}").title() for word in path.split("/") if word]
    return {
        "operationId": action + "".join(word.replace(".", "").replace("-", "") for word in words),
        "tags": [f"{kind.group or 'core'}_{kind.version}"],
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(kind),
    }


def _query(action: str) -> dict[str, str]:
    if action == "list":
        return _LIST_PARAMETERS
    if action not in _WRITES:
        return {}
    return {key: value for key, value in _WRITE_PARAMETERS.items() if action == "patch" or key != "force"}


def _media_types(resource: Resource, action: str) -> tuple[str, ...]:
    """Say what may be sent. By this kubectl chooses how to patch: custom resources have no strategic merge."""
    if action == "patch":
        return (*_PATCHES, _STRATEGIC) if resource.built_in else _PATCHES
    return ("application/json", "application/yaml")


def _in_path(path: str) -> list[str]:
    return [name for name in ("namespace", "name") if f"{{{name}}}" in path]


def _operation_v3(resource: Resource, action: str, path: str) -> Object:
    body = {"schema": {"$ref": REFERENCE + resource.schema}}
    operation = _common(resource, action, path)
    operation["parameters"] = [
        *({"name": each, "in": "path", "required": True, "schema": {"type": "string"}} for each in _in_path(path)),
        *({"name": each, "in": "query", "schema": {"type": type_}} for each, type_ in _query(action).items()),
    ]
    if action in _WRITES:
        # A patch is not the object itself.
        sent: Object = {"schema": {"type": "object"}} if action == "patch" else body
        operation["requestBody"] = {"content": dict.fromkeys(_media_types(resource, action), sent), "required": True}
    content: Object = {} if action == "list" else {"content": {"application/json": body}}
    operation["responses"] = {"200": {"description": "OK", **content}}
    return operation


def _operation_v2(resource: Resource, action: str, path: str) -> Object:
    body = {"$ref": "#/definitions/" + resource.schema}
    operation = _common(resource, action, path)
    operation["produces"] = ["application/json"]
    operation["parameters"] = [
        *({"name": each, "in": "path", "required": True, "type": "string"} for each in _in_path(path)),
        *({"name": each, "in": "query", "type": type_} for each, type_ in _query(action).items()),
    ]
    if action in _WRITES:
        sent: Object = {"type": "object"} if action == "patch" else body
        operation["parameters"].append({"name": "body", "in": "body", "required": True, "schema": sent})
        operation["consumes"] = list(_media_types(resource, action))
    operation["responses"] = {"200": {"description": "OK", **({} if action == "list" else {"schema": body})}}
    return operation


def _schemas(served: list[Resource], write: Callable[[Any], Any]) -> Object:
    """Return the definitions that these kinds need, and what each of them says which kind it is."""
    found: Object = {}
    waiting = [resource.schema for resource in served]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = write(definitions()[name])
            waiting += _references(definitions()[name])
    for resource in served:
        found[resource.schema] = {**found[resource.schema], "x-kubernetes-group-version-kind": [_gvk(resource.kind)]}
    return dict(sorted(found.items()))


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for each in schema for name in _references(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].removeprefix(REFERENCE)] if isinstance(schema.get("$ref"), str) else []
    return own + [name for each in schema.values() for name in _references(each)]


def _schema_v3(schema: Any) -> Any:
    """A reference with words of its own beside it is written as `allOf`, as OpenAPI 3.0 wants it."""
    if isinstance(schema, list):
        return [_schema_v3(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema and len(schema) > 1:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return {**rest, "allOf": [{"$ref": schema["$ref"]}]}
    if schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-quantity"):
        rest = {key: value for key, value in schema.items() if key not in {"type", "x-kubernetes-quantity"}}
        return {**rest, "oneOf": [{"type": "integer"}, {"type": "number"}, {"type": "string"}]}
    return {key: _schema_v3(value) for key, value in schema.items()}


def _schema_v2(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_schema_v2(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("$ref"), str):
        return {**schema, "$ref": schema["$ref"].replace(REFERENCE, "#/definitions/")}
    if schema.get("x-kubernetes-int-or-string"):
        return {**schema, "type": "string", "format": "int-or-string"}
    return {key: _schema_v2(value) for key, value in schema.items()}


def _gvk(kind: Kind) -> Object:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}

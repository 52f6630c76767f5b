"""Objects as the client wants to see them: whole, their metadata, or rows of a table."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import orjson

from torpor.local.apiserver.api.media import Accepted
from torpor.local.apiserver.kinds.resource import Resource
from torpor.local.apiserver.store import Stored
from torpor.spec.kinds import Object


def render_object(resource: Resource, stored: Stored, accepted: Accepted, include: str) -> bytes:
    """Return one object."""
    if accepted.form == "object":
        return stored.body
    if accepted.form == "metadata":
        return orjson.dumps(_metadata(stored.object(), accepted.version))
    metadata = {"resourceVersion": str(stored.version)}
    return orjson.dumps(_table(resource, [stored.object()], metadata, accepted.version, include))


def render_list(
    resource: Resource, items: Sequence[Stored], metadata: Object, accepted: Accepted, include: str
) -> bytes:
    """Return a list; its items are the bytes that the store holds."""
    kind = resource.kind
    if accepted.form == "object":
        head = orjson.dumps({"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata})
        return head[:-1] + b',"items":[' + b",".join(item.body for item in items) + b"]}"
    objects = [item.object() for item in items]
    if accepted.form == "table":
        return orjson.dumps(_table(resource, objects, metadata, accepted.version, include))
    return orjson.dumps(
        {
            "kind": "PartialObjectMetadataList",
            "apiVersion": f"meta.k8s.io/{accepted.version}",
            "metadata": metadata,
            "items": [_metadata(obj, accepted.version) for obj in objects],
        }
    )


class EventLines:
    """Watch events as lines, in the form that one client wants."""

    def __init__(self, resource: Resource, accepted: Accepted, include: str) -> None:
        self._resource = resource
        self._accepted = accepted
        self._include = include
        self._columns_sent = False

    def change(self, type_: str, stored: Stored) -> bytes:
        body = stored.body
        if self._accepted.form == "metadata":
            body = orjson.dumps(_metadata(stored.object(), self._accepted.version))
        elif self._accepted.form == "table":
            body = orjson.dumps(self._row(stored.object(), str(stored.version)))
        return b'{"type":"' + type_.encode() + b'","object":' + body + b"}\n"

    def bookmark(self, version: int, *, initial_end: bool = False) -> bytes:
        metadata: Object = {"resourceVersion": str(version), "creationTimestamp": None}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        kind = self._resource.kind
        obj: Object = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
        if self._accepted.form == "table":
            # The object of a row tells clients where they are; the row itself is for nobody's eyes.
            obj = self._row(obj, str(version))
        elif self._accepted.form == "metadata":
            obj = _metadata(obj, self._accepted.version)
        return orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"

    def error(self, status: Object) -> bytes:
        return orjson.dumps({"type": "ERROR", "object": status}) + b"\n"

    def _row(self, obj: Object, version: str) -> Object:
        table = _table(self._resource, [obj], {"resourceVersion": version}, self._accepted.version, self._include)
        if self._columns_sent:
            table["columnDefinitions"] = None
        self._columns_sent = True
        return table


def _metadata(obj: Object, version: str) -> Object:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": obj["metadata"],
    }


def _table(resource: Resource, objects: list[Object], metadata: Object, version: str, include: str) -> Object:
    now = datetime.datetime.now(datetime.UTC)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata,
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": column.format,
                "description": column.description,
                "priority": 1 if column.wide else 0,
            }
            for column in resource.columns
        ],
        "rows": [
            {
                "cells": [column.value(obj, now) for column in resource.columns],
                **_row_object(obj, version, include),
            }
            for obj in objects
        ],
    }


def _row_object(obj: Object, version: str, include: str) -> dict[str, Any]:
    match include:
        case "None":
            return {}
        case "Object":
            return {"object": obj}
    return {"object": _metadata(obj, version)}

"""The verbs on paths: from a request to the registry and back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from torpor.local.apiserver.api import body
from torpor.local.apiserver.api.answers import Streamed, answer
from torpor.local.apiserver.api.media import accepted
from torpor.local.apiserver.api.render import EventLines, render_list, render_object
from torpor.local.apiserver.api.request import Target, dry_run, flag, number, selector, write_options
from torpor.local.apiserver.api.watch import Closing, WatchOptions, watch
from torpor.local.apiserver.kinds.resource import Resource
from torpor.local.apiserver.patch.merge import merge, operate
from torpor.local.apiserver.patch.strategic import strategic_merge
from torpor.local.apiserver.registry.deletion import Deletion
from torpor.local.apiserver.registry.options import DeleteOptions, Propagation, WriteOptions
from torpor.local.apiserver.registry.registry import Change, Registry
from torpor.local.apiserver.registry.scale import Scaling
from torpor.local.apiserver.status import (
    ApiError,
    bad_request,
    expired,
    no_such_path,
    not_allowed,
    success,
    unsupported_media,
)
from torpor.local.apiserver.store import Store, Stored
from torpor.spec.kinds import Object

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

Handler = Callable[[Request, Target], Awaitable[Response]]


class Resources:
    """Collections, objects, and their `status` and `scale`."""

    def __init__(
        self, store: Store, registry: Registry, deletion: Deletion, scaling: Scaling, closing: Closing
    ) -> None:
        self._store = store
        self._registry = registry
        self._deletion = deletion
        self._scaling = scaling
        self._closing = closing
        self._collection: dict[str, Handler] = {
            "GET": self._list,
            "POST": self._create,
            "DELETE": self._delete_collection,
        }
        self._object: dict[str, Handler] = {
            "GET": self._get,
            "PUT": self._put,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }

    async def handle(self, request: Request, target: Target) -> Response:
        """Answer one request; raises an ApiError for all that is refused."""
        method = "GET" if request.method == "HEAD" else request.method
        if target.rest or (target.sub and target.sub not in target.resource.subresources):
            raise no_such_path()
        handlers = self._object if target.name else self._collection
        if method not in handlers or (target.sub and method == "DELETE"):
            raise not_allowed()
        return await handlers[method](request, target)

    # --- reading -----------------------------------------------------------------------------------------------

    async def _get(self, request: Request, target: Target) -> Response:
        if target.watch or flag(request.query_params, "watch"):
            return self._watch(request, target)
        stored = self._registry.get(target.resource, target.namespace or "", target.name)
        if target.sub == "scale":
            return answer(self._scaling.read(stored))
        return self._rendered(request, target, stored)

    async def _list(self, request: Request, target: Target) -> Response:
        query, resource = request.query_params, target.resource
        if target.watch or flag(query, "watch"):
            return self._watch(request, target)
        form = accepted(request.headers.get("accept", ""))
        wanted = selector(query, resource)
        items = [
            stored
            for stored in self._store.items(resource.kind, target.namespace)
            if wanted.matches(stored.traits.labels, stored.traits.fields)
        ]
        self._check_version(query)
        items, metadata = self._page(resource, items, query)
        return answer(render_list(resource, items, metadata, form, query.get("includeObject", "")))

    def _page(self, resource: Resource, items: list[Stored], query: QueryParams) -> tuple[list[Stored], Object]:
        """Return one page, and the metadata of the list.

        All pages carry the version of the first: a watch from there tells whatever changed while they were read.
        """
        limit, token = number(query, "limit"), query.get("continue", "")
        version = self._store.version
        if token:
            version, after = _read_token(token)
            if version < self._store.forgotten(resource.kind):
                raise expired("The provided continue parameter is too old to display a consistent list result.")
            items = [stored for stored in items if (stored.namespace, stored.name) > after]
        metadata: Object = {"resourceVersion": str(version)}
        if limit and len(items) > limit:
            last = items[limit - 1]
            metadata["continue"] = _write_token(version, (last.namespace, last.name))
            metadata["remainingItemCount"] = len(items) - limit
            items = items[:limit]
        return items, metadata

    def _check_version(self, query: QueryParams) -> None:
        """A client that has seen more than we know of speaks to another past: it must begin anew."""
        asked = number(query, "resourceVersion") or 0
        if asked > self._store.version:
            text = f"Too large resource version: {asked}, current: {self._store.version}"
            raise ApiError(504, "Timeout", text, retry_after_s=1)

    def _watch(self, request: Request, target: Target) -> Response:
        query, resource = request.query_params, target.resource
        form = accepted(request.headers.get("accept", ""))
        version = number(query, "resourceVersion") or None
        initial = flag(query, "sendInitialEvents")
        if version is not None and version > self._store.version:
            # Only a list helps, and only this answer makes every client do one.
            raise expired(f"too large resource version: {version}, current: {self._store.version}")
        if version is not None and version < self._store.forgotten(resource.kind) and not initial:
            raise expired(f"too old resource version: {version} ({self._store.forgotten(resource.kind)})")
        options = WatchOptions(
            resource=resource,
            namespace=target.namespace,
            selector=selector(query, resource, target.name),
            version=None if initial else version,
            timeout_s=number(query, "timeoutSeconds"),
            bookmarks=flag(query, "allowWatchBookmarks"),
            initial_end=initial and flag(query, "allowWatchBookmarks"),
        )
        lines = EventLines(resource, form, query.get("includeObject", ""))
        return Streamed(watch(self._store, options, lines, self._closing), "application/json;stream=watch")

    # --- writing -----------------------------------------------------------------------------------------------

    async def _create(self, request: Request, target: Target) -> Response:
        options = write_options(request)
        obj = await body.read_object(request)
        created = self._registry.create(target.resource, _namespace(target), obj, options)
        return self._written(request, target, created, options, 201)

    async def _put(self, request: Request, target: Target) -> Response:
        options = write_options(request)
        obj = await body.read_object(request)
        namespace = target.namespace or ""
        if target.sub == "scale":
            return answer(self._scaling.change(target.resource, namespace, target.name, lambda _: obj, options))
        updated = self._registry.update(target.resource, namespace, target.name, target.sub, obj, options)
        return self._written(request, target, updated, options)

    async def _patch(self, request: Request, target: Target) -> Response:
        resource, namespace = target.resource, target.namespace or ""
        options = write_options(request)
        type_ = body.media_type(request)
        raw = await body.read(request)
        if type_ == APPLY_PATCH and target.sub != "scale":
            return self._apply(request, target, raw, options)
        change = _change(resource, target.sub, type_, raw)
        if target.sub == "scale":
            return answer(self._scaling.change(resource, namespace, target.name, change, options))
        patched = self._registry.change(resource, namespace, target.name, target.sub, change, options)
        return self._written(request, target, patched, options)

    def _apply(self, request: Request, target: Target, raw: bytes, options: WriteOptions) -> Response:
        if not request.query_params.get("fieldManager"):
            raise bad_request("fieldManager is required for apply patch")
        existed = self._store.get(target.resource.kind, target.namespace or "", target.name) is not None
        config = body.parse_yaml(raw)
        applied = self._registry.apply(
            target.resource, target.namespace or "", target.name, target.sub, config, options
        )
        return self._written(request, target, applied, options, 200 if existed else 201)

    def _written(
        self, request: Request, target: Target, obj: Object, options: WriteOptions, code: int = 200
    ) -> Response:
        form = accepted(request.headers.get("accept", ""))
        if form.form == "object":
            return answer(obj, code, options.warnings)
        stored = self._store.sketch(target.resource.kind, obj)
        rendered = render_object(target.resource, stored, form, request.query_params.get("includeObject", ""))
        return answer(rendered, code, options.warnings)

    def _rendered(self, request: Request, target: Target, stored: Stored) -> Response:
        form = accepted(request.headers.get("accept", ""))
        include = request.query_params.get("includeObject", "")
        return answer(render_object(target.resource, stored, form, include))

    # --- deleting ----------------------------------------------------------------------------------------------

    async def _delete(self, request: Request, target: Target) -> Response:
        options = await _delete_options(request)
        kind = target.resource.kind
        obj, gone = self._deletion.delete(target.resource, target.namespace or "", target.name, options)
        if gone and not target.resource.graceful:
            return answer(success(kind, target.name, obj["metadata"]["uid"]))
        return answer(obj)

    async def _delete_collection(self, request: Request, target: Target) -> Response:
        resource, query = target.resource, request.query_params
        if resource.kind.namespaced and target.namespace is None:
            raise not_allowed()
        options = await _delete_options(request)
        wanted = selector(query, resource)
        deleted: list[Stored] = []
        for stored in self._store.items(resource.kind, target.namespace):
            if wanted.matches(stored.traits.labels, stored.traits.fields):
                self._deletion.delete(resource, stored.namespace, stored.name, options)
                deleted.append(stored)
        metadata = {"resourceVersion": str(self._store.version)}
        form = accepted(request.headers.get("accept", ""))
        return answer(render_list(resource, deleted, metadata, form, query.get("includeObject", "")))


def _namespace(target: Target) -> str:
    """Return where to create: the path says it, for kinds that have namespaces."""
    if not target.resource.kind.namespaced:
        return ""
    if target.namespace is None:
        raise not_allowed()
    return target.namespace


def _change(resource: Resource, sub: str, type_: str, raw: bytes) -> Change:
    """Return what a patch does to an object."""
    supported = [JSON_PATCH, MERGE_PATCH, *([STRATEGIC_PATCH] if resource.built_in else []), APPLY_PATCH]
    if type_ not in supported or (type_ == APPLY_PATCH and sub == "scale"):
        raise unsupported_media(type_, supported)
    patch = body.parse_json(raw)
    if type_ == JSON_PATCH:
        return lambda obj: operate(obj, patch)
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: an object is needed")
    if type_ == MERGE_PATCH or sub == "scale":
        return lambda obj: merge(obj, patch)
    return lambda obj: strategic_merge(resource.node, obj, patch)


async def _delete_options(request: Request) -> DeleteOptions:
    """Read DeleteOptions from the body, or from the query where it says more."""
    query = request.query_params
    raw = await body.read(request)
    given = body.parse(body.media_type(request), raw) if raw else None
    if given is None:
        given = {}
    preconditions = given.get("preconditions") if isinstance(given, dict) else []
    if preconditions is None:
        preconditions = {}
    if not isinstance(preconditions, dict):
        raise bad_request("the body of a delete is a DeleteOptions object")
    grace = given.get("gracePeriodSeconds", number(query, "gracePeriodSeconds"))
    if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
        raise bad_request(f"gracePeriodSeconds: a whole number is needed, and it is {grace!r}")
    stages = given.get("dryRun") or query.getlist("dryRun")
    return DeleteOptions(
        grace_s=grace,
        uid=preconditions.get("uid"),
        version=preconditions.get("resourceVersion"),
        propagation=_propagation(given, query),
        dry_run=dry_run(stages if isinstance(stages, list) else [stages]),
    )


def _propagation(given: Object, query: QueryParams) -> Propagation:
    policy = given.get("propagationPolicy") or query.get("propagationPolicy")
    orphan = given.get("orphanDependents", flag(query, "orphanDependents"))
    match policy:
        case None:
            return "Orphan" if orphan else "Background"
        case "Background" | "Foreground" | "Orphan":
            found: Propagation = policy
            return found
    raise bad_request(f"propagationPolicy: use Background, Foreground or Orphan; it is {policy!r}")


def _write_token(version: int, key: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([version, *key])).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        version, namespace, name = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(version), (str(namespace), str(name))
    except (ValueError, TypeError, binascii.Error) as error:
        raise bad_request("continue key is not valid") from error

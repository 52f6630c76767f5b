"""The paths of the API, from the door to the verbs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from torpor.local.apiserver.api import discovery, openapi
from torpor.local.apiserver.api.answers import answer, refusal
from torpor.local.apiserver.api.media import parse_accept
from torpor.local.apiserver.api.pods import Pods, is_pod_stream
from torpor.local.apiserver.api.request import locate
from torpor.local.apiserver.api.resources import Resources
from torpor.local.apiserver.api.reviews import REVIEWS, review
from torpor.local.apiserver.api.security import PROBES, Guard
from torpor.local.apiserver.status import (
    ApiError,
    bad_request,
    internal,
    no_such_path,
    not_acceptable,
    not_allowed,
)

log = logging.getLogger(__name__)

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

Endpoint = Callable[[Request], Awaitable[Response]]


def build(resources: Resources, pods: Pods, *, token: str, host: str) -> Starlette:
    """Return the application: the guard, then the first path that fits."""

    async def objects(request: Request) -> Response:
        path = request.url.path
        if request.method == "POST" and path in REVIEWS:
            return await review(request)
        target = locate(path)
        if is_pod_stream(target):
            return await (pods.log if target.sub == "log" else pods.proxy)(request, target)
        return await resources.handle(request, target)

    routes: list[tuple[str, Endpoint]] = [
        *((path, _fixed(lambda _: PlainTextResponse("ok"))) for path in sorted(PROBES)),
        ("/version", _fixed(lambda _: answer(discovery.version()))),
        ("/api", _fixed(discovery.api)),
        ("/apis", _fixed(discovery.apis)),
        ("/api/{version}", _fixed(lambda r: answer(discovery.resources("", r.path_params["version"])))),
        ("/apis/{group}", _fixed(lambda r: answer(discovery.group(r.path_params["group"])))),
        ("/apis/{group}/{version}", _fixed(_resources)),
        ("/openapi/v2", _fixed(_openapi_v2)),
        ("/openapi/v3", _fixed(lambda _: answer(openapi.index()))),
        ("/openapi/v3/api/{version}", _fixed(_openapi_v3)),
        ("/openapi/v3/apis/{group}/{version}", _fixed(_openapi_v3)),
        ("/api/{version}/{rest:path}", objects),
        ("/apis/{group}/{version}/{rest:path}", objects),
        ("/{rest:path}", _nothing),
    ]
    return Starlette(
        routes=[Route(path, _refusing(endpoint), methods=METHODS) for path, endpoint in routes],
        middleware=[Middleware(Guard, token=token, bind_host=host)],
    )


def _refusing(endpoint: Endpoint) -> Endpoint:
    """The one place where errors become answers."""

    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ApiError as error:
            return refusal(error)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except RecursionError:
            return refusal(bad_request("the body of the request is nested too deeply"))
        except Exception:
            log.exception("%s %s failed", request.method, request.url.path)
            return refusal(internal())

    return guarded


def _fixed(page: Callable[[Request], Response]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            raise not_allowed()
        return page(request)

    return endpoint


async def _nothing(_request: Request) -> Response:
    raise no_such_path()


def _resources(request: Request) -> Response:
    parameters = request.path_params
    return answer(discovery.resources(parameters["group"], parameters["version"]))


def _openapi_v3(request: Request) -> Response:
    parameters = request.path_params
    return answer(openapi.document_v3(parameters.get("group", ""), parameters["version"]))


def _openapi_v2(request: Request) -> Response:
    """In full as JSON. As protocol buffers, which kubectl asks for when it applies a List, it describes nothing."""
    entries = parse_accept(request.headers.get("accept", ""))
    if not entries or any(entry.type in {"application/json", "application/*", "*/*"} for entry in entries):
        return answer(openapi.document_v2())
    if any(entry.type == openapi.PROTOBUF_ASKED for entry in entries):
        return Response(openapi.empty_v2(), media_type=openapi.PROTOBUF)
    raise not_acceptable("application/json")

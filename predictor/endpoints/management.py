"""TorchServe's management API, on a listener of its own: register, scale, describe, list, set default, unregister."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from predictor.allowed import Allowed
from predictor.endpoints import exceptions
from predictor.endpoints.answers import json
from predictor.loading.source import Source
from predictor.repository import Repository
from predictor.served import Served
from torpor.errors import InvalidInputError, TorporError, UnauthorizedError
from torpor.web.status import answer

log = logging.getLogger(__name__)

MOST_WORKERS = 1024
PAGE = 100
"""Models that one answer lists, as in TorchServe."""
ARCHIVE = ".mar"


class Management:
    """The endpoints. All of them need the token."""

    def __init__(self, repository: Repository, template: Source, allowed: Allowed) -> None:
        """What is registered is loaded as the model of `template` is, with its credentials."""
        self._repository = repository
        self._template = template
        self._allowed = allowed
        self._registering: set[asyncio.Task[Served]] = set()

    def app(self, token: str) -> ASGIApp:
        """Return the application."""
        handlers = {TorporError: _refused, HTTPException: _refused_http, Exception: _refused}
        app = Starlette(routes=self.routes(), exception_handlers=handlers)
        app.router.redirect_slashes = False
        return _Guard(app, token)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/ping", self._ping),
            Route("/models", self._list, methods=["GET"]),
            Route("/models", self._register, methods=["POST"]),
            Route("/models/{model}", self._describe, methods=["GET"]),
            Route("/models/{model}", self._scale, methods=["PUT"]),
            Route("/models/{model}", self._unregister, methods=["DELETE"]),
            Route("/models/{model}/{version}", self._describe, methods=["GET"]),
            Route("/models/{model}/{version}", self._scale, methods=["PUT"]),
            Route("/models/{model}/{version}", self._unregister, methods=["DELETE"]),
            Route("/models/{model}/{version}/set-default", self._set_default, methods=["PUT"]),
        ]

    async def close(self) -> None:
        """Give up what is being registered."""
        for each in self._registering:
            each.cancel()
        await asyncio.gather(*self._registering, return_exceptions=True)

    async def _ping(self, request: Request) -> Response:
        del request
        return json({"status": "Healthy"})

    async def _register(self, request: Request) -> Response:
        query = _Query(request)
        uri = self._allowed.check("url", query.text("url"))
        name = query.text("model_name", uri.rpartition("/")[2].removesuffix(ARCHIVE))
        if "/" in name or ":" in name:
            raise InvalidInputError("model_name", name, "use a name without / and :")
        format_ = query.text("model_format", "mar" if uri.endswith(ARCHIVE) else None)
        workers = query.integer("initial_workers", None)
        for each, only in (("runtime", "PYTHON"), ("handler", ""), ("batch_size", "1"), ("s3_sse_kms", "false")):
            query.only(each, only)
        is_awaited = query.flag("synchronous", default=False)
        query.ignored("max_batch_delay", "response_timeout", "startup_timeout")
        query.check_all_known()
        template = self._template
        source = Source(
            name,
            format_,
            uri,
            template.model_dir,
            template.allow_pickle,
            template.storage,
            processes=template.processes,
            call_timeout_s=template.call_timeout_s,
        )
        task = asyncio.create_task(self._registered(source, workers))
        self._registering.add(task)
        task.add_done_callback(self._done)
        if not is_awaited:
            return json({"status": "Processing worker updates..."}, 202)
        served = await asyncio.shield(task)
        return json({"status": f'Model "{name}" Version: {served.version} registered with {_workers(served)} workers'})

    async def _registered(self, source: Source, workers: int | None) -> Served:
        served = await self._repository.register(source)
        if workers is not None:
            served.turns.resize(workers)
        return served

    def _done(self, task: asyncio.Task[Served]) -> None:
        self._registering.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a model was not registered: %s", error)

    async def _scale(self, request: Request) -> Response:
        query = _Query(request)
        least = query.integer("min_worker", None)
        most = query.integer("max_worker", None)
        query.ignored("synchronous", "timeout", "number_gpu")
        query.check_all_known()
        # Threads are there from the beginning, and cost nothing idle: the most is what there is.
        wanted = most if most is not None else 1 if least is None else least
        if least is not None and most is not None and least > most:
            raise InvalidInputError("min_worker", least, f"use at most max_worker, {most}")
        served = self._found(request)
        served.turns.resize(wanted)
        return json({"status": f"Workers scaled to {wanted} for model: {served.name}"})

    async def _describe(self, request: Request) -> Response:
        name, version = request.path_params["model"], request.path_params.get("version")
        if version == "all":
            return json([self._described(each) for each in self._repository.models.versions(name)])
        return json([self._described(self._repository.models.find(name, version))])

    async def _list(self, request: Request) -> Response:
        query = _Query(request)
        limit = query.integer("limit", PAGE) or PAGE
        begin = query.integer("next_page_token", 0) or 0
        query.check_all_known()
        names = sorted(self._repository.models.names())
        page = [
            {"modelName": name, "modelUrl": self._repository.source(self._repository.models.find(name)).uri}
            for name in names[begin : begin + limit]
        ]
        more = {"nextPageToken": str(begin + limit)} if begin + limit < len(names) else {}
        return json({**more, "models": page})

    async def _set_default(self, request: Request) -> Response:
        name, version = request.path_params["model"], request.path_params["version"]
        self._repository.models.set_default(name, version)
        return json({"status": f'Default version successfully updated for model "{name}" to "{version}"'})

    async def _unregister(self, request: Request) -> Response:
        name = request.path_params["model"]
        await self._repository.unregister(name, request.path_params.get("version"))
        return json({"status": f'Model "{name}" unregistered'})

    def _found(self, request: Request) -> Served:
        return self._repository.models.find(request.path_params["model"], request.path_params.get("version"))

    def _described(self, served: Served) -> dict[str, Any]:
        turns = served.turns
        started_at = served.progress.snapshot()["started_at"]
        worker = {
            "startTime": datetime.fromtimestamp(started_at, UTC).isoformat(),
            "status": served.state if served.state in {"READY", "LOADING"} else "UNLOADING",
            "memoryUsage": served.stay.takes.host if served.held is not None and served.stay.takes is not None else 0,
            "pid": os.getpid(),
            "gpu": False,
            "gpuUsage": "N/A",
        }
        count = _workers(served)
        return {
            "modelName": served.name,
            "modelVersion": served.version,
            "modelUrl": self._repository.source(served).uri,
            "runtime": "python",
            "minWorkers": count,
            "maxWorkers": count,
            "batchSize": 1,
            "maxBatchDelay": 0,
            "loadedAtStartup": served is self._repository.models.first,
            "workers": [{"id": str(9000 + index), **worker} for index in range(count)],
            "jobQueueStatus": {"remainingCapacity": -1, "pendingRequests": turns.waiting},
        }


class _Guard:
    """Lets nobody in without the token, whatever the path."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            if not hmac.compare_digest(given, self._expected):
                error = UnauthorizedError("send the token as 'Authorization: Bearer …'; whoever runs the server has it")
                await _refusal(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Query:
    """The parameters of a request: each is read once, and one that nobody knows is an error."""

    def __init__(self, request: Request) -> None:
        self._given = dict(request.query_params)

    def text(self, name: str, default: str | None = None) -> str:
        value = self._given.pop(name, "") or default
        if value is None:
            raise InvalidInputError(name, "", "it is needed")
        return value

    def integer(self, name: str, default: int | None) -> int | None:
        value: int | None = self._read(name, _integer, f"use a whole number from 0 to {MOST_WORKERS}", default)
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        return bool(self._read(name, {"true": True, "false": False}.get, "use true or false", default))

    def only(self, name: str, value: str) -> None:
        """Refuse a parameter that would mean something which is not offered here."""
        given = self._given.pop(name, value)
        if given.lower() not in {value.lower(), ""}:
            raise InvalidInputError(name, given, f"only {value or 'its absence'} is offered")

    def ignored(self, *names: str) -> None:
        """Take what TorchServe takes, and what has no meaning here."""
        for each in names:
            self._given.pop(each, None)

    def check_all_known(self) -> None:
        for name, value in self._given.items():
            raise InvalidInputError(name, value, "there is no such parameter")

    def _read(self, name: str, read: Callable[[str], Any], allowed: str, default: Any) -> Any:
        text = self._given.pop(name, None)
        if text is None:
            return default
        value = read(text)
        if value is None:
            raise InvalidInputError(name, text, allowed)
        return value


def _integer(text: str) -> int | None:
    is_number = text.isascii() and text.isdecimal() and len(text) < 6
    return int(text) if is_number and int(text) <= MOST_WORKERS else None


def _workers(served: Served) -> int:
    """Return how many requests are computed at a time; one stands for as many as there are threads."""
    return 1 if served.turns.limit is None else served.turns.limit


def _refusal(error: Exception) -> Response:
    told = answer(error)
    response = json(exceptions.document(told.status, told.message), told.status)
    if told.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _refused(request: Request, error: Exception) -> Response:
    del request
    return _refusal(error)


def _refused_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # it is registered for these
    if error.status_code == 404:
        return json(exceptions.document(404, f"nothing is served at {request.url.path}", exceptions.PATH), 404)
    return json(exceptions.document(error.status_code, error.detail), error.status_code)

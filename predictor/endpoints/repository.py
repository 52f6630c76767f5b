"""Triton's model repository extension: which models there are; load and unload, where the owner allows it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from predictor.endpoints import body
from predictor.endpoints.answers import json
from predictor.repository import Repository
from predictor.settings import MODEL_CONTROL
from torpor.errors import ForbiddenError, InvalidInputError, NotFoundError, UnsupportedError
from torpor.protocol.document import brief, parameters, read_object

LIMIT = 64 * 1024
"""Bytes of a request: it names things, and brings no files."""


class RepositoryApi:
    """The endpoints under /v2/repository."""

    def __init__(self, repository: Repository, *, is_controlled: bool) -> None:
        """`is_controlled`: whether who may ask the model may also load and unload it."""
        self._repository = repository
        self._is_controlled = is_controlled

    def routes(self) -> list[BaseRoute]:
        found: list[BaseRoute] = []
        # Triton lets the repository be named; there is one.
        for path in ("/v2/repository", "/v2/repository/{repository}"):
            found += [
                Route(f"{path}/index", self._index, methods=["POST"]),
                Route(f"{path}/models/{{model:model}}/load", self._load, methods=["POST"]),
                Route(f"{path}/models/{{model:model}}/unload", self._unload, methods=["POST"]),
            ]
        return found

    async def _index(self, request: Request) -> Response:
        document = await _document(request)
        ready = document.get("ready", False)
        if not isinstance(ready, bool):
            raise InvalidInputError("ready", brief(ready), "use true or false")
        return json(
            [
                {"name": each.name, "version": each.version, "state": each.state, "reason": each.reason}
                for each in self._repository.models
                if each.held is not None or not ready
            ]
        )

    async def _load(self, request: Request) -> Response:
        given = parameters("", await _document(request))
        for name in given:
            # What a client uploads would be written to the server's disk (CVE-2023-31036).
            if name == "config" or name.startswith("file:"):
                raise UnsupportedError(f"parameters.{name}: a model is loaded as it is stored; change it there")
        name = self._permitted(request)
        await self._repository.load(name)
        return json({"name": name, "load": True})

    async def _unload(self, request: Request) -> Response:
        parameters("", await _document(request))  # unload_dependents: nothing here depends on another
        name = self._permitted(request)
        await self._repository.unload(name)
        return json({"name": name, "unload": True})

    def _permitted(self, request: Request) -> str:
        name: str = request.path_params["model"]
        repository = request.path_params.get("repository", "")
        if repository:
            raise NotFoundError(f"there is no repository {repository!r}; leave its name out")
        if not self._is_controlled:
            raise ForbiddenError(
                f"models are not loaded and unloaded by request; its owner sets {MODEL_CONTROL}=explicit"
            )
        return name


async def _document(request: Request) -> Any:
    raw = await body.read(request, LIMIT)
    return read_object(raw) if raw else {}

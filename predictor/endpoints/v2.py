"""The Open Inference Protocol over HTTP: health, metadata, configuration, statistics, infer."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import torpor
from predictor.calls import Computing
from predictor.endpoints import description
from predictor.endpoints.answers import json
from predictor.endpoints.body import Octets
from predictor.endpoints.compressed import compressed, may_be
from predictor.endpoints.inference import Inference
from predictor.endpoints.reply import Reply
from predictor.loading.held import Held
from predictor.models import Models
from predictor.served import Served
from torpor.protocol.headers import HEADER_LENGTH

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "generate",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
)
"""As Triton names them, where it has them."""
_MODEL_PATHS = ("/v2/models/{model:model}", "/v2/models/{model:model}/versions/{version}")


class V2:
    """The endpoints under /v2, but for the model repository's and generate's."""

    def __init__(self, models: Models, inference: Inference) -> None:
        self._models = models
        self._inference = inference

    def routes(self) -> list[BaseRoute]:
        found = [
            Route("/v2", self._server),
            Route("/v2/health/live", self._live),
            Route("/v2/health/ready", self._server_ready),
            Route("/v2/models", self._list),
            Route("/v2/models/stats", self._all_statistics),
        ]
        for path in _MODEL_PATHS:
            found += [
                Route(path, self._metadata),
                Route(f"{path}/ready", self._ready),
                Route(f"{path}/config", self._configuration),
                Route(f"{path}/stats", self._statistics),
                Route(f"{path}/infer", self.infer, methods=["POST"]),
            ]
        return list(found)

    async def infer(self, request: Request) -> Response | Reply:
        length = request.headers.get(HEADER_LENGTH)
        if length is None:
            response = await self._inference.answer(request, "v2", inferred)
        else:
            at = int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else 0
            compute = partial(inferred, header_length=length)
            response = await self._inference.answer(request, "v2", compute, tensors_at=at)
        if not may_be(response):
            return response
        return await compressed(", ".join(request.headers.getlist("accept-encoding")), response)

    def _found(self, request: Request) -> Served:
        served = self._models.find(request.path_params["model"], request.path_params.get("version"))
        served.check()
        return served

    async def _server(self, request: Request) -> Response:
        del request
        return json({"name": "torpor", "version": torpor.__version__, "extensions": EXTENSIONS})

    async def _live(self, request: Request) -> Response:
        del request
        return json({"live": True})

    async def _server_ready(self, request: Request) -> Response:
        del request
        self._models.check()
        return json({"ready": True})

    async def _list(self, request: Request) -> Response:
        del request
        return json({"models": self._models.names()})

    async def _metadata(self, request: Request) -> Response:
        served = self._found(request)
        signature = await served.described()
        versions = [each.version for each in self._models.versions(served.name) if each.answers]
        return json(description.metadata(served.name, versions, signature))

    async def _ready(self, request: Request) -> Response:
        return json({"name": self._found(request).name, "ready": True})

    async def _configuration(self, request: Request) -> Response:
        served = self._found(request)
        signature = await served.described()
        return json(description.configuration(served.name, signature, served.configuration))

    async def _statistics(self, request: Request) -> Response:
        name, version = request.path_params["model"], request.path_params.get("version")
        found = self._models.versions(name) if version is None else [self._models.find(name, version)]
        return json({"model_stats": [each.statistics.document(each.name, each.version) for each in found]})

    async def _all_statistics(self, request: Request) -> Response:
        del request
        return json({"model_stats": [each.statistics.document(each.name, each.version) for each in self._models]})


def inferred(served: Served, held: Held, body: Octets, header_length: str | None = None) -> Computing[Reply]:
    """Answer infer; `header_length` is the header of a binary request."""
    # numpy, which this needs, costs 60 ms: health is there before.
    from predictor.endpoints.v2compute import infer  # noqa: PLC0415

    return infer(served, held, body, header_length)

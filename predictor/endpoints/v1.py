"""KServe's V1: which models are here, is this one ready, predict."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from predictor.endpoints.answers import json
from predictor.endpoints.inference import Inference
from predictor.model import Model
from predictor.served import Served
from torpor.errors import UnsupportedError
from torpor.protocol import v1


class V1:
    """The endpoints under /v1."""

    def __init__(self, served: Served, inference: Inference) -> None:
        self._served = served
        self._inference = inference

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/models", self._list),
            Route("/v1/models/{model:model}", self._ready),
            Route("/v1/models/{model:model}:predict", self._predict, methods=["POST"]),
            Route("/v1/models/{model:model}:explain", self._explain, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        del request
        return json({"models": [self._served.name]})

    async def _ready(self, request: Request) -> Response:
        self._served.require(request.path_params["model"])
        return json({"name": self._served.name, "ready": True})

    async def _predict(self, request: Request) -> Response:
        return await self._inference.answer(request, "v1", _predict)

    async def _explain(self, request: Request) -> Response:
        self._served.check(request.path_params["model"])
        raise UnsupportedError("explanations are not offered: there are no explainers here; use :predict")


def _predict(model: Model, body: bytearray) -> bytes:
    request = v1.decode(body)
    return v1.encode(model.predict(request.instances))

"""KServe's V1: which models are here, is this one ready, predict, explain."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from predictor.endpoints.answers import json
from predictor.endpoints.body import Octets
from predictor.endpoints.inference import Inference
from predictor.endpoints.reply import Reply
from predictor.loading.held import Held
from predictor.models import Models
from predictor.served import Served
from predictor.statistics import Laps
from torpor.errors import UnsupportedError
from torpor.protocol import v1


class V1:
    """The endpoints under /v1."""

    def __init__(self, models: Models, inference: Inference) -> None:
        self._models = models
        self._inference = inference

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/models", self._list),
            Route("/v1/models/{model:model}", self._ready),
            Route("/v1/models/{model:model}:predict", self.predict, methods=["POST"]),
            Route("/v1/models/{model:model}:explain", self._explain, methods=["POST"]),
        ]

    async def predict(self, request: Request) -> Response | Reply:
        return await self._inference.answer(request, "v1", predict)

    async def _list(self, request: Request) -> Response:
        del request
        return json({"models": self._models.names()})

    async def _ready(self, request: Request) -> Response:
        name = request.path_params["model"]
        self._models.require(name)
        return json({"name": name, "ready": True})

    async def _explain(self, request: Request) -> Response | Reply:
        return await self._inference.answer(request, "v1", _explain)


def predict(served: Served, held: Held, body: Octets, laps: Laps) -> Reply:
    """Compute the answer to `:predict`."""
    del served
    request = v1.decode(body)
    laps.decoded_ns, laps.rows = time.perf_counter_ns(), len(request.instances)
    if request.parameters and held.takes_parameters is not None:
        predictions = held.takes_parameters.predict_with(request.instances, request.parameters)
    else:
        predictions = held.model.predict(request.instances)
    laps.inferred_ns = time.perf_counter_ns()
    return Reply((v1.encode(predictions),))


def _explain(served: Served, held: Held, body: Octets, laps: Laps) -> Reply:
    if held.explains is None:
        raise UnsupportedError(f"model {served.name!r} offers no explanations; use :predict")
    request = v1.decode(body)
    laps.decoded_ns, laps.rows = time.perf_counter_ns(), len(request.instances)
    explanations = held.explains.explain(request.instances)
    laps.inferred_ns = time.perf_counter_ns()
    return Reply((v1.encode(explanations, "explanations"),))

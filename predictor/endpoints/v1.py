"""KServe's V1: which models are here, is this one ready, predict, explain."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from predictor.calls import Computing, Explain, Predict
from predictor.endpoints.answers import json
from predictor.endpoints.body import Octets
from predictor.endpoints.inference import Inference
from predictor.endpoints.reply import Reply
from predictor.loading.held import Held
from predictor.models import Models
from predictor.served import Served
from predictor.settings import Events
from torpor.errors import UnsupportedError
from torpor.protocol import v1

CLOUD_EVENT = "application/cloudevents+json"
"""A structured one; a binary one has ce-specversion."""


class V1:
    """The endpoints under /v1."""

    def __init__(self, models: Models, inference: Inference, events: Events) -> None:
        """`events` says what the answers to CloudEvents are like."""
        self._models = models
        self._inference = inference
        self._events = events

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/models", self._list),
            Route("/v1/models/{model:model}", self._ready),
            Route("/v1/models/{model:model}:predict", self.predict, methods=["POST"]),
            Route("/v1/models/{model:model}:explain", self._explain, methods=["POST"]),
        ]

    async def predict(self, request: Request) -> Response | Reply:
        headers = request.headers
        if "ce-specversion" in headers or headers.get("content-type", "").startswith(CLOUD_EVENT):
            from predictor.endpoints import events  # noqa: PLC0415  # few speak it

            return await self._inference.answer(request, "v1", events.compute(headers, self._events))
        return await self._inference.answer(request, "v1", predicted)

    async def _list(self, request: Request) -> Response:
        del request
        return json({"models": self._models.names()})

    async def _ready(self, request: Request) -> Response:
        name = request.path_params["model"]
        self._models.find(name).check()
        return json({"name": name, "ready": True})

    async def _explain(self, request: Request) -> Response | Reply:
        return await self._inference.answer(request, "v1", _explain)


def predicted(_served: Served, _held: Held, body: Octets) -> Computing[Reply]:
    """Answer :predict."""
    request = v1.decode(body)
    found = yield Predict(request.instances, request.parameters)
    return Reply((v1.encode(found),))


def _explain(served: Served, held: Held, body: Octets) -> Computing[Reply]:
    if held.explains is None:
        raise UnsupportedError(f"model {served.name!r} offers no explanations; use :predict")
    explanations = yield Explain(v1.decode(body).instances)
    return Reply((v1.encode(explanations, "explanations"),))

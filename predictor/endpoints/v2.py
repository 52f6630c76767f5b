"""The Open Inference Protocol over HTTP: health, metadata, infer."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import torpor
from predictor.endpoints.answers import json, refusal
from predictor.endpoints.inference import Inference
from predictor.model import Model, TensorSpec
from predictor.served import VERSION, Served
from torpor.errors import UnsupportedError

BINARY_HEADER = "Inference-Header-Content-Length"
"""Says that binary tensors follow the JSON."""


class V2:
    """The endpoints under /v2."""

    def __init__(self, served: Served, inference: Inference) -> None:
        self._served = served
        self._inference = inference

    def routes(self) -> list[BaseRoute]:
        found = [
            Route("/v2", self._server),
            Route("/v2/health/live", self._live),
            Route("/v2/health/ready", self._server_ready),
            Route("/v2/models", self._list),
        ]
        for path in ("/v2/models/{model:model}", "/v2/models/{model:model}/versions/{version}"):
            found += [
                Route(path, self._metadata),
                Route(f"{path}/ready", self._ready),
                Route(f"{path}/infer", self._infer, methods=["POST"]),
            ]
        return list(found)

    def _model(self, request: Request) -> Model:
        return self._served.require(request.path_params["model"], request.path_params.get("version"))

    async def _server(self, request: Request) -> Response:
        del request
        return json({"name": "torpor", "version": torpor.__version__, "extensions": []})

    async def _live(self, request: Request) -> Response:
        del request
        return json({"live": True})

    async def _server_ready(self, request: Request) -> Response:
        del request
        self._served.require(self._served.name)
        return json({"ready": True})

    async def _list(self, request: Request) -> Response:
        del request
        return json({"models": [self._served.name]})

    async def _metadata(self, request: Request) -> Response:
        signature = self._model(request).signature
        return json(
            {
                "name": self._served.name,
                "versions": [VERSION],
                "platform": signature.platform,
                "inputs": [_described(each) for each in signature.inputs],
                "outputs": [_described(each) for each in signature.outputs],
            }
        )

    async def _ready(self, request: Request) -> Response:
        self._model(request)
        return json({"name": self._served.name, "ready": True})

    async def _infer(self, request: Request) -> Response:
        if BINARY_HEADER in request.headers:
            return refusal(
                UnsupportedError(f"{BINARY_HEADER}: binary tensors are not offered; send and take JSON data")
            )
        return await self._inference.answer(request, "v2", partial(_infer, self._served.name))


def _described(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}


def _infer(name: str, model: Model, body: bytearray) -> bytes:
    # numpy, which this needs, costs 60 ms: health is there before.
    from torpor.protocol import v2  # noqa: PLC0415

    request = v2.decode(body)
    known = [each.name for each in model.signature.outputs]
    if known:  # before the work, where the model says what it gives
        v2.check_outputs(request.outputs, known)
    outputs = v2.select(request.outputs, model.infer(request.inputs))
    return v2.encode(name, VERSION, request.id, outputs)

"""All endpoints as one ASGI application."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from predictor.counters import Counters
from predictor.endpoints.answers import http_refusal, refusal
from predictor.endpoints.front import Front
from predictor.endpoints.generate import Generate
from predictor.endpoints.health import Health
from predictor.endpoints.inference import Inference
from predictor.endpoints.repository import RepositoryApi
from predictor.endpoints.torchserve import TorchServe
from predictor.endpoints.v1 import V1
from predictor.endpoints.v2 import V2
from predictor.repository import Repository
from predictor.settings import Settings
from torpor.aio.clock import Clock
from torpor.errors import TorporError


class _ModelName(Convertor[str]):
    """A colon ends a model's name: what follows is a verb."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


def build(
    repository: Repository,
    inference: Inference,
    counters: Counters,
    clock: Clock,
    ending: asyncio.Event,
    settings: Settings,
) -> ASGIApp:
    """Return the application."""
    register_url_convertor("model", _ModelName())
    models = repository.models
    v1, v2 = V1(models, inference, settings.events), V2(models, inference)
    routes = [
        *Health(models, counters, clock, ending).routes(),
        *v1.routes(),
        *v2.routes(),
        *Generate(inference).routes(),
        *TorchServe(models, inference).routes(),
        *RepositoryApi(repository, is_controlled=settings.is_controlled).routes(),
    ]
    app = Starlette(
        routes=routes, exception_handlers={TorporError: _refuse, HTTPException: _refuse_http, Exception: _refuse}
    )
    app.router.redirect_slashes = False  # a path that is none is told so, in JSON
    return Front(v1.predict, v2.infer, app)


def _refuse_http(request: Request, error: Exception) -> Response:
    return http_refusal(request, error) if isinstance(error, HTTPException) else refusal(error)


def _refuse(request: Request, error: Exception) -> Response:
    del request
    return refusal(error)

"""Is it alive, is it ready, how far is it, what are its numbers. Answered from the first moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from predictor.counters import Counters
from predictor.endpoints.answers import json
from predictor.models import Models
from torpor.aio.clock import Clock
from torpor.errors import UnavailableError

EVENTS = "text/event-stream"
SILENCE_S = 15.0
"""A stream without news says so, so that nobody between takes it for dead."""


class Health:
    """What Kubernetes and the `torpor` command ask."""

    def __init__(self, models: Models, counters: Counters, clock: Clock, ending: asyncio.Event) -> None:
        """`ending` ends the streams of progress."""
        self._clock = clock
        self._models = models
        self._counters = counters
        self._ending = ending

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self._alive),
            Route("/healthz", self._alive),
            Route("/readyz", self._ready),
            Route("/progress", self._progress),
            Route("/metrics", self._metrics),
        ]

    async def _alive(self, request: Request) -> Response:
        del request
        return json({"status": "alive"})  # the word the KServe SDK looks for

    async def _ready(self, request: Request) -> Response:
        del request
        if self._models.is_ending:
            raise UnavailableError("the server is ending")
        self._models.check()
        return json({"status": "ready"})

    async def _progress(self, request: Request) -> Response:
        if EVENTS in request.headers.get("accept", ""):
            return StreamingResponse(self._events(), media_type=EVENTS, headers={"Cache-Control": "no-cache"})
        return json(self._models.progress.snapshot())

    async def _metrics(self, request: Request) -> Response:
        del request
        from predictor.export import exposition  # noqa: PLC0415  # says itself why

        body, media_type = exposition(self._models, self._counters, self._clock)
        return Response(body, headers={"Content-Type": media_type})

    async def _events(self) -> AsyncIterator[bytes]:
        """Give the progress as server-sent events until the load or the server ends."""
        changes = aiter(self._models.progress.changes())
        ending = asyncio.ensure_future(self._ending.wait())
        following: asyncio.Future[Any] | None = None
        try:
            while not ending.done():
                following = following or asyncio.ensure_future(anext(changes, None))
                both: set[asyncio.Future[Any]] = {following, ending}
                await asyncio.wait(both, timeout=SILENCE_S, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    if not ending.done():
                        yield b": no news\n\n"
                    continue
                snapshot, following = following.result(), None
                if snapshot is None:
                    return
                yield b"data: " + orjson.dumps(snapshot) + b"\n\n"
        finally:
            for each in (ending, following):
                if each is not None:
                    each.cancel()

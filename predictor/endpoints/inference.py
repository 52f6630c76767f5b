"""What every protocol does with a request for inference: find the model, read the body, compute, count."""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from predictor.counters import Counters
from predictor.endpoints import body
from predictor.endpoints.answers import JSON, refusal
from predictor.endpoints.workers import Workers
from predictor.model import Model
from predictor.served import Served
from torpor.aio.clock import Clock

log = logging.getLogger(__name__)

Compute = Callable[[Model, bytearray], bytes]
"""From a request's body to an answer's; blocks, and runs in a thread."""

GONE = 499
"""nginx's word for a client that left before its answer; nobody sees it but the metrics."""


class Inference:
    """Computes answers."""

    def __init__(
        self, served: Served, workers: Workers, counters: Counters, clock: Clock, *, max_body_bytes: int
    ) -> None:
        self._served = served
        self._workers = workers
        self._counters = counters
        self._clock = clock
        self._max_body_bytes = max_body_bytes

    async def answer(self, request: Request, protocol: str, compute: Compute) -> Response:
        """Return the answer, or what went wrong; counts both."""
        began_s = self._clock.monotonic()
        self._counters.in_flight += 1
        status = GONE
        try:
            response = await self._computed(request, compute)
            status = response.status_code
            return response
        finally:
            self._counters.in_flight -= 1
            self._counters.answered(protocol, status, self._clock.monotonic() - began_s)

    async def _computed(self, request: Request, compute: Compute) -> Response:
        try:
            model = self._served.require(request.path_params["model"], request.path_params.get("version"))
            raw = await body.read(request, self._max_body_bytes)
            return Response(await self._workers.run(lambda: compute(model, raw), request.receive), media_type=JSON)
        except ClientDisconnect:
            return Response(status_code=GONE)
        except Exception as error:
            refused = refusal(error)
            if refused.status_code == 500:
                # The model's own code, or ours: whoever looks at the log needs to see where.
                log.exception("%s %s failed", request.method, request.url.path)
            return refused

"""What every protocol does with a request for inference: find the model, read the body, compute, count."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from predictor.calls import Computing
from predictor.counters import Counters
from predictor.endpoints import body
from predictor.endpoints.answers import refusal
from predictor.endpoints.body import Octets
from predictor.endpoints.reply import Reply
from predictor.execution import Execution
from predictor.loading.held import Held
from predictor.models import Models
from predictor.served import Served
from predictor.workers import Workers
from torpor.aio.clock import Clock
from torpor.web.status import answer

log = logging.getLogger(__name__)

T = TypeVar("T")

Compute = Callable[[Served, Held, Octets], Computing[Reply]]
"""From a request's body to an answer, by way of the model; its parts run in a thread where they may take long."""

Begin = Callable[[Served, Held, Octets], Iterator[bytes]]
"""From a request's body to the steps of its answer; blocks, and runs in a thread."""

GONE = 499
"""nginx's word for a client that left before its answer; nobody sees it but the metrics."""


@dataclass(slots=True)
class Outcome:
    """How a request ended, as the HTTP status that says it."""

    status: int = GONE


class Inference:
    """Computes answers."""

    def __init__(
        self,
        models: Models,
        workers: Workers,
        counters: Counters,
        clock: Clock,
        *,
        max_body_bytes: int,
        is_alone: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_alone`: see `Execution`."""
        self.execution = Execution(workers, counters.waits, clock, is_alone)
        self._models = models
        self._counters = counters
        self._clock = clock
        self._max_body_bytes = max_body_bytes

    async def answer(
        self, request: Request, protocol: str, compute: Compute, tensors_at: int | None = None
    ) -> Response | Reply:
        """Return the answer, or what went wrong; counts both. `tensors_at` as in `body.read`."""
        with self.counted(protocol) as outcome:
            response = await self._computed(request, compute, tensors_at)
            outcome.status = response.status_code
            return response

    @contextlib.contextmanager
    def counted(self, protocol: str) -> Iterator[Outcome]:
        """Count one request while the block runs; the block says how it ended."""
        began_s = self._clock.monotonic()
        self._counters.in_flight += 1
        outcome = Outcome()
        try:
            yield outcome
        finally:
            self._counters.in_flight -= 1
            self._counters.answered(protocol, outcome.status, self._clock.monotonic() - began_s)

    async def _computed(self, request: Request, compute: Compute, tensors_at: int | None) -> Response | Reply:
        try:
            path = request.path_params
            served = self._models.find(path["model"], path.get("version"))
            if served.is_away:
                await served.present()
            with served.used() as held:
                raw = await body.read(request, self._max_body_bytes, tensors_at)
                return await self.execution.run(
                    served, held, partial(compute, served, held, raw), len(raw), request.receive
                )
        except ClientDisconnect:
            return Response(status_code=GONE)
        except Exception as error:
            return told(request, error)

    async def steps(self, request: Request, protocol: str, begin: Begin) -> AsyncGenerator[bytes, None]:
        """Give an answer bit by bit; raises what went wrong. Counts it when it has ended, or nobody wants more."""
        with self.counted(protocol) as outcome:
            try:
                path = request.path_params
                served = self._models.find(path["model"], path.get("version"))
                if served.is_away:
                    await served.present()
                with served.used() as held:
                    raw = await body.read(request, self._max_body_bytes)
                    steps = self.execution.run_steps(served, partial(begin, served, held, raw), request.receive)
                    async with contextlib.aclosing(steps) as given:
                        async for step in given:
                            yield step
                outcome.status = 200
            except ClientDisconnect:
                raise
            except Exception as error:
                outcome.status = answer(error).status
                raise


def told(request: Request, error: Exception) -> Response:
    """Return what a client is told of an error; the log has more where it is the model's, or ours."""
    refused = refusal(error)
    if refused.status_code == 500:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refused

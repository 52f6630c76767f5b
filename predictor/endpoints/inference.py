"""What every protocol does with a request for inference: find the model, read the body, compute, count."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

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


class Asked(NamedTuple):
    """A request that is whole."""

    protocol: str
    model: str
    version: str | None
    compute: Compute
    body: Octets
    what: str
    """For the log: method and path."""


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
        self.max_body_bytes = max_body_bytes

    async def answer(
        self, request: Request, protocol: str, compute: Compute, tensors_at: int | None = None
    ) -> Response | Reply:
        """Return the answer, or what went wrong; counts both. `tensors_at` as in `body.read`."""
        with self.counted(protocol) as outcome:
            path = request.path_params
            response = await self._computed(
                (path["model"], path.get("version")),
                compute,
                partial(body.read, request, self.max_body_bytes, tensors_at),
                request.receive,
                f"{request.method} {request.scope['path']}",
            )
            outcome.status = response.status_code
            return response

    def at_once(self, asked: Asked) -> Response | Reply | None:
        """Return the answer, or what went wrong, where that is brief; None where it must be waited for."""
        try:
            served = self._models.find(asked.model, asked.version)
            held = served.require()
        except Exception:
            return None
        if served.is_away or not self.execution.is_at_once(served, held, len(asked.body)):
            return None
        with self.counted(asked.protocol) as outcome:
            response: Response | Reply
            served.stay.used()
            try:
                begin = partial(asked.compute, served, held, asked.body)
                response = self.execution.at_once(served, held, begin)
            except Exception as error:
                response = told(asked.what, error)
            outcome.status = response.status_code
            return response

    async def in_time(self, asked: Asked, receive: Receive) -> Response | Reply:
        """Return the answer, or what went wrong; `receive` says when the client has left."""

        async def read() -> Octets:
            return asked.body

        with self.counted(asked.protocol) as outcome:
            model = (asked.model, asked.version)
            response = await self._computed(model, asked.compute, read, receive, asked.what)
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

    async def _computed(
        self,
        model: tuple[str, str | None],
        compute: Compute,
        read: Callable[[], Awaitable[Octets]],
        receive: Receive,
        what: str,
    ) -> Response | Reply:
        """Return the answer of this model, in this version or its default, to the body that `read` gives."""
        try:
            served = self._models.find(*model)
            if served.is_away:
                await served.present()
            with served.used() as held:
                raw = await read()
                return await self.execution.run(served, held, partial(compute, served, held, raw), len(raw), receive)
        except ClientDisconnect:
            return Response(status_code=GONE)
        except Exception as error:
            return told(what, error)

    async def steps(self, request: Request, protocol: str, begin: Begin) -> AsyncGenerator[bytes, None]:
        """Give an answer bit by bit; raises what went wrong. Counts it when it has ended, or nobody wants more."""
        with self.counted(protocol) as outcome:
            try:
                path = request.path_params
                served = self._models.find(path["model"], path.get("version"))
                if served.is_away:
                    await served.present()
                with served.used() as held:
                    raw = await body.read(request, self.max_body_bytes)
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


def told(what: str, error: Exception) -> Response:
    """Return what a client is told of an error; the log has more where it is the model's, or ours.

    `what` is for the log: method and path.
    """
    refused = refusal(error)
    if refused.status_code == 500:
        log.error("%s failed", what, exc_info=error)
    return refused

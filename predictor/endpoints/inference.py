"""What every protocol does with a request for inference: find the model, read the body, compute, count."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

from predictor.calls import Call, Computing, computed
from predictor.counters import Counters
from predictor.endpoints import body
from predictor.endpoints.answers import refusal
from predictor.endpoints.body import Octets
from predictor.endpoints.reply import Reply
from predictor.endpoints.steps import Steps
from predictor.endpoints.workers import Workers
from predictor.loading.held import Held
from predictor.models import Models
from predictor.served import Served
from predictor.statistics import Laps
from torpor.aio.clock import Clock
from torpor.errors import ModelError
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
        """`is_alone` says that one request at most is here: then what is always brief is computed on the loop itself.

        Of many at once, a thread computes one after the other while the loop reads and writes: the code of each stays
        in the processor's caches, which is worth more (measured: a quarter) than the way to the thread costs.
        """
        self._models = models
        self._workers = workers
        self._counters = counters
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        self._is_alone = is_alone

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
            with served.used() as held:
                raw = await body.read(request, self._max_body_bytes, tensors_at)
                return await self.run(served, held, partial(compute, served, held, raw), len(raw), request.receive)
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
                with served.used() as held:
                    raw = await body.read(request, self._max_body_bytes)
                    steps = self.run_steps(served, partial(begin, served, held, raw), request.receive)
                    async with contextlib.aclosing(steps) as given:
                        async for step in given:
                            yield step
                outcome.status = 200
            except ClientDisconnect:
                raise
            except Exception as error:
                outcome.status = answer(error).status
                raise

    async def run_steps(
        self, served: Served, work: Callable[[], Iterator[T]], receive: Receive | None = None
    ) -> AsyncGenerator[T, None]:
        """As `run`, bit by bit."""
        arrived_ns = time.perf_counter_ns()
        try:
            async with served.turns:
                laps = Laps(began_ns=time.perf_counter_ns())
                async with contextlib.aclosing(Steps(self._workers, work, receive).given()) as given:
                    async for step in given:
                        yield step
        except Exception:
            served.statistics.failed(time.perf_counter_ns() - arrived_ns)
            raise
        laps.decoded_ns = laps.began_ns
        laps.inferred_ns = laps.encoded_ns = time.perf_counter_ns()
        served.statistics.succeeded(arrived_ns, laps, int(self._clock.wall() * 1000))

    async def run(
        self,
        served: Served,
        held: Held,
        begin: Callable[[], Computing[T]],
        length: int,
        receive: Receive | None = None,
    ) -> T:
        """Return what is computed, counted in the model's statistics; raises what it raises.

        `length` is that of the request, in bytes. `receive` says when the client has left.
        """
        arrived_ns = time.perf_counter_ns()
        laps, on_loop = Laps(), False

        def ask(call: Call) -> Any:
            laps.decoded_ns, laps.rows = time.perf_counter_ns(), call.rows
            answer = call.alone(held)
            laps.inferred_ns = time.perf_counter_ns()
            return answer

        def job() -> T:
            laps.began_ns = time.perf_counter_ns()
            result = computed(begin(), ask)
            laps.encoded_ns = time.perf_counter_ns()
            return result

        try:
            async with served.turns:
                on_loop = served.pace.is_brief(length) and self._is_alone()
                result = _here(job) if on_loop else await self._workers.run(job, receive)
        except Exception:
            served.statistics.failed(time.perf_counter_ns() - arrived_ns)
            raise
        finally:
            ended_ns = laps.encoded_ns or time.perf_counter_ns()
            if laps.began_ns:
                served.pace.took((ended_ns - laps.began_ns) / 1e9, on_loop=on_loop)
        served.statistics.succeeded(arrived_ns, laps, int(self._clock.wall() * 1000))
        return result


def told(request: Request, error: Exception) -> Response:
    """Return what a client is told of an error; the log has more where it is the model's, or ours."""
    refused = refusal(error)
    if refused.status_code == 500:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refused


def _here(job: Callable[[], T]) -> T:
    """Run the job on the loop's own thread, as in one that has no loop: a model may use asyncio.run()."""
    loop = asyncio.get_running_loop()
    asyncio._set_running_loop(None)  # noqa: SLF001  # exported for those who run loops
    try:
        return job()
    except (SystemExit, KeyboardInterrupt, StopIteration) as error:
        raise ModelError(f"the model raised {type(error).__name__}") from error
    finally:
        asyncio._set_running_loop(loop)  # noqa: SLF001

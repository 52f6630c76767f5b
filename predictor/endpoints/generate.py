"""Triton's generate extension: one answer, or a stream of them as server-sent events."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from predictor.calls import Computing
from predictor.endpoints.body import Octets
from predictor.endpoints.inference import GONE, Inference, told
from predictor.endpoints.reply import Reply
from predictor.loading.held import Held
from predictor.served import Served
from torpor.web.status import answer

EVENTS = "text/event-stream"


class Generate:
    """The endpoints `generate` and `generate_stream` of each model."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    def routes(self) -> list[BaseRoute]:
        found: list[BaseRoute] = []
        for path in ("/v2/models/{model:model}", "/v2/models/{model:model}/versions/{version}"):
            found += [
                Route(f"{path}/generate", self._once, methods=["POST"]),
                Route(f"{path}/generate_stream", self._stream, methods=["POST"]),
            ]
        return found

    async def _once(self, request: Request) -> Response | Reply:
        return await self._inference.answer(request, "v2", _generate)

    async def _stream(self, request: Request) -> Response:
        steps = self._inference.steps(request, "v2", _steps)
        # What fails before the first event is an error as any other; after it, an event says so.
        try:
            first = await anext(steps, None)
        except ClientDisconnect:
            return Response(status_code=GONE)
        except Exception as error:
            return told(f"{request.method} {request.url.path}", error)

        async def events() -> AsyncIterator[bytes]:
            step = first
            async with contextlib.aclosing(steps):
                try:
                    while step is not None:
                        yield b"data: " + step + b"\n\n"
                        step = await anext(steps, None)
                except Exception as error:
                    yield b"data: " + orjson.dumps({"error": answer(error).message}) + b"\n\n"

        return StreamingResponse(events(), media_type=EVENTS, headers={"Cache-Control": "no-cache"})


def _generate(served: Served, held: Held, body: Octets) -> Computing[Reply]:
    """Compute the one answer."""
    from predictor.endpoints.v2compute import checked  # noqa: PLC0415  # brings numpy
    from torpor.protocol import generate  # noqa: PLC0415

    request = generate.decode(body, _inputs(held))
    outputs = yield checked(held, request)
    return Reply((generate.encode(served.name, served.version, request.id, outputs),))


def _steps(served: Served, held: Held, body: Octets) -> Iterator[bytes]:
    from predictor.endpoints.v2compute import checked  # noqa: PLC0415  # brings numpy
    from torpor.protocol import generate  # noqa: PLC0415

    request = generate.decode(body, _inputs(held))
    if held.streams is None:
        yield generate.encode(served.name, served.version, request.id, checked(held, request).alone(held))
        return
    with contextlib.closing(held.streams.stream(request.inputs, request.parameters)) as answers:
        for outputs in answers:
            yield generate.encode(served.name, served.version, request.id, outputs)


def _inputs(held: Held) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(each.name, each.datatype, each.shape) for each in held.signature.inputs]

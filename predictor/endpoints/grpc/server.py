"""The gRPC server: methods, health, reflection, limits, codes, and an end that answers what it has begun."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from predictor.endpoints.grpc.service import Service
from predictor.endpoints.inference import Inference, Outcome
from predictor.models import Models
from torpor.protocol.grpc.codec import Request, Response
from torpor.protocol.grpc.messages import METHODS, POOL, SERVICE, Message, Method
from torpor.web.status import answer

log = logging.getLogger(__name__)

CODES: Mapping[int, grpc.StatusCode] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""By the HTTP status of the same error; any other is INTERNAL."""
WATCH_S = 0.25
"""How often a watched health looks at the models; nobody looks where nobody watches."""


class GrpcServer:
    """Serves on the addresses that it was told to listen on, from `start` to `end`."""

    def __init__(self, service: Service, inference: Inference, models: Models, *, max_message_bytes: int) -> None:
        self._inference = inference
        self._models = models
        options = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.so_reuseport", 0),  # a port that is taken is told, not shared
        ]
        self._server = grpc.aio.server(options=options)
        handlers = {name: self._handler(method, service) for name, method in METHODS.items()}
        self._server.add_registered_method_handlers(SERVICE, handlers)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(_Health(models), self._server)
        for each in (health_pb2, reflection_pb2):
            POOL.AddSerializedFile(each.DESCRIPTOR.serialized_pb)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(names, pool=POOL), self._server
        )

    def listen(self, address: str) -> int:
        """Take an address, `host:port` or `unix:path`; returns the port. Raises RuntimeError if it is taken."""
        port: int = self._server.add_insecure_port(address)
        return port

    async def start(self) -> None:
        await self._server.start()

    async def end(self, grace_s: float) -> None:
        """Take no further calls; those in flight have so long."""
        await self._server.stop(grace_s)

    def _handler(self, method: Method, service: Service) -> Any:
        call = getattr(service, _snake(method.name))
        # Tensors go past protobuf, both ways.
        takes_tensors = method.request is METHODS["ModelInfer"].request
        gives_tensors = method.response is METHODS["ModelInfer"].response
        kinds = {
            "request_deserializer": Request.read if takes_tensors else method.request.FromString,
            "response_serializer": Response.written if gives_tensors else method.response.SerializeToString,
        }
        if method.streams:

            async def stream(requests: AsyncIterator[Message], context: Any) -> AsyncIterator[Message]:
                del context
                async for response in call(requests):
                    yield response

            return grpc.stream_stream_rpc_method_handler(stream, **kinds)
        if method.name == "ModelInfer":

            async def unary(request: Message, context: Any) -> Message:
                with self._inference.counted("grpc") as outcome:
                    return await _told(call(request), context, method.name, outcome)
        else:

            async def unary(request: Message, context: Any) -> Message:
                return await _told(call(request), context, method.name, Outcome())

        return grpc.unary_unary_rpc_method_handler(unary, **kinds)


async def _told(work: Awaitable[Message], context: Any, name: str, outcome: Outcome) -> Message:
    """Return the response, or end the call with what went wrong; `outcome` says which."""
    try:
        response = await work
    except Exception as error:
        told = answer(error)
        outcome.status = told.status
        if told.status == 500:
            log.exception("%s failed", name)
        if told.retry_after_s is not None:
            context.set_trailing_metadata((("retry-after", str(told.retry_after_s)),))
        await context.abort(CODES.get(told.status, grpc.StatusCode.INTERNAL), told.message)
        raise  # not reached: abort raises
    outcome.status = 200
    return response


class _Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # made by protoc
    """grpc.health.v1: the server as a whole, and the inference service, are as ready as the pod."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def Check(self, request: Message, context: Any) -> Message:  # noqa: N802  # gRPC's name
        if request.service not in {"", SERVICE}:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"service {request.service!r} is not here; {SERVICE} is")
        return self._state()

    async def Watch(self, request: Message, context: Any) -> AsyncIterator[Message]:  # noqa: N802  # gRPC's name
        del context
        if request.service not in {"", SERVICE}:
            yield health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
            await asyncio.Event().wait()  # as the protocol has it: it may come, and the client ends the call
        told = None
        while True:
            state = self._state()
            if state != told:
                told = state
                yield state
            await asyncio.sleep(WATCH_S)

    def _state(self) -> Message:
        kinds = health_pb2.HealthCheckResponse
        return kinds(status=kinds.SERVING if self._models.is_ready else kinds.NOT_SERVING)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()

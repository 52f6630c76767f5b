"""The gRPC server: methods, health, reflection, limits, codes, and an end that answers what it has begun."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from predictor.endpoints.grpc.ending import Ending
from predictor.endpoints.grpc.health import Health
from predictor.endpoints.grpc.service import Service, details
from predictor.endpoints.inference import Inference, Outcome
from predictor.models import Models
from torpor.errors import UnavailableError
from torpor.protocol.grpc.codec import Request, Response, no_message
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
NOT_OFFERED: Mapping[str, str] = {
    "TraceSetting": "what is traced is the operator's to say",
    "LogSettings": "what is logged is the operator's to say",
    "SystemSharedMemory": "shared memory is not offered; send the tensors",
    "CudaSharedMemory": "shared memory is not offered; send the tensors",
}
"""Triton's further methods, by how their names begin."""


class GrpcServer:
    """Serves on the addresses that it was told to listen on, from `start` to `end`."""

    def __init__(self, service: Service, inference: Inference, models: Models, *, max_message_bytes: int) -> None:
        self._inference = inference
        options = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.so_reuseport", 0),  # a port that is taken is told, not shared
        ]
        self._server = grpc.aio.server(options=options)
        self._ending = Ending()
        handlers = {name: self._handler(method, service) for name, method in METHODS.items()}
        self._server.add_registered_method_handlers(SERVICE, handlers)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers), _Missing()))
        health_pb2_grpc.add_HealthServicer_to_server(Health(models, self._ending), self._server)
        for each in (health_pb2, reflection_pb2):
            POOL.AddSerializedFile(each.DESCRIPTOR.serialized_pb)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(_Reflection(names, self._ending), self._server)

    def listen(self, address: str) -> int:
        """Take an address, `host:port` or `unix:path`; returns the port. Raises RuntimeError if it is taken."""
        port: int = self._server.add_insecure_port(address)
        return port

    async def start(self) -> None:
        await self._server.start()

    async def end(self, grace_s: float) -> None:
        """Take no further calls; those in flight have so long. Streams end as soon as nothing of them is in flight."""
        self._ending.begin()
        await self._server.stop(grace_s)

    def _handler(self, method: Method, service: Service) -> Any:
        call = getattr(service, _snake(method.name))
        # Tensors go past protobuf, and bytes that are no message are an error like any other: so both are read here.
        read = Request.read if method.request is METHODS["ModelInfer"].request else partial(_read, method)
        gives_tensors = method.response is METHODS["ModelInfer"].response
        write = Response.written if gives_tensors else method.response.SerializeToString
        if method.streams:

            async def stream(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[Message]:
                try:
                    async with (
                        contextlib.aclosing(self._ending.until(requests)) as taken,
                        contextlib.aclosing(call(taken)) as given,
                    ):
                        async for response in given:
                            yield response
                except UnavailableError as error:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))

            return grpc.stream_stream_rpc_method_handler(stream, response_serializer=write)

        async def unary(data: bytes, context: Any) -> Message:
            if method.name != "ModelInfer":
                return await _told(lambda: call(read(data)), context, method.name, Outcome())
            with self._inference.counted("grpc") as outcome:
                return await _told(lambda: call(read(data)), context, method.name, outcome)

        return grpc.unary_unary_rpc_method_handler(unary, response_serializer=write)


async def _told(work: Callable[[], Awaitable[Message]], context: Any, name: str, outcome: Outcome) -> Message:
    """Return the response, or end the call with what went wrong; `outcome` says which."""
    try:
        response = await work()
    except Exception as error:
        told = answer(error)
        outcome.status = told.status
        if told.status == 500:
            log.exception("%s failed", name)
        if told.retry_after_s is not None:
            context.set_trailing_metadata((("retry-after", str(told.retry_after_s)),))
        await context.abort(CODES.get(told.status, grpc.StatusCode.INTERNAL), details(told.message))
        raise  # not reached: abort raises
    outcome.status = 200
    return response


def _read(method: Method, data: bytes) -> Message:
    try:
        return method.request.FromString(data)
    except DecodeError as error:
        raise no_message(data, method.request.DESCRIPTOR.name) from error


class _Missing(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    """Says of Triton's further methods why they are not here; of any other grpcio says that it is not."""

    def service(self, handler_call_details: Any) -> Any:
        path = handler_call_details.method
        for name, why in NOT_OFFERED.items():
            if path.startswith(f"/{SERVICE}/{name}"):

                async def refuse(_data: bytes, context: Any, why: str = why) -> None:
                    await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{path}: {why}")

                return grpc.unary_unary_rpc_method_handler(refuse)
        return None


class _Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]  # grpcio has no types
    """grpcio's own, whose streams end with the server."""

    def __init__(self, names: Sequence[str], ending: Ending) -> None:
        super().__init__(names, pool=POOL)
        self._ending = ending

    async def ServerReflectionInfo(  # noqa: N802  # gRPC's name
        self, request_iterator: AsyncIterator[Message], unused_context: Any
    ) -> AsyncIterator[Message]:
        async with contextlib.aclosing(self._ending.until(request_iterator)) as taken:
            try:
                async for response in super().ServerReflectionInfo(taken, unused_context):
                    yield response
            except UnavailableError as error:
                await unused_context.abort(grpc.StatusCode.UNAVAILABLE, str(error))


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()

"""grpc.health.v1: the server as a whole, and the inference service, are as ready as the pod."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from predictor.endpoints.grpc.ending import Ending
from predictor.models import Models
from torpor.protocol.document import brief
from torpor.protocol.grpc.messages import SERVICE, Message

WATCH_S = 0.25
"""How often a watched health looks at the models; nobody looks where nobody watches."""
_STATES = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # made by protoc
    """Asks the models each time."""

    def __init__(self, models: Models, ending: Ending) -> None:
        self._models = models
        self._ending = ending

    async def Check(self, request: Message, context: Any) -> Message:  # noqa: N802  # gRPC's name
        if request.service not in {"", SERVICE}:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, f"service {brief(request.service)} is not here; {SERVICE} is"
            )
        return self._state()

    async def Watch(self, request: Message, context: Any) -> AsyncIterator[Message]:  # noqa: N802  # gRPC's name
        """Give each state as it comes; a service that is not here may come, says the protocol, and is waited for."""
        del context
        if request.service not in {"", SERVICE}:
            yield _STATES(status=_STATES.SERVICE_UNKNOWN)
            await self._ending.within(None)
            return
        told, is_ending = None, False
        while not is_ending:
            state = self._state()
            if state != told:
                told = state
                yield state
            is_ending = await self._ending.within(WATCH_S)
        if told != (last := self._state()):
            yield last

    def _state(self) -> Message:
        return _STATES(status=_STATES.SERVING if self._models.is_ready else _STATES.NOT_SERVING)

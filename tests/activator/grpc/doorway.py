"""The door's HTTP/2 side on a real socket, and official clients before it."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import grpc

from activator.grpc.client import ClientLine
from activator.settings import ClientLimits, PodLimits, StreamLimits, Waiting
from tests.activator.grpc.pods import ANY_SIZE, SERVICE, Pod, pod
from tests.activator.proxy.doorway import Doorway, doorway
from torpor.aio.clock import Clock

HOST = "app.default.example.test"


@contextlib.asynccontextmanager
async def grpc_doorway(
    client: ClientLimits | None = None,
    pods: PodLimits | None = None,
    waiting: Waiting | None = None,
    clock: Clock | None = None,
    *,
    streams: StreamLimits | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[Doorway, int]]:
    """Give the door, whose pods speak HTTP/2, and the port for HTTP/2."""
    async with doorway(client, pods, waiting, clock) as door:
        door.port_name = "h2c"
        limits = streams or StreamLimits()
        await door.server.listen("grpc-port", lambda: ClientLine(door.door, limits), "127.0.0.1", 0, tls)
        yield door, door.server.ports[-1]


@contextlib.asynccontextmanager
async def served(*, concurrency: int = 0, **given: Any) -> AsyncIterator[tuple[Doorway, Pod, grpc.aio.Channel]]:
    """A door with one service `app`, one pod behind it, and a client."""
    async with pod() as made, grpc_doorway(**given) as (door, port), channel(port) as client:
        door.deploy("app", made.port, concurrency=concurrency)
        yield door, made, client


@contextlib.asynccontextmanager
async def channel(port: int, host: str = HOST, **options: Any) -> AsyncIterator[grpc.aio.Channel]:
    """A client of its own connection."""
    given = [
        ("grpc.default_authority", host),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        *ANY_SIZE,
        *(("grpc." + key, value) for key, value in options.items()),
    ]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=given) as made:
        yield made


def path(method: str) -> str:
    return f"/{SERVICE}/{method}"


def call(client: grpc.aio.Channel, method: str, message: bytes = b"hello", **options: Any) -> grpc.aio.UnaryUnaryCall:
    """Call a method with one message and one answer."""
    return client.unary_unary(path(method))(message, **options)


async def code_of(awaitable: Any) -> tuple[grpc.StatusCode, str]:
    """Return how a call fails."""
    try:
        answer = await awaitable
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details()
    raise AssertionError(f"it was answered: {answer!r}")

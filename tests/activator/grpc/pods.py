"""Pods that are real gRPC servers, which do what a call's name says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

SERVICE = "test.Pod"
ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Pod:
    """What a test wants to know of a pod, and how it is told to go on."""

    def __init__(self) -> None:
        self.port = 0
        self.seen: list[tuple[bytes, dict[str, Any]]] = []
        """Each call's first message, and its metadata."""
        self.time_left: list[float | None] = []
        self.now = self.peak = 0
        self.cancelled = 0
        self.go_on = asyncio.Event()
        self.produced = 0
        """Messages that a stream of answers has written."""
        self.server: Any = None

    def took(self, message: bytes, context: Any) -> None:
        self.seen.append((message, dict(context.invocation_metadata())))
        self.time_left.append(context.time_remaining())

    @contextlib.contextmanager
    def busy(self) -> Any:
        self.now += 1
        self.peak = max(self.peak, self.now)
        try:
            yield
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.now -= 1

    # --- what can be called --------------------------------------------------------------------------------------

    async def echo(self, message: bytes, context: Any) -> bytes:
        """Answer with the message, and give the metadata back in both places where there is room for it."""
        self.took(message, context)
        given = [(key, value) for key, value in context.invocation_metadata() if key.startswith("x-echo-")]
        await context.send_initial_metadata(given)
        context.set_trailing_metadata([("x-trailing-" + key[7:], value) for key, value in given])
        return message

    async def hold(self, message: bytes, context: Any) -> bytes:
        """Answer when the test says so."""
        with self.busy():
            self.took(message, context)
            await self.go_on.wait()
            return message

    async def fail(self, message: bytes, context: Any) -> bytes:
        self.took(message, context)
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "nö: 100 % wrong")
        return b""

    async def count(self, message: bytes, context: Any) -> AsyncIterator[bytes]:
        """Answer with so many messages of a kilobyte; wait before the last one if it is told to."""
        with self.busy():
            self.took(message, context)
            for number in range(int(message)):
                self.produced += 1
                yield b"%d" % number + b" " * 1024

    async def drip(self, message: bytes, context: Any) -> AsyncIterator[bytes]:
        """Answer at once with one message, and with the second when the test says so."""
        with self.busy():
            self.took(message, context)
            yield message
            await self.go_on.wait()
            yield message

    async def add(self, messages: AsyncIterator[bytes], context: Any) -> bytes:
        total = count = 0
        async for message in messages:
            if not count:
                self.took(message, context)
            count += 1
            total += len(message)
        return b"%d %d" % (count, total)

    async def talk(self, messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        with self.busy():
            async for message in messages:
                yield message.upper()

    def handlers(self) -> Any:
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
                "Hold": grpc.unary_unary_rpc_method_handler(self.hold),
                "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
                "Count": grpc.unary_stream_rpc_method_handler(self.count),
                "Drip": grpc.unary_stream_rpc_method_handler(self.drip),
                "Add": grpc.stream_unary_rpc_method_handler(self.add),
                "Talk": grpc.stream_stream_rpc_method_handler(self.talk),
            },
        )


@contextlib.asynccontextmanager
async def pod(port: int = 0, options: tuple[tuple[str, Any], ...] = ()) -> AsyncIterator[Pod]:
    """Serve until the end of the block."""
    made = Pod()
    server = made.server = grpc.aio.server(options=[*ANY_SIZE, ("grpc.so_reuseport", 0), *options])
    server.add_generic_rpc_handlers((made.handlers(),))
    made.port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield made
    finally:
        await server.stop(None)

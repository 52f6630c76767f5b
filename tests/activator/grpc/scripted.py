"""Pods that speak HTTP/2 as a test says, frame by frame."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from hyperframe.frame import Frame, GoAwayFrame

HEAD = [(":status", "200"), ("content-type", "application/grpc")]
OK = [("grpc-status", "0")]


class Line:
    """A connection from the door."""

    def __init__(self, pod: Scripted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pod = pod
        self.reader = reader
        self.writer = writer
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.events: list[events.Event] = []
        self.acknowledge = True

    async def flush(self, *frames: Frame) -> None:
        """Send what h2 has to say, and then frames that it knows nothing of."""
        self.writer.write(self.h2.data_to_send() + b"".join(frame.serialize() for frame in frames))
        await self.writer.drain()

    async def request(self) -> int:
        """Read until a request has begun; return its stream."""
        while True:
            for event in self.events:
                if isinstance(event, events.RequestReceived):
                    self.events.remove(event)
                    self.pod.seen.append(dict(event.headers))  # type: ignore[arg-type]
                    return int(event.stream_id)
            await self.read()

    async def until(self, kind: type[events.Event]) -> events.Event:
        """Read until this has happened."""
        while True:
            for event in self.events:
                if isinstance(event, kind):
                    self.events.remove(event)
                    return event
            await self.read()

    async def read(self) -> None:
        data = await self.reader.read(65536)
        if not data:
            raise ConnectionResetError
        happened = self.h2.receive_data(data)
        for event in happened:
            if isinstance(event, events.DataReceived) and self.acknowledge and event.flow_controlled_length:
                with contextlib.suppress(Exception):  # it may have ended
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.events += happened
        await self.flush()

    async def answer(self, number: int, message: bytes = b"ok") -> None:
        """Answer a call with one message."""
        self.h2.send_headers(number, HEAD)
        self.h2.send_data(number, b"\0" + len(message).to_bytes(4, "big") + message)
        self.h2.send_headers(number, OK, end_stream=True)
        await self.flush()

    async def refuse(self, number: int) -> None:
        self.h2.reset_stream(number, ErrorCodes.REFUSED_STREAM)
        await self.flush()

    async def leave(self, last: int, code: int = 0) -> None:
        await self.flush(GoAwayFrame(0, last_stream_id=last, error_code=code))


Behave = Callable[[Line], Awaitable[None]]


class Scripted:
    """What a test wants to know of it."""

    def __init__(self) -> None:
        self.port = 0
        self.seen: list[dict[str, str]] = []
        self.lines: list[Line] = []


@contextlib.asynccontextmanager
async def scripted(behave: Behave) -> AsyncIterator[Scripted]:
    """Listen; each connection does what it is told, and is closed after that."""
    made = Scripted()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        line = Line(made, reader, writer)
        made.lines.append(line)
        try:
            await line.flush()
            await behave(line)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the door may hang up at any time; what matters is asserted
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        running = list(tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def answering(line: Line) -> None:
    """Answer every call."""
    while True:
        await line.answer(await line.request())

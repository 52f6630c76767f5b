"""Pods that do what a test says, on real sockets; requests are read with a parser that is not the door's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import h11

from tests.activator.proxy.wire import Headers

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Request:
    """A request as h11 reads it."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes = b""
    trailers: Headers = field(default_factory=list)

    def header(self, name: bytes) -> bytes | None:
        """Return the only value of a header, None where it is absent."""
        values = [value for each, value in self.headers if each == name]
        assert len(values) <= 1, f"{name!r} came {len(values)} times"
        return values[0] if values else None


class Line:
    """A connection from the door."""

    def __init__(self, pod: Pod, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pod = pod
        self.reader = reader
        self.writer = writer
        self.raw = bytearray()
        """Everything that came."""
        self._parser = h11.Connection(h11.SERVER)

    async def head(self) -> Request | None:
        """Read up to the end of a request's head; None where the connection ended instead."""
        if self._parser.our_state is h11.SEND_RESPONSE:
            # The answer went out behind the parser's back.
            self._parser.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            self._parser.send(h11.EndOfMessage())
        if self._parser.our_state is h11.DONE:
            self._parser.start_next_cycle()
        event = await self._event()
        if isinstance(event, h11.ConnectionClosed):
            return None
        assert isinstance(event, h11.Request), event
        request = Request(event.method, event.target, list(event.headers))
        self.pod.seen.append(request)
        return request

    async def data(self) -> bytes | None:
        """Read some of the body; None at its end."""
        event = await self._event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        assert isinstance(event, h11.EndOfMessage), event
        self.pod.seen[-1].trailers = list(event.headers)
        return None

    async def request(self) -> Request | None:
        """Read one whole request; None where the connection ended instead."""
        request = await self.head()
        if request is not None:
            parts = []
            while (data := await self.data()) is not None:
                parts.append(data)
            request.body = b"".join(parts)
        return request

    async def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))
        await self.writer.drain()

    async def ended(self) -> None:
        """Wait until the door has ended the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        """End the connection as a killed process with unread data would."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def _event(self) -> Any:
        while (event := self._parser.next_event()) is h11.NEED_DATA:
            data = await self.reader.read(65536)
            self.raw += data
            self._parser.receive_data(data)
        return event


Behave = Callable[[Line], Awaitable[None]]


class Pod:
    """What a test wants to know of a pod."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.lines: list[Line] = []
        self.open = 0
        """Connections that have not ended."""
        self.now = self.peak = 0
        """Requests being served; counted by `answering`."""
        self.port = 0
        self.failed: list[BaseException] = []

    @property
    def request(self) -> Request:
        """The only request there was."""
        assert len(self.seen) == 1, self.seen
        return self.seen[0]


def answering(*answers: bytes) -> Behave:
    """Read whole requests and answer each; the last answer is repeated."""

    async def behave(line: Line) -> None:
        while await line.request() is not None:
            line.pod.now += 1
            line.pod.peak = max(line.pod.peak, line.pod.now)
            answer = answers[min(len(line.pod.seen), len(answers)) - 1]
            line.pod.now -= 1
            await line.send(answer)

    return behave


@contextlib.asynccontextmanager
async def pod(behave: Behave, *, port: int = 0, receive_buffer: int | None = None) -> AsyncIterator[Pod]:
    """Listen; what `behave` raises fails the test."""
    made = Pod()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        line = Line(made, reader, writer)
        made.lines.append(line)
        made.open += 1
        try:
            await behave(line)
        except ConnectionError:
            pass  # the door may hang up at any time; what matters is asserted
        except (Exception, asyncio.CancelledError) as error:
            if not isinstance(error, asyncio.CancelledError):
                made.failed.append(error)
        finally:
            made.open -= 1
            tasks.discard(task)
            writer.close()

    sock = socket.create_server(("127.0.0.1", port), backlog=1024)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    server = await asyncio.start_server(serve, sock=sock, limit=receive_buffer or 65536)
    made.port = sock.getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        running = list(tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    if made.failed:
        raise made.failed[0]

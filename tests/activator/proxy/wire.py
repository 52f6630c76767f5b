"""A client that sends bytes as they are, and reads answers with a parser that is not the door's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import h11

Headers = list[tuple[bytes, bytes]]


@dataclass
class Answer:
    """An answer as h11 reads it."""

    status: int
    headers: Headers
    body: bytes = b""
    trailers: Headers = field(default_factory=list)
    interim: list[int] = field(default_factory=list)

    def header(self, name: bytes) -> bytes | None:
        """Return the only value of a header, None where it is absent."""
        values = [value for each, value in self.headers if each == name]
        assert len(values) <= 1, f"{name!r} came {len(values)} times"
        return values[0] if values else None

    @property
    def reason(self) -> str:
        """The machine-readable part of an error."""
        said = json.loads(self.body)
        assert set(said) == {"error", "reason"}
        return said["reason"]


class Wire:
    """One connection to the door."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._unread = b""

    async def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))
        await self.writer.drain()

    async def head(self, method: str = "GET") -> tuple[h11.Connection, Answer]:
        """Read up to the end of an answer's head; `body_of` takes it from there."""
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        parser.send(h11.EndOfMessage())
        if self._unread:  # nothing would mean the end
            parser.receive_data(self._unread)
        interim = []
        while True:
            event = await self._event(parser)
            if isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            else:
                assert isinstance(event, h11.Response), event
                return parser, Answer(event.status_code, list(event.headers), interim=interim)

    async def answer(self, method: str = "GET") -> Answer:
        """Read one whole answer."""
        parser, answer = await self.head(method)
        parts = []
        while isinstance(event := await self._event(parser), h11.Data):
            parts.append(bytes(event.data))
        assert isinstance(event, h11.EndOfMessage), event
        answer.body, answer.trailers = b"".join(parts), list(event.headers)
        self._unread = parser.trailing_data[0]
        return answer

    async def ask(self, *data: bytes, method: str = "GET") -> Answer:
        await self.send(*data)
        return await self.answer(method)

    async def until(self, marker: bytes) -> bytes:
        """Read raw bytes up to and with a marker."""
        return anonymous(await asyncio.wait_for(self.reader.readuntil(marker), 5))

    async def rest(self) -> bytes:
        """Read raw bytes to the end of the connection."""
        return anonymous(self._unread + await asyncio.wait_for(self.reader.read(), 5))

    async def ends(self) -> bool:
        """Tell whether the door ends the connection and sends nothing before."""
        return await self.rest() == b""

    def reset(self) -> None:
        """End the connection as a crashed machine would: no goodbye."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def _event(self, parser: h11.Connection) -> Any:
        while (event := parser.next_event()) is h11.NEED_DATA:
            parser.receive_data(await asyncio.wait_for(self.reader.read(65536), 10))
        return event


def anonymous(raw: bytes) -> bytes:
    """Return raw answers without the ids of their requests, which nobody can foretell."""
    return re.sub(rb"X-Request-Id: [^\r]*\r\n", b"", raw)


@contextlib.asynccontextmanager
async def wire(port: int, *, receive_buffer: int | None = None) -> AsyncIterator[Wire]:
    """Connect to the door; `receive_buffer`: let the kernel hold only so much that was not read."""
    sock = socket.socket()
    sock.settimeout(0)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    reader, writer = await asyncio.open_connection(sock=sock, limit=receive_buffer or 65536)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def get(path: str = "/", *lines: str, host: str = "app.default.example.test", method: str = "GET") -> bytes:
    """Return a request's head."""
    return "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", f"Host: {host}", *lines, "")).encode()


def post(body: bytes, *lines: str, path: str = "/") -> bytes:
    """Return a request with a body of known length."""
    return get(path, f"Content-Length: {len(body)}", *lines, method="POST") + body

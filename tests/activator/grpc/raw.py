"""A client that sends frames as a test wants them, and does nothing by itself."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from hyperframe.frame import Frame

from tests.activator.grpc.doorway import HOST, path

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass
class Answer:
    """What came on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    reset: int | None = None
    closed: bool = False
    """The connection ended first."""


class Raw:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.h2 = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding="utf-8",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.answers: dict[int, Answer] = {}
        self.goaways: list[tuple[int, int]] = []
        """(last stream, code) of each."""
        self.settings: dict[int, int] = {}
        self.pongs = 0
        self.closed = False
        self.credit = True
        """Open windows again as data comes."""

    async def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())
        await self.writer.drain()

    async def send(self, *frames: Frame) -> None:
        """Send frames past h2."""
        self.writer.write(self.h2.data_to_send() + b"".join(frame.serialize() for frame in frames))
        await self.writer.drain()

    async def open(self, *more: tuple[str, str], method: str = "POST", target: str, host: str = HOST, end: bool) -> int:
        """Begin a stream."""
        number = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", host), (":path", target), *more]
        self.h2.send_headers(number, head, end_stream=end)
        self.answers[number] = Answer()
        await self.flush()
        return number

    async def ask(self, method: str, message: bytes, *more: tuple[str, str], end: bool = True) -> int:
        """Begin a gRPC call with one message."""
        fields = (("content-type", "application/grpc"), ("te", "trailers"), *more)
        number = await self.open(*fields, target=path(method), end=False)
        self.h2.send_data(number, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=end)
        await self.flush()
        return number

    async def until(self, fits: Callable[[], object]) -> None:
        """Read until it is so, or the connection ends."""
        async with asyncio.timeout(10):
            while not fits() and not self.closed:
                try:
                    data = await self.reader.read(65536)
                except ConnectionError:
                    data = b""
                if not data:
                    self.closed = True
                    for answer in self.answers.values():
                        answer.closed = not answer.ended
                    return
                self._take(data)
                await self.flush()

    async def answer(self, number: int) -> Answer:
        """Read until a stream has ended."""
        answer = self.answers[number]
        await self.until(lambda: answer.ended or answer.reset is not None)
        return answer

    def _take(self, data: bytes) -> None:
        # h2 would end everything at a GOAWAY; it is looked at here instead.
        kept = bytearray()
        buffer = self._rest + data
        while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
            size = 9 + int.from_bytes(buffer[:3], "big")
            frame, buffer = buffer[:size], buffer[size:]
            if frame[3] == 7:
                self.goaways.append((int.from_bytes(frame[9:13], "big"), int.from_bytes(frame[13:17], "big")))
            else:
                kept += frame
        self._rest = buffer
        for event in self.h2.receive_data(bytes(kept)):
            self._note(event)

    _rest = b""

    def _note(self, event: events.Event) -> None:
        answer = self.answers.get(getattr(event, "stream_id", 0) or 0, Answer())
        match event:
            case events.ResponseReceived():
                answer.headers = dict(event.headers)  # type: ignore[arg-type]
            case events.TrailersReceived():
                answer.trailers = dict(event.headers)  # type: ignore[arg-type]
            case events.DataReceived():
                answer.body += event.data
                if self.credit and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case events.StreamEnded():
                answer.ended = True
            case events.StreamReset():
                answer.reset = int(event.error_code)
            case events.PingAckReceived():
                self.pongs += 1
            case events.RemoteSettingsChanged():
                self.settings |= {int(key): change.new_value for key, change in event.changed_settings.items()}


@contextlib.asynccontextmanager
async def raw(
    port: int, *, receive_buffer: int | None = None, begin: bool = True, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Raw]:
    """Connect; `begin`: greet as a client does."""
    sock = socket.socket()
    sock.settimeout(0)
    # asyncio does this for sockets that it makes itself.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    reader, writer = await asyncio.open_connection(
        sock=sock, limit=receive_buffer or 65536, ssl=tls, server_hostname=HOST if tls else None
    )
    made = Raw(reader, writer)
    if begin:
        made.h2.initiate_connection()
        await made.flush()
    try:
        yield made
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

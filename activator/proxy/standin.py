"""What takes an answer in place of the client's connection: to read it first, to copy it, or to keep it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httptools

from activator.proxy.headers import HOP_BY_HOP
from activator.throttle.remembered import Metadata, Remembered

if TYPE_CHECKING:
    from activator.proxy.exchange import Client, Exchange, Write


class StandIn:
    """Everything goes on to the client, but for what a subclass does with the answer."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.door = client.door
        self.peer = client.peer
        self.transport = client.transport
        self.out: list[bytes] = []

    @property
    def write_paused(self) -> bool:
        return self.client.write_paused

    def flush(self) -> None:
        """Take what is in `out`."""
        data = b"".join(self.out)
        self.out.clear()
        if data:
            self.took(data)

    def took(self, data: bytes) -> None:
        """Take some of the answer."""
        self.client.out.append(data)
        self.client.flush()

    def update_reading(self) -> None:
        self.client.update_reading()

    def take_early(self) -> bytes:
        return self.client.take_early()

    def connection_lost(self, exc: Exception | None) -> None:
        self.client.connection_lost(exc)

    def reply(self, exchange: Exchange, write: Write) -> None:
        """No answer of a pod, but this one."""
        self.client.reply(exchange, write)

    def fail(self, exchange: Exchange, error: Exception) -> None:
        """No answer, but this error."""
        self.client.fail(exchange, error)

    def finished(self, exchange: Exchange) -> None:
        """The answer is complete."""
        self.client.finished(exchange)

    def break_off(self, exchange: Exchange) -> None:
        """The rest of the answer will not come."""
        self.client.break_off(exchange)


class Aside(StandIn):
    """Keeps the beginning of a body from the client; `then` gets it when there is no more."""

    def __init__(self, client: Client, limit: int, then: Callable[[bytes], None]) -> None:
        super().__init__(client)
        self._limit = limit
        self._then = then
        self._body = b""

    @property
    def write_paused(self) -> bool:
        return False

    def took(self, data: bytes) -> None:
        self._body += data[: self._limit - len(self._body)]

    def finished(self, exchange: Exchange) -> None:
        exchange.client = self.client
        self._then(self._body)

    def break_off(self, exchange: Exchange) -> None:
        self.finished(exchange)


class Copying(StandIn):
    """Lets the answer pass, and remembers it as what the model says of itself if it is one."""

    def __init__(self, client: Client, metadata: Metadata, path: bytes) -> None:
        super().__init__(client)
        self._metadata = metadata
        self._path = path
        self._parser = httptools.HttpResponseParser(self)
        self._lines: list[bytes] = []
        self._body = b""
        self._fits = True

    def took(self, data: bytes) -> None:
        super().took(data)
        if self._fits:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError:
                self._fits = False

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        # What was chosen for this client, by its own headers, may be nothing for the next.
        private = lower in _CHOSEN or (lower == b"cache-control" and b"private" in value.lower())
        if private or self._parser.get_status_code() != 200:
            self._fits = False
        elif lower not in _NOT_KEPT:
            self._lines += (name, b": ", value, b"\r\n")

    def on_body(self, data: bytes) -> None:
        self._body += data
        self._fits = self._fits and len(self._body) <= Metadata.BYTES

    def on_message_complete(self) -> None:
        if self._fits and self._parser.get_status_code() == 200:
            now_s = self.door.clock.monotonic()
            self._metadata.put(self._path, Remembered(b"".join(self._lines), self._body, now_s))
            self._fits = False


_CHOSEN = frozenset({b"set-cookie", b"content-encoding", b"vary"})
_NOT_KEPT = HOP_BY_HOP | {b"content-length", b"date", b"age", b"torpor-cold-start", b"x-request-id", b"traceparent"}

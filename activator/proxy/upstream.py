"""A connection to a pod: requests out, answers in."""

from __future__ import annotations

import asyncio
import logging
import os
import select
from typing import TYPE_CHECKING, cast

import httptools

from activator.proxy.headers import COLON, CRLF, NO_TRAILER, RESPONSE_SPECIAL, STATUS_LINES, chunk
from activator.proxy.tunnel import join
from activator.throttle.pod import Pod
from torpor.errors import UpstreamError

if TYPE_CHECKING:
    from activator.proxy.exchange import Exchange
    from activator.proxy.pool import Pool

log = logging.getLogger(__name__)

HEAD_BYTES = 256 * 1024
"""Of an answer; pods are trusted more than clients, but not with all of the memory."""
READ_BYTES = 256 * 1024


class Upstream(asyncio.Protocol):
    """Serves one exchange at a time, and waits in the pool in between."""

    __slots__ = (
        "_complete",
        "_head_only",
        "_in_head",
        "_lines",
        "_parser",
        "_poll",
        "_pool",
        "_rare",
        "_read_paused",
        "_reusable",
        "_sized",
        "_spoiled",
        "_trailers",
        "_unread",
        "exchange",
        "idle_since_s",
        "out",
        "pod",
        "transport",
        "write_paused",
    )

    transport: asyncio.Transport

    def __init__(self, pool: Pool, pod: Pod) -> None:
        self._pool = pool
        self.pod = pod
        self.exchange: Exchange | None = None
        self.out: list[bytes] = []
        """Written by `flush`: head and body of a small request are one packet, and one system call."""
        self.write_paused = False
        self.idle_since_s = 0.0
        self._read_paused = False
        self._poll: select.poll | None = None
        # The answer being read.
        self._parser = httptools.HttpResponseParser(self)
        self._lines: list[bytes] = []
        self._rare: dict[bytes, bytes] | None = None
        self._trailers: list[bytes] | None = None
        self._in_head = self._sized = self._complete = self._reusable = self._spoiled = self._head_only = False
        self._unread = 0

    # --- for exchange and pool ---------------------------------------------------------------------------------

    def begin(self, exchange: Exchange, head: bytes) -> None:
        """Serve this exchange from now on; `head` is what the pod is sent."""
        self.exchange = exchange
        self._head_only = exchange.head_only
        self.out.append(head)
        if exchange.client.write_paused:
            self.pause_reading()

    def flush(self) -> None:
        """Send what is in `out`."""
        if self.out:
            # Joining costs a copy where there is more than one, several buffers cost a heavier call; both are nothing
            # beside a large body.
            self.transport.write(b"".join(self.out))
            self.out.clear()

    def drop(self) -> None:
        """Close at once: nobody wants the rest of the answer."""
        self.exchange = None
        self.out.clear()
        self.transport.abort()

    def pause_reading(self) -> None:
        """The client takes no more for now."""
        self._read_paused = True
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """The client takes more."""
        self._read_paused = False
        self.transport.resume_reading()

    def is_alive(self) -> bool:
        """Tell whether the pod has neither closed this idle connection nor said anything on it."""
        if self.transport.is_closing():
            return False
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._poll.poll(0)

    # --- asyncio's callbacks -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        limit = self._pool.buffered_bytes
        self.transport.set_write_buffer_limits(high=limit, low=limit // 4)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.transport.abort()  # it speaks without having been asked
            return
        exchange.moved = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switch(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            if not self._complete:
                self._nonsense(error)
                return
            self._spoiled = True  # the answer is whole, and followed by what nobody asked for
        if self._complete:
            self._finish()
        else:
            if exchange.client.out:
                exchange.client.flush()
            if not exchange.responded:
                self._unread += len(data)
                if self._unread > HEAD_BYTES:
                    exchange.broken(self._error("sent a header section over the limit"))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        exchange = self.exchange
        if exchange is None:
            self._pool.discard(self)
            return
        if exc is not None and not exchange.responded:
            self._salvage()
            if self.exchange is None:
                return
        if exchange.responded and not self._complete and self._ends_with_connection() and exc is None:
            self.exchange = None
            exchange.complete(None)
            return
        self._pool.suspect(self.pod)
        what = "broke off its answer" if exchange.responded else "closed the connection without an answer"
        exchange.broken(self._error(f"{what}{'' if exc is None else f' ({exc})'}"))

    def pause_writing(self) -> None:
        self.write_paused = True
        if self.exchange is not None:
            self.exchange.client.update_reading()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.exchange is not None:
            self.exchange.client.update_reading()

    # --- the parser's callbacks --------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._complete:
            self._spoiled = True  # more than was asked for
            return
        self._lines.clear()
        self._rare = self._trailers = None
        self._in_head = True
        self._sized = False

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if not self._in_head:
            if lower not in NO_TRAILER and not self._complete:
                if self._trailers is None:
                    self._trailers = []
                self._trailers += (name, COLON, value, CRLF)
        elif lower not in RESPONSE_SPECIAL:
            self._lines += (name, COLON, value, CRLF)
        elif lower == b"content-length":
            self._sized = True
            self._lines += (name, COLON, value, CRLF)
        else:
            if self._rare is None:
                self._rare = {}
            before = self._rare.get(lower)
            self._rare[lower] = value if before is None else before + b", " + value

    def on_headers_complete(self) -> None:
        self._in_head = False
        exchange = self.exchange
        if exchange is None or self._complete:
            return
        status = self._parser.get_status_code()
        if status >= 200:
            if status not in STATUS_LINES:
                raise ValueError(f"status {status}")
            if self._rare is not None and self._rare.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
                raise ValueError("Transfer-Encoding other than chunked")
            exchange.respond(status, self._lines, self._rare, sized=self._sized)
            if self._head_only:
                # The parser does not know that this was HEAD, and waits for a body that never comes.
                self._complete = True
                self._reusable = self._parser.should_keep_alive()
        elif status != 101:
            exchange.interim(status, self._lines)
        elif not exchange.upgrade:
            raise ValueError("101 without having been asked")

    def on_body(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None or self._complete:
            self._spoiled = True
        elif exchange.framed:
            exchange.client.out += chunk(data)
        else:
            exchange.client.out.append(data)

    def on_message_complete(self) -> None:
        exchange = self.exchange
        if exchange is not None and exchange.responded and not self._complete:
            self._complete = True
            self._reusable = self._parser.should_keep_alive()

    # --- ends --------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The answer is complete: give the connection to the pool before the slot goes to somebody who needs it."""
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            return
        trailers, self._trailers = self._trailers, None
        self._complete = False
        self._unread = 0
        if self._head_only:
            self._parser = httptools.HttpResponseParser(self)
        if self._reusable and exchange.request_done and not self._spoiled and not self.out:
            if self._read_paused:
                self.resume_reading()
            self._pool.give(self)
        else:
            self.transport.abort()
        exchange.complete(trailers)

    def _ends_with_connection(self) -> bool:
        return not self._sized and (self._rare is None or b"transfer-encoding" not in self._rare)

    def _salvage(self) -> None:
        """Read what came before a write failed: a pod may refuse a long body with an answer, and close."""
        self._spoiled = True
        fd = self.transport.get_extra_info("socket").fileno()
        while self.exchange is not None and not self._complete:
            try:
                data = os.read(fd, READ_BYTES)
            except OSError:
                return
            if not data:
                return
            self.data_received(data)

    def _switch(self, rest: bytes) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is None or not exchange.upgrade:
            self.transport.abort()
            return
        exchange.switch(self._lines, b"websocket")
        join(exchange, self, rest)

    def _nonsense(self, error: Exception) -> None:
        exchange = self.exchange
        if isinstance(error, httptools.HttpParserCallbackError) and not isinstance(error.__context__, ValueError):
            log.error("reading an answer failed", exc_info=error.__context__ or error)
        if exchange is not None:
            exchange.broken(self._error(f"sent an answer that is no HTTP ({error.__context__ or error})"))

    def _error(self, what: str) -> UpstreamError:
        return UpstreamError(f"pod {self.pod.at.pod} {what}")

"""A client's connection: requests in order in, answers in the same order out."""

from __future__ import annotations

import asyncio
import functools
import socket
import struct
from collections import deque
from typing import cast

from activator.proxy import answers
from activator.proxy.door import Door
from activator.proxy.exchange import INCOMPLETE, Exchange, Write
from activator.proxy.request import RequestReader
from torpor.errors import SlowClientError, UnavailableError

ESTABLISHED = 1
"""State of a TCP connection that neither side has ended (linux/tcp_states.h)."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)  # Linux has it


class ClientConnection(asyncio.Protocol):
    """One exchange is `current`; those that the client sent ahead wait their turn."""

    __slots__ = (
        "_advancing",
        "_deaf",
        "_early",
        "_feeding",
        "_last",
        "_linger_left",
        "_lingering",
        "_quiet_since_s",
        "_read_paused",
        "_reader",
        "_reply",
        "_seen",
        "_waiting",
        "current",
        "door",
        "out",
        "peer",
        "transport",
        "write_paused",
    )

    transport: asyncio.Transport

    def __init__(self, door: Door) -> None:
        self.door = door
        self.current: Exchange | None = None
        self.out: list[bytes] = []
        """Written by `flush`: head and body of a small answer are one packet, and one system call."""
        self.write_paused = False
        self.peer = b""
        """The address it came from."""
        self._waiting: deque[Exchange] = deque()
        self._read_paused = False
        # While the parser works, answers of ours wait: whether all of the request has come is known after.
        self._feeding = False
        self._reply: tuple[Exchange, Write] | None = None
        self._advancing = False
        self._last = False  # no further request is accepted
        self._deaf = False  # what comes is dropped, up to so many bytes
        self._linger_left = 0
        self._early: bytearray | None = None  # came after a request for a tunnel
        # For the watch: what it saw last, and since when.
        self._seen: object = None
        self._lingering = False
        self._quiet_since_s = 0.0

    # --- asyncio's callbacks -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0].encode() if isinstance(peer, tuple) else b"unknown"
        scheme = b"http" if transport.get_extra_info("ssl_object") is None else b"https"
        self._reader = RequestReader(self, self.door, self.peer, scheme)
        limits = self.door.limits
        self.transport.set_write_buffer_limits(high=limits.buffered_bytes, low=limits.buffered_bytes // 4)
        self._quiet_since_s = self.door.clock.monotonic()
        self.door.connections.add(self)
        if len(self.door.connections) > limits.connections:
            self._last = True
            error = UnavailableError(f"{limits.connections} connections are open already; try again later")
            status, data = answers.write(error, close=True)
            self.door.codes[status // 100] += 1
            self.transport.write(data)
            self._linger()

    def data_received(self, data: bytes) -> None:
        if self._deaf or self._early is not None:
            self._put_aside(data)
            return
        self._feeding = True
        self._reader.feed(data)
        self._feeding = False
        if self._reply is not None:
            reply, self._reply = self._reply, None
            self._write_reply(*reply)
        current = self.current
        if current is not None:
            upstream = current.upstream
            if upstream is not None and upstream.out:
                upstream.flush()

    def eof_received(self) -> bool:
        self._abandon()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # gone is gone
        self.door.connections.discard(self)
        self._abandon()

    def pause_writing(self) -> None:
        self.write_paused = True
        if self.current is not None and self.current.upstream is not None:
            self.current.upstream.pause_reading()
        self.update_reading()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.current is not None and self.current.upstream is not None:
            self.current.upstream.resume_reading()
        self.update_reading()

    # --- for the reader ----------------------------------------------------------------------------------------

    def begin(self, exchange: Exchange) -> None:
        """Take in a request whose head is complete."""
        if self._last:
            exchange.dropped()
            return
        self._last = not exchange.keep_alive
        if self.current is None:
            self.current = exchange
            exchange.start()
            return
        self._waiting.append(exchange)
        if exchange.copy is not None:
            exchange.copy.behind = True
        if len(self._waiting) >= self.door.limits.pipelined:
            exchange.keep_alive = False
            self._last = True
        self.update_reading()

    def refuse(self, error: Exception) -> None:
        """What the client sends cannot be read: answer what came before, then this, then close."""
        self._deaf = True
        self._linger_left = self.door.limits.linger_bytes
        exchange = self._reader.exchange
        if exchange is None:
            exchange = Exchange(self)
            exchange.error = error
            exchange.keep_alive = False
            self.begin(exchange)
        elif exchange is self.current:
            exchange.keep_alive = False
            exchange.spoiled(error)
        else:
            exchange.keep_alive = False
            exchange.error = error
            if exchange.copy is not None:
                exchange.copy.drop(INCOMPLETE)

    def await_tunnel(self, rest: bytes) -> None:
        """Keep what follows a request for a tunnel until the pod has answered it."""
        self._early = bytearray(rest)

    def take_early(self) -> bytes:
        """Return what was kept."""
        return bytes(self._early or b"")

    # --- for exchanges -----------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what is in `out`."""
        if self.out:
            self.transport.write(b"".join(self.out))  # no copy where there is only one
            self.out.clear()

    def fail(self, exchange: Exchange, error: Exception) -> None:
        """Answer an exchange with an error."""
        self.reply(exchange, functools.partial(exchange.failure, error))

    def reply(self, exchange: Exchange, write: Write) -> None:
        """Answer an exchange with something of ours."""
        if self._feeding:
            self._reply = (exchange, write)
        else:
            self._write_reply(exchange, write)

    def finished(self, exchange: Exchange) -> None:
        """The answer to the current exchange is written: go on to the next, if there may be one."""
        self.current = None
        if not exchange.keep_alive or not exchange.request_done:
            self._linger()
        elif self._waiting:
            if not self._advancing:
                self._advance()
        elif self.door.draining:
            self._linger()
        elif self._read_paused or self.write_paused:
            self.update_reading()

    def abort(self) -> None:
        """Close at once; whatever is going on is given up."""
        self.transport.abort()

    def break_off(self, exchange: Exchange) -> None:
        """Close in the middle of an answer: the client must not take what it has for a complete one."""
        self._drop_waiting()
        self.current = None
        self._last = True
        self.flush()
        if exchange.http10:  # to which the end of the connection is the end of the body
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.transport.abort()
        else:
            self.transport.close()

    def update_reading(self) -> None:
        """Read on, or let the client wait, as what is buffered allows."""
        current = self.current
        # A client that does not read its answers gets no further requests in; a body may go on.
        deaf_client = self.write_paused and (current is None or current.request_done)
        wanted = deaf_client or bool(self._waiting) or (current is not None and current.full)
        if wanted != self._read_paused:
            self._read_paused = wanted
            if wanted:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def _write_reply(self, exchange: Exchange, write: Write) -> None:
        keep = exchange.keep_alive and exchange.request_done and not exchange.upgrade and not self.door.draining
        exchange.keep_alive = keep
        self.out.append(write(close=not keep))
        self.flush()
        self.finished(exchange)

    def _advance(self) -> None:
        """Start what waits, up to the first that is not over at once: thousands may have to fail, so no recursion."""
        self._advancing = True
        while self._waiting and self.current is None:
            self.current = exchange = self._waiting.popleft()
            exchange.start()
            if exchange.upstream is not None:
                exchange.upstream.flush()
            if exchange.copy is not None:
                exchange.copy_on()
        self._advancing = False
        self.update_reading()

    def _drop_waiting(self) -> None:
        """Give up the requests whose turn will not come."""
        while self._waiting:
            self._waiting.popleft().dropped()

    def _abandon(self) -> None:
        self._drop_waiting()
        current, self.current = self.current, None
        if current is not None:
            current.abandon()

    # --- ends --------------------------------------------------------------------------------------------------

    def _linger(self) -> None:
        """Say that this is the end, and let the client read it: closing with data unread would destroy the answer."""
        self._last = self._deaf = self._lingering = True
        self._drop_waiting()
        self._read_paused = False
        self._early = None
        self._linger_left = self.door.limits.linger_bytes
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        elif not self._reader.incomplete:  # TLS, where ends come in pairs; nothing unread can hurt
            self.transport.close()
            return
        self.transport.resume_reading()

    def _put_aside(self, data: bytes) -> None:
        if self._early is not None:
            self._early += data
            enough = len(self._early) > self.door.limits.buffered_bytes
        else:
            self._linger_left -= len(data)
            enough = self._linger_left < 0
        if enough:
            self._read_paused = True
            self.transport.pause_reading()

    def drain(self) -> None:
        """Close if idle; what is in flight is finished first."""
        if self.current is None and not self._reader.incomplete:
            self.transport.close()

    def watch(self, now_s: float) -> None:
        """Look after what takes time: called every moment, so that no request needs a timer of its own."""
        if self.current is not None:
            self.current.watch(now_s)
            if self.current is not None and self.current.tunnel:
                return  # the protocol of both sides is another
        if self._read_paused and self._is_gone():
            self._abandon()
            self.transport.abort()
            return
        seen, limit_s = self._waits_for()
        if limit_s is None or seen != self._seen:
            self._seen, self._quiet_since_s = seen, now_s
        elif now_s - self._quiet_since_s > limit_s:
            self._too_slow(limit_s)

    def _waits_for(self) -> tuple[object, float | None]:
        """Return what the client should change by doing its part, and the longest time it may take; None: any."""
        limits, reader = self.door.limits, self._reader
        unwritten = self.transport.get_write_buffer_size()
        if self.write_paused or (unwritten and (self._lingering or self.transport.is_closing())):
            return unwritten, limits.body_silence_s
        if self._lingering:
            return "lingering", limits.linger_s
        if self._read_paused:
            return None, None  # whatever it does is not seen
        if reader.in_head:
            return ("head", reader.begun), limits.head_timeout_s
        if reader.incomplete:
            waits_itself = self.current is not None and self.current.expects
            return (None, None) if waits_itself else (reader.seen(), limits.body_silence_s)
        if self.current is None:
            return reader.seen(), limits.keep_alive_s
        return None, None

    def _too_slow(self, limit_s: float) -> None:
        if self._lingering or self.write_paused or self.transport.is_closing():
            self._abandon()
            self.transport.abort()
        elif self._reader.incomplete:
            what = "head" if self._reader.in_head else "body"
            self.refuse(SlowClientError(f"the rest of the request's {what} did not come within {limit_s:g} s"))
        else:
            self.transport.close()

    def _is_gone(self) -> bool:
        """Tell whether the client has closed while we do not read: no callback would say so."""
        if TCP_INFO is None:
            return False
        state: int = self.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, TCP_INFO, 1)[0]
        return state != ESTABLISHED

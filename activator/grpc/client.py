"""A client's HTTP/2 connection: many calls at once, each on a stream of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from h2 import events
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from activator.grpc.call import Call
from activator.grpc.connection import ANY, Connection, Stream
from activator.proxy.door import Door
from activator.proxy.forwarding import trusted
from activator.settings import StreamLimits

PING_S = 30.0
"""A client with calls that says nothing for so long is asked whether it is there, and given as long to answer."""
PING = b"torpor??"


class ClientLine(Connection[Call]):
    """What it has in common with all clients is `door`."""

    def __init__(self, door: Door, limits: StreamLimits) -> None:
        super().__init__(
            client_side=False,
            window=door.limits.buffered_bytes,
            header_bytes=door.limits.head_bytes,
            control_frames=limits.control_frames,
        )
        self.door = door
        self.lines = door.pool.http2
        self.peer = b"unknown"
        self.scheme = b"http"
        self.believed = False
        """What the peer says of earlier hops is continued."""
        self._limits = limits
        self._ids = door.next_ids()
        self._resets = 0
        self._leaving = 0
        """How many times we have said that we leave."""
        self._last = ANY
        """No stream after this one is taken."""
        # For the watch: what it saw last, and since when.
        self._seen: object = None
        self._quiet_since_s = door.clock.monotonic()
        self._heard_at, self._heard_s, self._asked = 0, self._quiet_since_s, False

    def identity(self, number: int) -> bytes:
        """Return the id of a request, unlike any other's."""
        return b"%b%x" % (self._ids, number)

    def greeting(self) -> dict[int, int]:
        return {SettingCodes.MAX_CONCURRENT_STREAMS: self._limits.streams, **super().greeting()}

    # --- asyncio's callbacks -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        door = self.door
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.peer = peer[0].encode()
        self.believed = trusted(self.peer, door.limits.trusted_proxies)
        if transport.get_extra_info("ssl_object") is not None:
            self.scheme = b"https"
        door.connections.add(self)
        if len(door.connections) > door.limits.connections:
            door.codes[5] += 1
            self.fail(ErrorCodes.NO_ERROR, f"{door.limits.connections} connections are open already; try again later")

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.connections.discard(self)
        super().connection_lost(exc)

    # --- what h2 says ------------------------------------------------------------------------------------------

    def handlers(self) -> dict[type[events.Event], Callable[[Any], None]]:
        return {
            events.RequestReceived: self._begun,
            events.DataReceived: self._data,
            events.TrailersReceived: self._trailers,
            events.StreamEnded: self._ended,
            events.StreamReset: self._reset,
            events.WindowUpdated: self._window,
            events.RemoteSettingsChanged: self._settings,
        }

    def _begun(self, event: events.RequestReceived) -> None:
        number = event.stream_id
        if len(self.streams) >= self._limits.streams or number > self._last:
            # Not looked at: the client may send it again, here or elsewhere.
            self.h2.reset_stream(number, ErrorCodes.REFUSED_STREAM)
            self._count_reset()
            return
        call = Call(self, self.door.clock.monotonic())
        stream = call.stream = Stream(self, number, call)
        self.streams[number] = stream
        if event.stream_ended is not None:
            stream.peer_done = True
            call.upload_ended(None)
        call.begin(event.headers)

    def _data(self, event: events.DataReceived) -> None:
        stream = self.took(event)
        if stream is not None:
            stream.owner.upload(event.data)

    def _trailers(self, event: events.TrailersReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.owner.upload_ended([pair for pair in event.headers if pair[0][:1] != b":"])

    def _ended(self, event: events.StreamEnded) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.peer_done = True
            stream.owner.upload_ended(None)
            if stream.closed:
                del self.streams[event.stream_id]

    def _reset(self, event: events.StreamReset) -> None:
        stream = self.streams.pop(event.stream_id, None)
        if stream is not None:
            stream.lose()
            stream.owner.abandon()
        self._count_reset()

    def _count_reset(self) -> None:
        """A client that begins and resets streams costs much and pays nothing (CVE-2023-44487, CVE-2025-8671)."""
        self._resets += 1
        if self._resets > self._limits.resets:
            self.fail(ErrorCodes.ENHANCE_YOUR_CALM, "more streams are reset than finished")

    def _window(self, event: events.WindowUpdated) -> None:
        self.window_opened(event.stream_id)

    def _settings(self, event: events.RemoteSettingsChanged) -> None:
        if SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
            self.windows_changed()

    # --- for the connection ------------------------------------------------------------------------------------

    def on_sent(self, stream: Stream[Call], size: int) -> None:
        stream.owner.sent(size)

    def on_done(self, stream: Stream[Call]) -> None:
        if self._resets:
            self._resets -= 1
        if stream.peer_done:
            self.streams.pop(stream.number, None)
        else:
            # The answer is complete and the request is not: the rest of it is of no use (RFC 9113, 8.1).
            self.reset(stream, ErrorCodes.NO_ERROR)

    def on_end(self, why: str) -> None:  # noqa: ARG002  # gone is gone
        streams, self.streams = list(self.streams.values()), {}
        for stream in streams:
            stream.lose()
            stream.owner.abandon()

    # --- ends, and time ----------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Say that we leave: calls in flight are finished, and those on their way here are still taken for a moment."""
        if not self._leaving and not self.ended:
            self._leaving = 1
            self.leave(ANY)

    def watch(self, now_s: float) -> None:
        """Look after what takes time: called every moment, so that no call needs a timer for it."""
        self._resets = max(0, self._resets - self._limits.resets // 8)
        self.sieve.idle_talk = max(0, self.sieve.idle_talk - self._limits.control_frames // 8)
        busy = False
        for stream in list(self.streams.values()):
            stream.owner.watch(now_s)
            busy = busy or not stream.owner.done
        if self._leaving:
            self._leave_further()
        if self.heard != self._heard_at:
            self._heard_at, self._heard_s, self._asked = self.heard, now_s, False
        elif busy and now_s - self._heard_s > PING_S:
            self._ask_whether_alive(now_s)
        seen, limit_s = self._waits_for(busy=busy)
        if limit_s is None or seen != self._seen:
            self._seen, self._quiet_since_s = seen, now_s
        elif now_s - self._quiet_since_s > limit_s:
            self._too_slow()

    def _waits_for(self, *, busy: bool) -> tuple[object, float | None]:
        """Return what the client should change by doing its part, and the longest time it may take; None: any."""
        limits = self.door.limits
        if self.ended:
            return "over", limits.linger_s
        unwritten = self.transport.get_write_buffer_size()
        if self.write_paused or self.transport.is_closing():
            return ("unwritten", unwritten), limits.body_silence_s
        if self.sieve.incomplete:
            return ("frame", self.sieve.frames), limits.head_timeout_s
        if not busy:
            # What was answered and is not taken counts as nothing: a client that wants it opens its window.
            return ("idle", self.heard), limits.keep_alive_s
        return None, None

    def _too_slow(self) -> None:
        if self.ended or self.write_paused or self.transport.is_closing():
            self._over("the client takes nothing")
            self.transport.abort()
        else:
            self.fail(ErrorCodes.NO_ERROR, "nothing came for too long")

    def _ask_whether_alive(self, now_s: float) -> None:
        if self._asked:
            self._over("the client does not answer")
            self.transport.abort()
        elif not self.ended:
            self._asked, self._heard_s = True, now_s
            self.h2.ping(PING)
            self.schedule()

    def _leave_further(self) -> None:
        if self._leaving == 1:
            self._leaving = 2
            self._last = self.h2.highest_inbound_stream_id
            self.leave(self._last)
        elif not self.streams and not self.transport.is_closing() and not self.ended:
            self.transport.close()

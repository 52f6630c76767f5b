"""One HTTP/2 connection, whichever side of it is ours: h2 below, streams with their own buffers above."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from activator.grpc import frames
from activator.grpc.compression import PlainEncoder
from activator.grpc.frames import Excess, Sieve

log = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]
Owner = TypeVar("Owner")
"""Whose a stream is: a call, or who asks a pod."""

LEAST_WINDOW = 65_535
"""What every peer may send on a stream before it has heard of any other limit."""
CONNECTION_WINDOW = 2**20
"""Of all streams together. It is opened again at once: what holds a sender back is its stream's own window, so that a
request that waits never stops another on the same connection."""
LINGER_BYTES = 2**22
"""Of a peer that was told to go, so much is read and dropped, so that it can read why."""
SLICE = 16_384
"""So much is parsed between two looks at the limits."""
PIECE = 1024
"""Less than so much is not kept alone: a piece of two bytes takes thirty times as many."""
ANY = 2**31 - 1
CLOSED = 16
"""Streams that have ended may lie around in h2, for a moment and for each connection."""


class _H2(H2Connection):
    """h2 counts all open streams for each that is new; here their number is bounded elsewhere."""

    MAX_CLOSED_STREAMS = 1024
    _sweep_at = CLOSED

    @property
    def open_inbound_streams(self) -> int:
        self._sweep()
        return 0

    @property
    def open_outbound_streams(self) -> int:
        self._sweep()
        return 0

    def _sweep(self) -> None:
        """Forget what is closed, once in a while."""
        if len(self.streams) > self._sweep_at:
            self._open_streams(0)
            self._sweep_at = CLOSED + 2 * len(self.streams)


class Stream(Generic[Owner]):
    """One call on one connection."""

    __slots__ = (
        "_line",
        "_unread",
        "closed",
        "finishing",
        "number",
        "out",
        "owner",
        "peer_done",
        "queued",
        "ready",
        "trailers",
    )

    def __init__(self, line: Connection[Owner], number: int, owner: Owner) -> None:
        self._line = line
        self.number = number
        self.owner = owner
        # What goes out: data, then maybe trailers, then the end.
        self.out: deque[bytes] = deque()
        self.queued = 0
        """Bytes in `out`: bounded, for who sent them gets no more window before they have left."""
        self.finishing = False
        self.trailers: Headers | None = None
        self.ready = False
        """It stands in its connection's line."""
        self.closed = False
        """Nothing can be sent any more."""
        self.peer_done = False
        """Nothing comes any more."""
        self._unread = 0

    def headers(self, headers: Headers, *, end: bool = False) -> None:
        """Send headers, before any data."""
        self._line.send_headers(self, headers, end=end)

    def write(self, data: bytes) -> None:
        """Send data, as windows allow; the line tells the owner when it has left."""
        if self.closed or not data:
            return
        out = self.out
        if out and len(out[-1]) + len(data) <= PIECE:
            out[-1] += data
        else:
            out.append(data)
        self.queued += len(data)
        self._line.make_ready(self)

    def finish(self, trailers: Headers | None = None) -> None:
        """End our side, after what is queued."""
        if self.closed or self.finishing:
            return
        self.finishing = True
        self.trailers = trailers
        self._line.make_ready(self)

    def reset(self, code: ErrorCodes) -> None:
        """End both sides at once."""
        self._line.reset(self, code)

    def lose(self) -> None:
        """Both sides have ended: what is queued goes nowhere, and is not kept for as long as the stream itself."""
        self.closed = self.peer_done = True
        self.out.clear()
        self.queued = 0

    def credit(self, size: int) -> None:
        """So much of what came has been passed on: the peer may send as much again."""
        self._unread += size
        if self._unread >= self._line.window // 2 and not self.peer_done:
            size, self._unread = self._unread, 0
            self._line.open_window(self, size)


class Connection(asyncio.Protocol, abc.ABC, Generic[Owner]):
    """Parses, buffers, writes; what streams mean is the subclass's."""

    transport: asyncio.Transport

    def __init__(self, *, client_side: bool, window: int, header_bytes: int, control_frames: int) -> None:
        # What we pass on was validated where it came in.
        config = H2Configuration(
            client_side=client_side, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = _H2(config)
        self.h2.encoder = PlainEncoder()  # type: ignore[assignment]  # of hpack's h2 uses no more
        self.window = max(LEAST_WINDOW, window)
        self._header_bytes = header_bytes
        self._control_frames = control_frames
        self.sieve = Sieve(header_bytes=4 * header_bytes, preface=not client_side)
        self.streams: dict[int, Stream[Owner]] = {}
        self.write_paused = False
        self.ended = False
        """Nothing that comes is looked at any more."""
        self.heard = 0
        """How often something came."""
        self._buffered = window
        self._ready: deque[Stream[Owner]] = deque()
        self._scheduled = False
        self._read_paused = False
        self._received = 0
        self._linger_left = LINGER_BYTES
        self._handlers = self.handlers()

    # --- what a subclass says ----------------------------------------------------------------------------------

    @abc.abstractmethod
    def handlers(self) -> dict[type[events.Event], Callable[[Any], None]]:
        """Return who takes in which of the things that h2 says."""

    @abc.abstractmethod
    def on_sent(self, stream: Stream[Owner], size: int) -> None:
        """So much of what was queued has left."""

    @abc.abstractmethod
    def on_done(self, stream: Stream[Owner]) -> None:
        """All of our side of a stream has left."""

    def on_goaway(self) -> None:  # of no concern to who takes streams only
        """The peer takes no more streams; `sieve.goaway` says more."""

    @abc.abstractmethod
    def on_end(self, why: str) -> None:
        """The connection is over; called once."""

    def greeting(self) -> dict[int, int]:
        """Return what we say of ourselves at first."""
        return {
            SettingCodes.INITIAL_WINDOW_SIZE: self.window,
            SettingCodes.MAX_HEADER_LIST_SIZE: self._header_bytes,
        }

    # --- asyncio's callbacks -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=self._buffered, low=self._buffered // 4)
        h2 = self.h2
        client_side = h2.config.client_side
        # What h2 enforces holds from the first byte, before the peer can know of it; what it would end the connection
        # for (too many streams) is refused one by one instead. So h2's own greeting is not the one that is sent.
        h2.local_settings = Settings(
            client=client_side,
            initial_values={SettingCodes.INITIAL_WINDOW_SIZE: self.window, SettingCodes.MAX_CONCURRENT_STREAMS: ANY},
        )
        h2.decoder.max_header_list_size = 4 * self._header_bytes
        h2.initiate_connection()
        h2.clear_outbound_data_buffer()
        h2.increment_flow_control_window(CONNECTION_WINDOW - LEAST_WINDOW)
        first = frames.settings(self.greeting()) + h2.data_to_send()
        self.transport.write(frames.PREFACE + first if client_side else first)

    def data_received(self, data: bytes) -> None:
        if self._drop(data):
            return
        self.heard += 1
        for at in range(0, len(data), SLICE):
            if self.ended:
                return
            self._take(data[at : at + SLICE] if len(data) > SLICE else data)

    def _drop(self, data: bytes) -> bool:
        """Tell whether what comes is of no use any more; not too much of it."""
        if self.ended:
            self._linger_left -= len(data)
            if self._linger_left < 0:
                self.transport.abort()
        return self.ended

    def _take(self, data: bytes) -> None:
        sifted = self.sieve.feed(data, self._control_frames)
        if isinstance(sifted, Excess):
            too_long = sifted is Excess.FRAME
            self.fail(ErrorCodes.FRAME_SIZE_ERROR if too_long else ErrorCodes.ENHANCE_YOUR_CALM, sifted.value)
            return
        try:
            happened = self.h2.receive_data(sifted)
        except ProtocolError as error:
            self.fail(error.error_code, str(error))
            return
        for event in happened:
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event)
                if self.ended:
                    return
        if self.sieve.goaway is not None:
            self.on_goaway()
        self.schedule()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._over("the connection was closed" if exc is None else str(exc))

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._read_paused and not self.transport.is_closing():
            self._read_paused = False
            self.transport.resume_reading()
        self.schedule()

    # --- sending -----------------------------------------------------------------------------------------------

    def send_headers(self, stream: Stream[Owner], headers: Headers, *, end: bool) -> None:
        if stream.closed:
            return
        try:
            self.h2.send_headers(stream.number, headers, end_stream=end)
        except ProtocolError:  # the peer has ended it in the same breath; its event comes next
            stream.closed = True
            return
        self.schedule()
        if end:
            stream.closed = stream.finishing = True
            self.on_done(stream)

    def make_ready(self, stream: Stream[Owner]) -> None:
        if not stream.ready:
            stream.ready = True
            self._ready.append(stream)
        self.schedule()

    def reset(self, stream: Stream[Owner], code: ErrorCodes) -> None:
        stream.lose()
        if self.streams.pop(stream.number, None) is not None:
            with contextlib.suppress(ProtocolError):
                self.h2.reset_stream(stream.number, code)
            self.schedule()

    def open_window(self, stream: Stream[Owner], size: int) -> None:
        with contextlib.suppress(ProtocolError, KeyError):  # it has ended in the same breath
            self.h2.increment_flow_control_window(size, stream.number)
            self.schedule()

    def took(self, event: events.DataReceived) -> Stream[Owner] | None:
        """Data has come: open the connection's window again, and the stream's for what is only padding.

        Returns the stream, None where it is gone.
        """
        size = event.flow_controlled_length
        self._acknowledge(size)
        stream = self.streams.get(event.stream_id)
        padding = size - len(event.data)
        if stream is not None and padding:
            stream.credit(padding)
        return stream

    def _acknowledge(self, size: int) -> None:
        self._received += size
        if self._received >= CONNECTION_WINDOW // 4:
            size, self._received = self._received, 0
            self.h2.increment_flow_control_window(size)

    def window_opened(self, number: int) -> None:
        """The peer takes more on a stream, or (0) on all."""
        if number:
            stream = self.streams.get(number)
            if stream is not None and (stream.out or stream.finishing):
                self.make_ready(stream)
        else:
            self.schedule()

    def windows_changed(self) -> None:
        """The peer may take more on every stream."""
        for stream in self.streams.values():
            if stream.out:
                self.make_ready(stream)

    def schedule(self) -> None:
        """Write soon: all that is said in one turn of the loop goes out together."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self.transport.is_closing():
            return
        more = True
        while more:
            more = not self.write_paused and self._pump()
            data = self.h2.data_to_send()
            if data:
                self.transport.write(data)
        # Answers to what the peer sends (acknowledgements, resets) must not pile up while it reads none of them.
        if self.write_paused and not self._read_paused and self._is_choked():
            self._read_paused = True
            self.transport.pause_reading()

    def _is_choked(self) -> bool:
        return self.transport.get_write_buffer_size() > 4 * self._buffered + CONNECTION_WINDOW // 4

    def _pump(self) -> bool:
        """Send a frame of each stream in turn; True where there is more that might go."""
        left = self._buffered
        ready = self._ready
        while ready:
            if left <= 0:
                return True
            stream = ready.popleft()
            stream.ready = False
            if stream.closed:
                continue
            sent = self._send(stream)
            if sent < 0:  # the whole connection's window is shut
                stream.ready = True
                ready.appendleft(stream)
                return False
            left -= sent
        return False

    def _send(self, stream: Stream[Owner]) -> int:
        """Send one frame; returns how much of the data has left, -1 where nothing can on this connection."""
        h2, out = self.h2, stream.out
        size = 0
        try:
            if out:
                room = min(h2.local_flow_control_window(stream.number), h2.max_outbound_frame_size)
                if room <= 0:
                    return -1 if h2.outbound_flow_control_window <= 0 else 0
                data = _cut(out, room)
                size = len(data)
                stream.queued -= size
                last = not out and stream.finishing and stream.trailers is None
                h2.send_data(stream.number, data, end_stream=last)
                stream.closed = last
            elif stream.finishing and stream.trailers is None:
                h2.end_stream(stream.number)
                stream.closed = True
            if not out and not stream.closed and stream.trailers is not None:
                h2.send_headers(stream.number, stream.trailers, end_stream=True)
                stream.closed = True
        except ProtocolError:  # the peer has ended it in the same breath; its event comes next
            stream.closed = True
            return size
        if out:
            self.make_ready(stream)
        if size:
            self.on_sent(stream, size)
        if stream.closed:
            self.on_done(stream)
        return size

    # --- ends --------------------------------------------------------------------------------------------------

    def leave(self, last: int, code: int = 0, said: bytes = b"") -> None:
        """Say that no stream after `last` is taken."""
        if not self.transport.is_closing():
            self.transport.write(self.h2.data_to_send() + frames.goaway(last, code, said))

    def fail(self, code: ErrorCodes | int, why: str) -> None:
        """End the connection because of what the peer does."""
        if self.ended:
            return
        log.info("an HTTP/2 connection is ended: %s", why)
        said = self.h2.data_to_send()
        if not self.transport.is_closing():
            last = self.h2.highest_inbound_stream_id
            self.transport.write(said + frames.goaway(last, int(code), why.encode()[:200]))
            # Closing with data unread would destroy what was said: the peer shall close, or the watch does.
            if self.transport.can_write_eof():
                self.transport.write_eof()
                self.transport.resume_reading()
            else:
                self.transport.close()
        self._over(why)

    def abort(self) -> None:
        """Close at once; whatever is going on is given up."""
        self.transport.abort()

    def _over(self, why: str) -> None:
        if not self.ended:
            self.ended = True
            self.on_end(why)
            self._ready.clear()


def _cut(out: deque[bytes], room: int) -> bytes:
    """Take up to `room` bytes off the front."""
    data = out.popleft()
    if len(data) > room:
        out.appendleft(data[room:])
        return data[:room]
    if out and len(data) + len(out[0]) <= room:
        parts, size = [data], len(data)
        while out and size + len(out[0]) <= room:
            size += len(out[0])
            parts.append(out.popleft())
        return b"".join(parts)
    return data

"""An HTTP/1.1 client's request in HTTP/2, for a pod that speaks nothing else (`h2c` in Knative's runtime contract)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httptools
from h2.errors import ErrorCodes

from activator.grpc.asker import Asker
from activator.grpc.connection import Headers, Stream
from activator.grpc.pods import Lines
from activator.proxy.headers import COLON, CRLF, HOP_BY_HOP, NO_TRAILER, chunk
from activator.throttle.pod import Pod
from torpor.errors import TorporError, UnsupportedError, UpstreamError

if TYPE_CHECKING:
    from activator.proxy.exchange import Exchange


class Bridge:
    """To the exchange it is its upstream, to the pod's connection it is who asks.

    The exchange writes its request as for any pod; here it is read once more, by the parser that has accepted it.
    """

    __slots__ = (
        "_began",
        "_buffered",
        "_complete",
        "_exchange",
        "_headers",
        "_lines",
        "_parser",
        "_pod",
        "_stream",
        "_trailers",
        "_unread",
        "_url",
        "out",
        "write_paused",
    )

    _stream: Stream[Asker]

    def __init__(self, lines: Lines, pod: Pod, exchange: Exchange) -> None:
        self._lines = lines
        self._pod = pod
        self._exchange = exchange
        self._buffered = exchange.client.door.limits.buffered_bytes
        self.out: list[bytes] = []
        self.write_paused = False
        # The request.
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: Headers = []
        self._trailers: Headers | None = None
        self._began = self._complete = False
        # Of the answer, what the client has not taken.
        self._unread = 0

    def ask(self) -> None:
        """Send the exchange's request when there is a stream for it."""
        if self._exchange.upgrade:
            self._exchange.spoiled(UnsupportedError("a revision that speaks HTTP/2 alone (h2c) has no websockets"))
        else:
            self._lines.ask(self._pod, self)

    # --- for the exchange, as an upstream ----------------------------------------------------------------------

    def begin(self, exchange: Exchange, head: bytes) -> None:  # noqa: ARG002  # it was made for one
        self.out.append(head)

    def flush(self) -> None:
        """Send what is in `out`."""
        out, self.out = self.out, []
        for data in out:
            self._parser.feed_data(data)
        if not self._began:
            self._send_head(end=self._complete and self._trailers is None)
        if self._complete:
            self._stream.finish(self._trailers)
        if self._stream.queued >= self._buffered and not self.write_paused:
            self.write_paused = True
            self._exchange.client.update_reading()

    def drop(self) -> None:
        """Nobody wants the rest of the answer."""
        self._stream.reset(ErrorCodes.CANCEL)

    def pause_reading(self) -> None:
        """The client takes no more for now: what comes is not acknowledged."""

    def resume_reading(self) -> None:
        """The client takes more."""
        unread, self._unread = self._unread, 0
        if unread:
            self._stream.credit(unread)

    # --- the parser's callbacks --------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if self._began:
            self._trailers = [*(self._trailers or ()), (lower, value)]
        elif lower == b"host":
            self._headers.insert(0, (b":authority", value))
        elif lower not in HOP_BY_HOP:
            self._headers.append((lower, value))

    def on_body(self, data: bytes) -> None:
        if not self._began:
            self._send_head(end=False)
        self._stream.write(data)

    def on_message_complete(self) -> None:
        self._complete = True

    def _send_head(self, *, end: bool) -> None:
        self._began = True
        pseudo = [(b":method", self._parser.get_method()), (b":scheme", b"http"), (b":path", self._url)]
        # Trailers are passed on, whether the client asked for them or not: gRPC's servers insist.
        self._stream.headers([*pseudo, *self._headers, (b"te", b"trailers")], end=end)

    # --- for the pod's connection, as who asks -----------------------------------------------------------------

    @property
    def done(self) -> bool:
        return self._exchange.done

    def attached(self, stream: Stream[Asker]) -> None:
        self._stream = stream
        self._exchange.attach(self)
        self.flush()

    def unreachable(self, pod: Pod, why: str, limit_s: float) -> None:
        self._exchange.unreachable(pod, why, limit_s)

    def unprocessed(self, pod: Pod, why: str) -> None:
        exchange = self._exchange
        has_body = exchange.chunked or any(name == b"content-length" for name, _ in self._headers)
        if exchange.responded or not self._complete or has_body:
            self.broken(UpstreamError(f"pod {pod.at.pod} {why}, and the request is not here any more"))
        elif not exchange.done:
            exchange.upstream = None
            again = exchange.refused_since_s is not None and not pod.ejected  # as for a call
            exchange.unreachable(pod, why, self._lines.refused_s, eject=again)

    def uploaded(self, size: int) -> None:  # noqa: ARG002  # what is left counts
        if self.write_paused and self._stream.queued < self._buffered // 4:
            self.write_paused = False
            self._exchange.client.update_reading()

    def interim(self, headers: Headers) -> None:
        status, lines, _ = _lines_of(headers)
        self._exchange.interim(status, lines)
        self._exchange.client.flush()

    def answered(self, headers: Headers, *, end: bool) -> None:  # noqa: ARG002  # the end is told apart
        exchange = self._exchange
        exchange.moved = True
        status, lines, sized = _lines_of(headers)
        exchange.respond(status, lines, None, sized=sized)
        exchange.client.flush()

    def downloaded(self, data: bytes) -> None:
        exchange = self._exchange
        exchange.moved = True
        if exchange.framed:
            if data:  # an empty chunk is the end
                exchange.client.out += chunk(data)
        else:
            exchange.client.out.append(data)
        exchange.client.flush()
        self._unread += len(data)
        if not exchange.client.write_paused:
            self.resume_reading()

    def answer_ended(self, trailers: Headers | None) -> None:
        if not self._exchange.done:
            _, lines, _ = _lines_of([pair for pair in trailers or () if pair[0] not in NO_TRAILER])
            self._exchange.complete(lines or None)

    def broken(self, error: TorporError) -> None:
        self._exchange.upstream = None
        self._exchange.broken(error)


def _lines_of(headers: Headers) -> tuple[int, list[bytes], bool]:
    """Return status, header lines, and whether among them is a Content-Length. h2 saw to it that they are fields."""
    status, sized = 0, False
    lines: list[bytes] = []
    for name, value in headers:
        if name == b":status":
            status = int(value)
        elif name not in HOP_BY_HOP:
            lines += (name, COLON, value, CRLF)
            sized = sized or name == b"content-length"
    return status, lines, sized

"""The short way of an inference: a small request that is whole is answered without the server's machinery.

uvicorn makes of each request a scope, a task, an event and a cycle of messages, which together take as long as a small
model. Here a connection is read by the same parser, and as long as it asks for nothing but inferences of a few
kilobytes it stays. The first bytes that begin anything else go to uvicorn's protocol, together with the connection,
for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, cast

import httptools
from starlette.responses import Response
from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from predictor.endpoints import v1, v2
from predictor.endpoints.compressed import compressed, may_be
from predictor.endpoints.front import target_of
from predictor.endpoints.inference import Asked, Compute, Inference
from predictor.endpoints.reply import Reply

MOST_BYTES = 64 * 1024
"""Of a request with its head; larger ones are read as they come."""
JOINED_BYTES = 64 * 1024
"""Of an answer; a larger one is sent in its parts, without a copy."""
MOST_TARGETS = 256
"""Paths that are remembered: they come from clients."""
_ELSEWHERE = frozenset(
    {
        b"content-encoding",
        b"expect",
        b"inference-header-content-length",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields of requests that take the long way, whatever they say; so do CloudEvents."""
_EVENTS = b"application/cloudevents"


class Lane(NamedTuple):
    """Where the short way leads."""

    inference: Inference
    computes: dict[str, Compute]
    """By protocol, what computes its answers."""
    idle_s: float
    """A connection without requests is kept this long."""


class Connection(asyncio.Protocol):
    """One connection, until it wants something else."""

    def __init__(self, lane: Lane, http: HttpToolsProtocol) -> None:
        """`http` gets the connection when it does."""
        self._lane = lane
        self._http = http
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._seen = b""
        """Of the request that is being read."""
        self._later = b""
        """What came while one was being answered."""
        self._begun = self._ended = 0
        self._is_short = True
        self._url = b""
        self._body: list[bytes] = []
        self._accepted: list[bytes] = []
        """What it says of codings."""
        self._is_busy = self._is_full = self._is_closing = False
        self._lost: asyncio.Event | None = None
        self._active_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether the client takes no answers, so that nothing more of it is read."""
        return self._is_full

    # --- what the transport says -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._http.connections.add(self)  # type: ignore[arg-type]  # it needs shutdown() alone
        self._active_s = self._loop.time()
        self._timer = self._loop.call_later(self._lane.idle_s, self._idle)

    def data_received(self, data: bytes) -> None:
        if self._is_busy:
            self._later += data
            self._connected().pause_reading()
            return
        self._seen = self._seen + data if self._seen else data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._is_short = False
        if not self._is_short or self._begun > 1 or len(self._seen) > MOST_BYTES:
            self._hand_over()
        elif self._ended:
            self._seen, self._begun, self._ended = b"", 0, 0
            self._answer()

    def eof_received(self) -> None:
        """As uvicorn's: a client that sends no more has left, and the transport closes."""

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._is_busy and self._task is None:
            self._read_on()

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._left()
        if self._lost is not None:
            self._lost.set()

    def shutdown(self) -> None:
        """Take no further request; uvicorn calls it when the server ends."""
        self._is_closing = True
        if self._seen:  # of a request that is on its way uvicorn waits for the rest
            self._hand_over()
            self._http.shutdown()
        elif not self._is_busy:
            self._connected().close()

    # --- what the parser says ----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._begun += 1
        self._url = b""
        self._body = []
        self._accepted = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"accept-encoding":
            self._accepted.append(value)
        elif (
            name in _ELSEWHERE
            or (
                name == b"content-length"
                and not (len(value) < 10 and value.isdigit() and int(value) <= self._most_bytes)
            )
            or (name == b"connection" and value.lower() != b"keep-alive")
            or (name == b"content-type" and value.lower().startswith(_EVENTS))
            or name.startswith(b"ce-")
        ):
            self._is_short = False

    def on_headers_complete(self) -> None:
        parser = self._parser
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1" or _target(self._url) is None:
            self._is_short = False

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._ended += 1

    # --- one request -------------------------------------------------------------------------------------------

    _task: asyncio.Task[None] | None = None

    @property
    def _most_bytes(self) -> int:
        return min(MOST_BYTES, self._lane.inference.max_body_bytes)

    def _answer(self) -> None:
        self._is_busy = True
        target = _target(self._url)
        assert target is not None  # noqa: S101  # or it were not short
        protocol, model, version = target
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        asked = Asked(protocol, model, version, self._lane.computes[protocol], body, f"POST {self._url.decode()}")
        response = self._lane.inference.at_once(asked)
        if response is not None and not self._shrinks(protocol, response):
            self._write(response)
            self._next()
            return
        self._task = self._loop.create_task(self._computed(asked, response))
        self._http.tasks.add(self._task)
        self._task.add_done_callback(self._http.tasks.discard)

    def _shrinks(self, protocol: str, response: Response | Reply) -> bool:
        """Whether it may be sent in fewer bytes; that is V2's alone."""
        return bool(self._accepted) and protocol == "v2" and may_be(response)

    async def _computed(self, asked: Asked, response: Response | Reply | None) -> None:
        try:
            if response is None:
                response = await self._lane.inference.in_time(asked, self._receive)
            if self._shrinks(asked.protocol, response):
                response = await compressed(b", ".join(self._accepted).decode("latin-1"), response)
            self._write(response)
        except asyncio.CancelledError:  # the server has no more time
            self._connected().close()
            raise
        finally:
            self._task = None
        self._next()

    async def _receive(self) -> Message:
        """As ASGI's: returns when the client has left."""
        if self._lost is None:
            self._lost = asyncio.Event()
        if self._timer is not None:  # not lost yet
            await self._lost.wait()
        return {"type": "http.disconnect"}

    def _write(self, response: Response | Reply) -> None:
        if isinstance(response, Reply):
            parts, status = response.parts, response.status_code
            fields = [(b"content-type", response.media_type), *response.headers]
            fields.append((b"content-length", b"%d" % sum(map(len, parts))))
        else:
            parts, status, fields = (bytes(response.body),), response.status_code, response.raw_headers
        if self._is_closing:
            fields = [*fields, (b"connection", b"close")]
        pieces = [STATUS_LINE[status]]
        for name, value in (*self._http.server_state.default_headers, *fields):
            pieces += (name, b": ", value, b"\r\n")
        pieces.append(b"\r\n")
        transport = self._connected()
        if transport.is_closing():
            return
        if sum(map(len, parts)) <= JOINED_BYTES:
            transport.write(b"".join((*pieces, *parts)))
        else:
            transport.writelines([b"".join(pieces), *parts])

    def _next(self) -> None:
        """Read the next request, if the client has taken the answer to this one."""
        self._active_s = self._loop.time()
        self._http.server_state.total_requests += 1
        transport = self._connected()
        if self._is_closing:
            transport.close()
            return
        if not self._is_full and not transport.is_closing():
            self._read_on()

    def _read_on(self) -> None:
        self._is_busy = False
        if self._later:
            later, self._later = self._later, b""
            self._connected().resume_reading()
            self.data_received(later)

    # --- the end -----------------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        """Give the connection to uvicorn's protocol, with what has been read of the next request."""
        seen, self._seen = self._seen, b""
        self._left()
        transport = self._connected()
        self._http.connection_made(transport)
        transport.set_protocol(self._http)
        if self._is_full:
            self._http.pause_writing()
        self._http.data_received(seen)

    def _idle(self) -> None:
        rest_s = self._active_s + self._lane.idle_s - self._loop.time()
        if self._is_busy:
            rest_s = self._lane.idle_s
        if rest_s <= 0:
            self._connected().close()
        else:
            self._timer = self._loop.call_later(rest_s, self._idle)

    def _left(self) -> None:
        self._http.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _connected(self) -> asyncio.Transport:
        assert self._transport is not None  # noqa: S101  # nothing is called before connection_made
        return self._transport


_targets: dict[bytes, tuple[str, str, str | None] | None] = {}


def _target(url: bytes) -> tuple[str, str, str | None] | None:
    """Return (protocol, model, version) of the path of an inference; None for all others."""
    if url in _targets:
        return _targets[url]
    found = None
    if url.isascii() and b"%" not in url and b"?" not in url and b"#" not in url:
        found = target_of(url.decode())
    if len(_targets) >= MOST_TARGETS:
        _targets.clear()
    _targets[url] = found
    return found


def short_way(inference: Inference, idle_s: float) -> Lane:
    """Return the short way of a server whose connections are idle for at most so long."""
    return Lane(inference, {"v1": v1.predicted, "v2": v2.inferred}, idle_s)


def lane_around(
    lane: Lane, further: Callable[[asyncio.Protocol], asyncio.Protocol]
) -> Callable[[asyncio.Protocol], asyncio.Protocol]:
    """Return what makes of uvicorn's protocol one that takes the short way first; `further` is around that."""
    return lambda http: further(Connection(lane, cast("HttpToolsProtocol", http)))

"""Three parsers that share no code with the door's nor with each other: what a backend would read in some bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import h11
from gunicorn.config import Config
from gunicorn.http.errors import ChunkMissingTerminator, NoMoreData
from gunicorn.http.parser import RequestParser
from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser


class Seen(NamedTuple):
    """One whole request."""

    method: bytes
    target: bytes
    body: bytes


@dataclass(frozen=True)
class Reading:
    """What a parser makes of all that came on one connection."""

    whole: list[Seen]
    partial: bool
    """Something follows the last whole request: the beginning of another."""


class UnreadableError(Exception):
    """A parser refuses what the door has sent."""


def by_h11(raw: bytes) -> Reading:
    """Read with h11, which uvicorn can use."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=2**24)
    if raw:  # nothing would mean the end
        parser.receive_data(raw)
    found: list[Seen] = []
    try:
        while isinstance(head := parser.next_event(), h11.Request):
            body = b""
            while isinstance(event := parser.next_event(), h11.Data):
                body += event.data
            if not isinstance(event, h11.EndOfMessage):
                return Reading(found, partial=True)
            found.append(Seen(head.method, head.target, body))
            parser.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            parser.send(h11.EndOfMessage())
            if parser.their_state is h11.MIGHT_SWITCH_PROTOCOL or parser.our_state is h11.MUST_CLOSE:
                break
            parser.start_next_cycle()
    except h11.ProtocolError as error:  # the local one: it was CONNECT, and what follows is no HTTP
        raise UnreadableError(f"h11: {error}") from error
    return Reading(found, partial=bool(parser.trailing_data[0]))


_CONFIG = Config()
_CONFIG.set("limit_request_line", 0)
_CONFIG.set("limit_request_field_size", 0)
_CONFIG.set("limit_request_fields", 32768)


def by_gunicorn(raw: bytes) -> Reading:
    """Read with gunicorn's own parser, which Flask and Django models are served by."""
    parser = RequestParser(_CONFIG, iter([raw] if raw else []), ("127.0.0.1", 0))
    found: list[Seen] = []
    try:
        for message in parser:
            parser.req_count = 0  # or it wants a proxy's word for each
            body = message.body.read()
            length = next((int(value) for name, value in message.headers if name == "CONTENT-LENGTH"), None)
            if length is not None and len(body) < length:
                return Reading(found, partial=True)
            found.append(Seen(message.method.encode(), message.uri.encode("latin-1"), body))
            if not raw:
                break
    except (NoMoreData, StopIteration):
        return Reading(found, partial=True)
    except ChunkMissingTerminator as error:
        if error.term not in {b"", b"\r"}:  # which is the end of what there is
            raise UnreadableError(f"gunicorn: {error}") from error
        return Reading(found, partial=True)
    except Exception as error:
        raise UnreadableError(f"gunicorn: {type(error).__name__} {error}") from error
    return Reading(found, partial=False)


_ADJUSTMENTS = Adjustments(max_request_header_size=2**24, max_request_body_size=2**70)


def by_waitress(raw: bytes) -> Reading:
    """Read with waitress, which Pyramid and others are served by."""
    found: list[Seen] = []
    rest = raw
    while rest:
        parser: Any = HTTPRequestParser(_ADJUSTMENTS)
        while rest and not parser.completed:
            rest = rest[parser.received(rest) :]
        if parser.error is not None:
            raise UnreadableError(f"waitress: {parser.error.body}")
        if not parser.completed:
            return Reading(found, partial=True)
        if not parser.empty:
            method, target, _ = parser.first_line.split(b" ")
            stream = parser.get_body_stream()
            found.append(Seen(method, target, stream.read()))
        parser.close()
    return Reading(found, partial=False)


READERS: tuple[Callable[[bytes], Reading], ...] = (by_h11, by_gunicorn, by_waitress)


def read(raw: bytes) -> Reading:
    """Return what all three read in some bytes; fails the test where they differ."""
    readings = {reader.__name__: reader(raw) for reader in READERS}
    first = readings["by_h11"]
    assert all(each == first for each in readings.values()), f"parsers disagree on {raw!r}: {readings}"
    return first

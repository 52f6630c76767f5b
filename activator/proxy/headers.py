"""Which header fields concern only one connection, and how the others are written."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

CRLF = b"\r\n"
COLON = b": "

# RFC 9110, 7.6.1, and what older clients send: never passed on as they came.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)

# What Knative's components say to one another, and we to pods: from outside it would be a lie.
PRUNED = frozenset(
    {
        b"k-network-hash",
        b"k-network-probe",
        b"k-original-host",
        b"k-passthrough-lb",
        b"k-proxy-request",
        b"knative-serving-default-route",
        b"knative-serving-namespace",
        b"knative-serving-revision",
        b"torpor-caller",
        b"torpor-mirrored",
    }
)

REQUEST_SPECIAL = (
    HOP_BY_HOP
    | PRUNED
    | {
        b"authorization",
        b"prefer",
        b"torpor-deadline",
        b"torpor-priority",
        b"content-length",
        b"expect",
        b"forwarded",
        b"host",
        b"knative-serving-tag",
        b"traceparent",
        b"tracestate",
        b"x-api-key",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-request-id",
    }
)
"""Fields of a request that are looked at here; all others go on as they are."""

# The id of the request goes with every answer: ours, which is also what the pod was told.
RESPONSE_SPECIAL = HOP_BY_HOP | {b"content-length", b"x-request-id"}

# RFC 9110, 6.5.1: framing, routing, credentials and the like mean nothing after the content, or worse.
NO_TRAILER = (REQUEST_SPECIAL | RESPONSE_SPECIAL) | {
    b"authorization",
    b"content-encoding",
    b"content-range",
    b"content-type",
    b"cookie",
    b"set-cookie",
    b"trailer",
}

NO_BODY = frozenset({204, 304})

STATUS_LINES = {code: b"HTTP/1.1 %d \r\n" % code for code in range(100, 1000)} | {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}

_ALWAYS = frozenset({b"close", b"keep-alive", b"upgrade", b""})
_USUAL = frozenset({b"keep-alive", b"close", b""})
_NONE: frozenset[bytes] = frozenset()


def tokens(value: bytes) -> list[bytes]:
    """Return the members of a comma-separated list in lower case."""
    return [token.strip().lower() for token in value.split(b",")]


def nominated(connection: bytes) -> frozenset[bytes]:
    """Return the fields that a Connection header declares to be for this connection only."""
    if connection in _USUAL:
        return _NONE
    return frozenset(tokens(connection)) - _ALWAYS


def without(lines: list[bytes], names: Iterable[bytes]) -> list[bytes]:
    """Return flat lines (name, colon, value, CRLF, …) without the fields of these names."""
    dropped = frozenset(names)
    kept: list[bytes] = []
    for at in range(0, len(lines), 4):
        if lines[at].lower() not in dropped:
            kept += lines[at : at + 4]
    return kept


def chunk(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the pieces of one chunk of a chunked body."""
    return b"%x\r\n" % len(data), data, CRLF


def last_chunk(trailers: list[bytes]) -> bytes:
    """Return the end of a chunked body."""
    return b"".join((b"0\r\n", *trailers, CRLF))

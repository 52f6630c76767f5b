"""What gRPC calls an error, and how it writes that down (gRPC over HTTP/2, PROTOCOL-HTTP2)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from urllib.parse import quote

from torpor.errors import TorporError
from torpor.web.status import Answer, answer

MESSAGE_BYTES = 2000
"""Clients take 8 KiB of headers by default, and a byte may become three."""


class Code(IntEnum):
    """The codes that are used here."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


# By the HTTP status of the same error. What 404 is, is gRPC's own choice: NOT_FOUND is a word of the services.
OF_STATUS: Mapping[int, Code] = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    408: Code.DEADLINE_EXCEEDED,
    409: Code.ABORTED,
    413: Code.RESOURCE_EXHAUSTED,
    429: Code.RESOURCE_EXHAUSTED,
    431: Code.RESOURCE_EXHAUSTED,
    501: Code.UNIMPLEMENTED,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}

# google.rpc.Code says which HTTP status each is; what is not here is a 5xx.
_CLASS: Mapping[int, int] = {0: 2} | dict.fromkeys((1, 3, 5, 6, 7, 8, 9, 10, 11, 16), 4)


def trailers(error: Exception) -> list[tuple[bytes, bytes]]:
    """Return how an error is told."""
    said = answer(error)
    code = OF_STATUS.get(said.status, Code.INTERNAL)
    fields = [(b"grpc-status", b"%d" % code), (b"grpc-message", written(said.message))]
    if said.retry_after_s is not None and isinstance(error, TorporError) and error.retryable:
        # A client with a retry policy waits so long, instead of its own time.
        fields.append((b"grpc-retry-pushback-ms", b"%d" % (said.retry_after_s * 1000)))
    return fields + headers_of(said)


def headers_of(said: Answer) -> list[tuple[bytes, bytes]]:
    """Return the fields that belong to an error, as HTTP/2 has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in said.headers]


def status_class(code: bytes) -> int:
    """Return the first digit of the HTTP status that a `grpc-status` stands for."""
    return _CLASS.get(int(code), 5) if code.isdigit() else 5


def written(message: str) -> bytes:
    """Return a message as `grpc-message` has it: printable ASCII without %, everything else as %XX of its UTF-8."""
    raw = message.encode()[:MESSAGE_BYTES].decode(errors="ignore")
    return quote(raw, safe="".join(chr(each) for each in range(0x20, 0x7F) if each != 0x25)).encode()

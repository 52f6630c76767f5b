"""Header fields of HTTP/2 requests: which are read here, and what is added for the pod."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from hpack import NeverIndexedHeaderTuple

from activator.grpc import timeouts
from activator.grpc.connection import Headers
from activator.proxy import forwarding, identity
from activator.proxy.headers import PRUNED
from activator.routing.match import TAG
from activator.waiting.asked import PRIORITY
from torpor.errors import HeadTooLargeError, InvalidInputError, UnsupportedError

# It writes every field at DEBUG, credentials included.
logging.getLogger("hpack").setLevel(logging.INFO)

OVERHEAD = 32
"""Of each field, in the size of a header list (RFC 9113, 6.5.2)."""

REQUEST_ID = b"x-request-id"

_SPECIAL = PRUNED | frozenset(
    {
        b"content-type",
        b"forwarded",
        b"grpc-timeout",
        b"host",
        b"te",
        b"traceparent",
        b"tracestate",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        REQUEST_ID,
        PRIORITY,
        TAG,
    }
)
# Whoever shares the connection to the pod must not guess these by the size of what is compressed (RFC 7541, 7.1.3).
_SECRET = frozenset({b"authorization", b"cookie", b"proxy-authorization", b"x-api-key"})


@dataclass(slots=True)
class Head:
    """A request's header, taken apart. h2 has made sure that it is one."""

    method: bytes = b""
    path: bytes = b""
    authority: bytes = b""
    timeout_s: float | None = None
    grpc: bool = False
    others: Headers = field(default_factory=list)
    rare: dict[bytes, bytes] = field(default_factory=dict)


def read(headers: Headers, limit: int) -> Head:
    """Take a header apart; raises what its sender is to be told."""
    head = Head()
    others, rare, pseudo = head.others, head.rare, {}
    size = 0
    for pair in headers:
        name, value = pair
        size += len(name) + len(value) + OVERHEAD
        if name in _SPECIAL:
            before = rare.get(name)
            rare[name] = value if before is None else before + b", " + value
        elif name[:1] == b":":
            pseudo[name] = value
        else:
            others.append(NeverIndexedHeaderTuple(name, value) if name in _SECRET else pair)
    head.grpc = rare.get(b"content-type", b"").startswith(b"application/grpc")
    head.method, head.path = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    head.authority = pseudo.get(b":authority") or rare.get(b"host", b"")
    if size > limit:
        raise HeadTooLargeError(f"the header section is over its limit of {limit} bytes")
    timeout = rare.get(b"grpc-timeout")
    if timeout is not None:
        head.timeout_s = timeouts.read(timeout)
    if head.method == b"CONNECT":
        raise UnsupportedError("CONNECT is for forward proxies; send the request itself")
    if head.path[:1] != b"/" or b"#" in head.path:
        raise InvalidInputError(":path", head.path.decode("latin-1"), "use a path that begins with '/'")
    return head


def id_of(head: Head, made: bytes) -> bytes:
    """Return the request's id: the client's where it is one, else `made`."""
    own = head.rare.get(REQUEST_ID)
    return own if own is not None and identity.is_id(own) else made


def for_pod(head: Head, target: bytes, peer: bytes, scheme: bytes, name: bytes, *, believed: bool) -> Headers:
    """Return the header as the pod shall see it; what is left of the timeout is added when it is sent.

    `name`: the request's id. `believed`: what the client says of earlier hops is continued.
    """
    rare, authority = head.rare, head.authority
    fields: Headers = [
        (b":method", head.method),
        (b":scheme", b"http"),
        (b":authority", authority),
        (b":path", target),
    ]
    if b"content-type" in rare:
        fields.append((b"content-type", rare[b"content-type"]))
    if b"te" in rare:
        fields.append((b"te", b"trailers"))  # h2 takes no other
    fields += head.others
    pairs = forwarding.fields(rare, peer, authority, scheme, believed=believed)
    fields += ((key.lower(), value) for key, value in pairs)
    fields.append((REQUEST_ID, name))
    parent = rare.get(b"traceparent")
    if parent is not None:
        fields += identity.trace(parent, rare.get(b"tracestate"))
    return fields


def pairs_of(lines: bytes) -> Headers:
    """Return header lines of HTTP/1.1, which were written here, as fields."""
    split = (line.partition(b": ") for line in lines.split(b"\r\n") if line)
    return [(name.lower(), value) for name, _, value in split]

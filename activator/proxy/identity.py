"""What a request is known by, here and in its pod: its id, and the trace that it is a part of."""

from __future__ import annotations

import re

HEADERS = frozenset({b"traceparent", b"tracestate", b"x-request-id"})
ID_BYTES = 200
_ID = re.compile(rb"[\x21-\x7e]{1,%d}\Z" % ID_BYTES)

# W3C Trace Context, https://www.w3.org/TR/trace-context/: of versions to come only the beginning is known.
_PARENT = re.compile(
    rb"(?:00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    rb"|(?!00|ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x21-\x7e]*)?)\Z"
)
STATE_MEMBERS = 32
STATE_BYTES = 8192
_MEMBER = re.compile(
    rb"([a-z0-9][a-z0-9_*/@-]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]\Z"
)


def is_id(value: bytes) -> bool:
    """Tell whether a client's id is passed on: something short that can stand in a log line."""
    return _ID.match(value) is not None


def trace(parent: bytes | None, state: bytes | None) -> list[tuple[bytes, bytes]]:
    """Return the trace context for the pod: as it came where it is valid, else none.

    The door records no spans, so it does not put itself between the client's span and the pod's; nor does it begin
    traces: one that is marked as not sampled would keep the pod's own library from sampling. As the specification has
    it, a state without a valid parent is nothing, and an invalid state does not spoil the parent.
    """
    if parent is None or not _PARENT.match(parent):
        return []
    if state is None or not _is_state(state):
        return [(b"traceparent", parent)]
    return [(b"traceparent", parent), (b"tracestate", state)]


def trace_lines(parent: bytes, state: bytes | None) -> bytes:
    """Return the same as the lines of a head."""
    if not _PARENT.match(parent):
        return b""
    if state is None or not _is_state(state):
        return b"traceparent: %b\r\n" % parent
    return b"traceparent: %b\r\ntracestate: %b\r\n" % (parent, state)


def _is_state(state: bytes) -> bool:
    if b"," not in state:  # one member, as most have
        return len(state) <= STATE_BYTES and _MEMBER.match(state.strip(b" \t")) is not None
    members = [member for member in (each.strip(b" \t") for each in state.split(b",")) if member]
    keys = [found[1] for found in map(_MEMBER.match, members) if found]
    return 0 < len(members) <= STATE_MEMBERS and len(state) <= STATE_BYTES and len(set(keys)) == len(members)

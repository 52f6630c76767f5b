"""Answers of our own, as bytes."""

from __future__ import annotations

from email.utils import formatdate
from typing import NamedTuple

from activator.proxy.headers import CRLF, NO_BODY, STATUS_LINES
from torpor.web.status import answer


class Parts(NamedTuple):
    """An answer before its framing."""

    status: int
    lines: bytes
    body: bytes


def parts(error: Exception) -> Parts:
    """Return what is answered for an error."""
    said = answer(error)
    lines = b"Content-Type: application/json\r\n"
    if said.retry_after_s is not None:
        lines += b"Retry-After: %d\r\n" % said.retry_after_s
    for name, value in said.headers:
        lines += f"{name}: {value}\r\n".encode("latin-1")
    return Parts(said.status, lines, said.body)


def compose(status: int, lines: bytes, body: bytes, *, close: bool, head_only: bool = False) -> bytes:
    """Return a whole answer; its body is of known length."""
    pieces = [STATUS_LINES[status], lines, b"Date: %b\r\n" % formatdate(usegmt=True).encode()]
    if status not in NO_BODY:
        pieces.append(b"Content-Length: %d\r\n" % len(body))
    if close:
        pieces.append(b"Connection: close\r\n")
    pieces.append(CRLF)
    if not head_only and status not in NO_BODY:
        pieces.append(body)
    return b"".join(pieces)


def write(error: Exception, *, close: bool, head_only: bool = False, echo: bytes = b"") -> tuple[int, bytes]:
    """Return (status, the whole answer) for an error. `echo`: lines that go with whatever the answer is."""
    status, lines, body = parts(error)
    return status, compose(status, lines + echo, body, close=close, head_only=head_only)

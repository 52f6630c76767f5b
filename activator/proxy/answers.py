"""Answers of our own, as bytes."""

from __future__ import annotations

from email.utils import formatdate

from activator.proxy.headers import CRLF, STATUS_LINES
from torpor.web.status import answer


def write(error: Exception, *, close: bool, head_only: bool = False, echo: bytes = b"") -> tuple[int, bytes]:
    """Return (status, the whole answer) for an error. `echo`: lines that go with whatever the answer is."""
    said = answer(error)
    lines = [
        STATUS_LINES[said.status],
        b"Content-Type: application/json\r\n",
        b"Content-Length: %d\r\n" % len(said.body),
        b"Date: %b\r\n" % formatdate(usegmt=True).encode(),
    ]
    if said.retry_after_s is not None:
        lines.append(b"Retry-After: %d\r\n" % said.retry_after_s)
    if close:
        lines.append(b"Connection: close\r\n")
    lines += (echo, CRLF)
    if not head_only:
        lines.append(said.body)
    return said.status, b"".join(lines)

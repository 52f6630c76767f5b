"""Read what a client asks of its wait: how urgent it is, how long it may take, and whether it will come back for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from activator.throttle.line import Client, Priority
from torpor.errors import InvalidInputError

PRIORITY = b"torpor-priority"
DEADLINE = b"torpor-deadline"
PREFER = b"prefer"
PROBE = b"k-network-probe"
HEADERS = frozenset({PRIORITY, DEADLINE, PREFER, PROBE})
"""In lower case; where none of them came, nothing is asked."""

MAX_DEADLINE_S = 24 * 3600.0
RESPOND_ASYNC = b"respond-async"

_PRIORITIES = {b"interactive": Priority.INTERACTIVE, b"batch": Priority.BATCH}
_DEADLINE = re.compile(rb"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s)?\Z")
# In a head that was written by us: `Name: value` lines after the first.
_PRIORITY = re.compile(rb"(?m)^(?i:torpor-priority): [^\r\n]*\r\n")
_FORWARDED = re.compile(rb"\r\n(?i:x-forwarded-for): ([^\r\n]*)")
_AUTHORIZATION = re.compile(rb"\r\n(?i:authorization): ([^\r\n]*)")


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request asks for."""

    priority: Priority = Priority.INTERACTIVE
    deadline_s: float | None = None
    """From its arrival to the last byte of its answer."""
    later: bool = False
    """The client will come back for the answer."""
    probe: bytes | None = None
    """What Knative's probe wants to hear; None: it is no such probe."""


def read(rare: Mapping[bytes, bytes]) -> tuple[Asked, bytes]:
    """Return what is asked for, and the lines that the pod shall see; raises InvalidInputError naming the header."""
    raw_priority = rare.get(PRIORITY)
    priority = Priority.INTERACTIVE if raw_priority is None else _priority(raw_priority)
    raw_deadline = rare.get(DEADLINE)
    later, others = _preferences(rare.get(PREFER, b""))
    lines = b"" if raw_priority is None else b"Torpor-Priority: %b\r\n" % raw_priority
    if others:
        lines += b"Prefer: %b\r\n" % others
    deadline_s = None if raw_deadline is None else _deadline_s(raw_deadline)
    return Asked(priority, deadline_s, later, rare.get(PROBE)), lines


def as_batch(lines: bytes) -> bytes:
    """Return the lines for the pod of a request that is of the batch, whatever it says."""
    return _PRIORITY.sub(b"", lines) + b"Torpor-Priority: batch\r\n"


def deadline_line(left_s: float) -> bytes:
    """Return the line by which the pod learns how much of the time is left."""
    return b"Torpor-Deadline: %dms\r\n" % max(1, int(left_s * 1000))


def client_of(address: bytes, head: bytes) -> Client:
    """Return whom a request is from, by the address it came from and what its head, as the pod shall read it, says.

    That is a credential, and behind a proxy for whom that one asked.
    """
    credential, forwarded = _AUTHORIZATION.search(head), _FORWARDED.search(head)
    # The last one is the address itself; what an unknown peer had sent before that was left out.
    before = b"" if forwarded is None else forwarded[1].rpartition(b",")[0].rpartition(b",")[2].strip()
    return Client(address, before + b" " + (b"" if credential is None else credential[1]))


def _priority(raw: bytes) -> Priority:
    priority = _PRIORITIES.get(raw.lower())
    if priority is None:
        raise InvalidInputError("Torpor-Priority", raw.decode("latin-1"), "use interactive or batch")
    return priority


def _deadline_s(raw: bytes) -> float:
    found = _DEADLINE.match(raw)
    seconds = 0.0 if found is None else float(found[1]) * (0.001 if found[2] == b"ms" else 1.0)
    if not 0 < seconds <= MAX_DEADLINE_S:
        allowed = f"use seconds from now, as 2.5, 2.5s or 500ms, more than 0 and at most {MAX_DEADLINE_S:g} s"
        raise InvalidInputError("Torpor-Deadline", raw.decode("latin-1"), allowed)
    return seconds


def _preferences(raw: bytes) -> tuple[bool, bytes]:
    """Return whether `respond-async` is among the preferences of RFC 7240, and all the others."""
    parts = [part.strip() for part in raw.split(b",")]
    others = [part for part in parts if part.partition(b";")[0].strip().lower() != RESPOND_ASYNC]
    return (True, b", ".join(others)) if len(others) < len(parts) else (False, raw)

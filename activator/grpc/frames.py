"""HTTP/2 frames, as far as they are looked at before h2 sees them, or written past it (RFC 9113)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hyperframe.frame import GoAwayFrame, SettingsFrame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_BYTES = 16_384
"""Longest frame that we take: the protocol's own default."""
HEAD = 9
GOAWAY_BYTES = 8
"""At least."""

DATA, HEADERS, PRIORITY, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 0x1, 0x4

# What a peer may send as often as it likes though it asks for nothing; each of it costs us more than the peer.
_IDLE_TALK = frozenset({PRIORITY, SETTINGS, PING})


class Excess(Enum):
    """What a peer does too much of."""

    CONTROL = "more frames without content than anybody needs"
    HEADERS = "a header block over any limit"
    FRAME = "a frame longer than was allowed"


@dataclass(frozen=True, slots=True)
class GoAway:
    """The peer takes no more streams; those after `last` it has not looked at."""

    last: int
    code: int
    said: bytes


class Sieve:
    """What a peer sends passes here first.

    Floods end here, at a fraction of what a parser costs. A GOAWAY is taken out: to h2 it is the end of all streams,
    but a peer that leaves in order finishes those it has begun.
    """

    __slots__ = ("_block", "_kept", "_limit", "_skip", "frames", "goaway", "idle_talk", "in_block")

    def __init__(self, *, header_bytes: int, preface: bool) -> None:
        self._limit = header_bytes
        self._skip = len(PREFACE) if preface else 0
        self._kept = b""
        self._block = 0
        self.frames = 0
        """That have begun to come."""
        self.in_block = False
        """Within a header block that is in several frames."""
        self.idle_talk = 0
        """Frames that ask for nothing; whoever watches lowers it as time passes."""
        self.goaway: GoAway | None = None

    @property
    def incomplete(self) -> bool:
        """Whether a frame, a header block or the preface has begun to come and has not ended."""
        return bool(self._skip or self._kept or self.in_block)

    def feed(self, data: bytes, allowed: int) -> bytes | Excess:
        """Return what is for h2, or what is too much; `allowed`: frames that ask for nothing."""
        if self._kept:
            data, self._kept = self._kept + data, b""
        at, begin, end = self._skip, 0, len(data)
        parts: list[bytes] = []
        while end - at >= HEAD:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            kind, flags = data[at + 3], data[at + 4]
            after = at + HEAD + length
            self.frames += 1
            if length > FRAME_BYTES:
                return Excess.FRAME  # h2 would keep up to 16 MiB of it before it says so
            if kind == GOAWAY and not self.in_block and length >= GOAWAY_BYTES:
                parts.append(data[begin:at])
                begin = at
                if after > end:
                    break  # wait for all of it
                self._leaves(data[at + HEAD : after])
                begin = after
            elif kind != WINDOW_UPDATE and (excess := self._count(kind, flags, length, allowed)) is not None:
                return excess
            at = after
        if at < end:  # a part of a frame's head, or of a GOAWAY
            self._kept = data[at:]
            parts.append(data[begin:at])
            self._skip = 0
        else:
            parts.append(data[begin:])
            self._skip = at - end
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _count(self, kind: int, flags: int, length: int, allowed: int) -> Excess | None:
        if kind in {HEADERS, CONTINUATION}:
            self._block = length if kind == HEADERS else self._block + length
            self.in_block = not flags & END_HEADERS
            return Excess.HEADERS if self._block > self._limit else None
        if kind in _IDLE_TALK or kind > CONTINUATION or (kind == DATA and not length and not flags & END_STREAM):
            self.idle_talk += 1
            return Excess.CONTROL if self.idle_talk > allowed else None
        return None

    def _leaves(self, body: bytes) -> None:
        last, code = int.from_bytes(body[:4], "big") & 0x7FFFFFFF, int.from_bytes(body[4:8], "big")
        # A second one can only lower what the first has promised.
        last = last if self.goaway is None else min(last, self.goaway.last)
        self.goaway = GoAway(last, code, body[GOAWAY_BYTES:])


def goaway(last: int, code: int = 0, said: bytes = b"") -> bytes:
    """Return a GOAWAY: to h2 sending one is the end of all streams, to us it begins the end."""
    return GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=said).serialize()


def settings(values: dict[int, int]) -> bytes:
    """Return the SETTINGS that begin a connection."""
    return SettingsFrame(0, settings=values).serialize()

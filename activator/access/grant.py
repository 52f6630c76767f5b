"""Who asks, and what a request holds that may pass."""

from __future__ import annotations

from collections import Counter
from typing import Protocol
from urllib.parse import quote

from activator.access import limits
from activator.access.limits import Limited
from torpor.errors import OverLimitError
from torpor.spec.access import NO_TERMS, Terms

_SAFE = "!#$&'()*+,-./:;=?@[]_~"


class Entrance(Protocol):
    """Where a request came in."""

    key: tuple[str, str]
    counts: Counter[str]


class Caller:
    """Who asks. Made once for each key: what a request needs of it is written already."""

    __slots__ = ("batch", "header", "id", "limited", "mark", "terms")

    def __init__(
        self,
        id_: bytes = b"",
        name: str = "",
        terms: Terms = NO_TERMS,
        limited: tuple[Limited, ...] = (),
        header: bytes = b"",
    ) -> None:
        self.id = id_
        """Unlike every other caller's; empty for who is anonymous."""
        self.terms = terms
        self.limited = limited
        self.batch = terms.batch
        """Its requests are of the batch, whatever they say themselves."""
        self.header = header
        """Which showed it."""
        self.mark = b"Torpor-Caller: %b\r\n" % printable(name).encode() if name else b""
        """The line that tells the pod who asks; none for who is anonymous."""


ANONYMOUS = Caller()


class Grant:
    """A request that may pass."""

    __slots__ = ("_counts", "_entered", "_limits", "_route", "caller", "lines", "stripped")

    def __init__(
        self, caller: Caller, limited: tuple[Limited, ...], lines: bytes, stripped: bytes, guard: Entrance
    ) -> None:
        self.caller = caller
        self.lines = lines
        """That the client gets with its answer, as lines of HTTP/1.1."""
        self.stripped = stripped
        """Which header of the request the pod does not see; empty: it sees all of them."""
        self._limits = limited
        self._counts = guard.counts
        self._route = guard.key
        self._entered = False

    @property
    def owner(self) -> tuple[tuple[str, str], bytes]:
        """Return whose is what is kept for the request: only who could have asked for it may come for it."""
        return self._route, self.caller.id

    def enter(self) -> OverLimitError | None:
        """Count it among those in flight, unless it is; returns why that cannot be."""
        if self._entered:
            return None
        error = limits.enter(self._limits)
        if error is not None:
            self._counts["over_limit"] += 1
        self._entered = error is None
        return error

    def leave(self) -> None:
        """It is in flight no more."""
        if self._entered:
            self._entered = False
            limits.leave(self._limits)


def printable(name: str) -> str:
    """Return a caller's name as a header's value: what is not printable, or no ASCII, as %XX."""
    return quote(name, safe=_SAFE)

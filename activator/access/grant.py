"""Who asks, and what a request holds that may pass."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple
from urllib.parse import quote

from activator.access import limits
from activator.access.limits import Fields, Limited, Usage
from torpor.errors import OverLimitError
from torpor.spec.access import NO_TERMS, Terms

_SAFE = "!#$&'()*+,-./:;=?@[]_~"


class Caller(NamedTuple):
    """Who asks."""

    id: bytes = b""
    """Unlike every other caller's; empty for who is anonymous."""
    name: str = ""
    """As the pod is told it."""
    terms: Terms = NO_TERMS
    usage: Usage | None = None
    header: bytes = b""
    """Which showed it."""
    what: str = ""
    """`key` or `subject`, as answers name it."""


ANONYMOUS = Caller()


class Grant:
    """A request that may pass."""

    __slots__ = ("_counts", "_entered", "_limits", "batch", "caller", "headers", "name", "owner", "stripped")

    def __init__(
        self,
        caller: Caller,
        limited: tuple[Limited, ...],
        headers: Fields,
        stripped: frozenset[bytes],
        counts: Counter[str],
        route: tuple[str, str],
    ) -> None:
        self.caller = caller.id
        """Unlike every other caller's; empty for who is anonymous."""
        self.owner = (route, caller.id)
        """Whose is what is kept for the request: only who could have asked for it may come for it."""
        self.name = caller.name
        """As the pod is told it."""
        self.batch = caller.terms.batch
        """It is of the batch, whatever it says itself."""
        self.headers = headers
        """That the client gets with its answer."""
        self.stripped = stripped
        """Which headers of the request the pod does not see."""
        self._limits = limited
        self._counts = counts
        self._entered = False

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

    @property
    def mark(self) -> bytes:
        """The line that tells the pod who asks; none for who is anonymous."""
        return b"Torpor-Caller: %b\r\n" % printable(self.name).encode() if self.name else b""

    @property
    def lines(self) -> bytes:
        """The answer's headers, for HTTP/1.1."""
        return "".join(f"{name}: {value}\r\n" for name, value in self.headers).encode("latin-1")

    @property
    def pairs(self) -> list[tuple[bytes, bytes]]:
        """The answer's headers, for HTTP/2."""
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]


def printable(name: str) -> str:
    """Return a caller's name as a header's value: what is not printable, or no ASCII, as %XX."""
    return quote(name, safe=_SAFE)

"""Choose the same pod for all requests of a session, as long as it is there and not overloaded.

Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016): pods own arcs of a ring, a session's
point on it says whose it is, and who is loaded beyond the bound lets the next on the ring have it. A pod that comes or
goes moves its own arcs' sessions alone, and every activator computes the same.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Collection
from functools import lru_cache
from hashlib import blake2b
from math import ceil
from typing import Generic, Protocol, TypeVar

from activator.throttle.balancer import Candidate
from activator.throttle.pod import Endpoint
from torpor.spec.session import Affinity

DIGESTS = 12
"""Of each pod; each gives eight points. With 96 arcs the shares of pods differ by a tenth (one standard deviation)."""
BALANCE = 1.25
"""No pod is given more than this times the average, so that one busy session does not drown its neighbours."""
CALM = 8
"""Up to so many requests a pod is not called loaded: two requests of one session are no reason to part them."""
FEW = 10
"""Where fewer than one arc in so many changes, they are put in and taken out one by one, which is quicker than all."""
LOOK = 64
"""Arcs that are looked at; beyond, the revision is so full that any pod with room will do."""


class Member(Candidate, Protocol):
    """A pod as the ring sees it."""

    @property
    def at(self) -> Endpoint:
        """Where it listens."""

    @property
    def held(self) -> bool:
        """It is about to be taken away."""

    @property
    def ejected(self) -> bool:
        """It refused a connection a moment ago."""


P = TypeVar("P", bound=Member)


class Sessions(Generic[P]):
    """Where the sessions of one revision are at home."""

    __slots__ = ("_line", "_members", "_named", "_ring", "affinity")

    def __init__(self, affinity: Affinity) -> None:
        self.affinity = affinity
        self._named = _pattern(affinity)
        self._line = b"\r\n%b: " % affinity.name.encode() if affinity.by == "header" else b""
        """What is before the name, where the client writes the header as the annotation does."""
        self._members: frozenset[P] = frozenset()
        self._ring: list[tuple[int, str, P]] = []
        """Where each arc ends, and whose it is; ordered."""

    def set_pods(self, pods: Collection[P]) -> None:
        """Take in which pods there are, also those that get no requests for the moment."""
        members = frozenset(pods)
        if members == self._members:
            return
        ring, gone = self._ring, self._members - members
        if len(gone) * FEW < len(self._members):
            for name in (_name(pod.at) for pod in gone):
                for end in arcs(name):
                    del ring[bisect_left(ring, (end, name))]
        else:
            ring = [arc for arc in ring if arc[2] in members]
        added = [(end, name, pod) for pod in members - self._members for name in (_name(pod.at),) for end in arcs(name)]
        if len(added) * FEW < len(ring):
            for arc in added:
                insort(ring, arc)
        else:
            ring = sorted(ring + added)
        self._ring, self._members = ring, members

    def named_in(self, head: bytes) -> bytes | None:
        """Return the name of the session that a request's head tells; None where it tells none."""
        at = head.find(self._line) if self._line else -1
        if at >= 0:
            begin = at + len(self._line)
            return head[begin : head.index(b"\r\n", begin)].strip() or None
        found = self._named.search(head)
        return found[1].strip() or None if found else None

    def cookie(self, name: bytes, *, secure: bool) -> bytes:
        """Return the line of an answer by which a client is told its session's name; it ends with the browser."""
        scheme = b"; Secure" if secure else b""
        return b"Set-Cookie: %b=%b; Path=/; HttpOnly; SameSite=Lax%b\r\n" % (self.affinity.name.encode(), name, scheme)

    def home(self, session: int) -> P | None:
        """Return whose session this is, whether it can take a request or not; None while there is no pod."""
        if not self._ring:
            return None
        return self._ring[bisect_left(self._ring, (session,)) % len(self._ring)][2]

    def choose(self, session: int, load: int) -> P | None:
        """Return the pod for a request: its home, or, unless strictness forbids it, the next that is not loaded.

        None: that one is busy (strict), or no pod within sight may take it. `load`: requests that all pods have.
        """
        ring = self._ring
        if self.affinity.strict:
            pod = self.home(session)
            fits = pod is not None and pod.in_flight < pod.limit and not pod.held and not pod.ejected
            return pod if fits else None
        count = len(ring)
        if not count:
            return None
        start = bisect_left(ring, (session,))
        pod = ring[start % count][2]
        if pod.in_flight < CALM and pod.in_flight < pod.limit and not pod.held and not pod.ejected:
            return pod  # as the rest would say, at a third of the cost
        bound = max(CALM, ceil(BALANCE * (load + 1) / max(1, len(self._members))))
        for at in range(start, start + min(LOOK, count)):
            pod = ring[at % count][2]
            taken = pod.in_flight
            if taken < pod.limit and taken < bound and not pod.held and not pod.ejected:
                return pod
        return None


@lru_cache(maxsize=4096)
def point(name: bytes) -> int:
    """Return where on the ring a session is: the same in every process, and not to be steered as a checksum's."""
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big")


def arcs(name: str) -> list[int]:
    """Return where the arcs of a pod end."""
    digests = b"".join(blake2b(b"%d %b" % (number, name.encode())).digest() for number in range(DIGESTS))
    return [int.from_bytes(digests[at : at + 8], "big") for at in range(0, len(digests), 8)]


def _name(at: Endpoint) -> str:
    return " ".join(map(str, at))  # all of it: a pod may have two addresses


def _pattern(affinity: Affinity) -> re.Pattern[bytes]:
    """Return what finds the session's name in a head that was written by us: `Name: value` lines after the first."""
    name = re.escape(affinity.name.encode())
    if affinity.by == "header":
        return re.compile(rb"\r\n(?i:%b): ([^\r\n]*)" % name)
    return re.compile(rb"\r\n(?i:cookie): (?:[^\r\n]*?;[ \t]*)?%b=([^;\r\n]*)" % name)

"""How often and how much at once: pure, and in constant memory for each who is limited.

The rate is kept by GCRA, the generic cell rate algorithm (ITU-T I.371, Annex A; ATM Forum TM 4.0, 4.4.2), as the
virtual scheduling of it: one number, the time at which the next request is due if all come evenly. It is a leaky
bucket without a drip: nothing has to be done while nobody asks. One thing is added: who comes late by less than a pause
has lost nothing by it; else a client that tries half as often again as it may would get three quarters of its rate.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from torpor.errors import OverLimitError
from torpor.spec.access import NO_QUOTA, Quota, Rate, spelled

EPSILON = 1e-9
"""Of a second's pauses: sums of binary fractions miss by less than this, and a microsecond is no burst."""
K = TypeVar("K", bound=Hashable)


class Usage:
    """What one who is limited has used."""

    __slots__ = ("due_s", "in_flight")

    def __init__(self) -> None:
        self.due_s = -math.inf
        """GCRA's theoretical arrival time."""
        self.in_flight = 0


class Limited:
    """One quota and its use: of a caller, or of a service."""

    __slots__ = ("_lines", "_said", "pause_s", "policy", "quota", "rate", "slack_s", "usage", "what")

    def __init__(self, what: str, quota: Quota, usage: Usage) -> None:
        self.what = what
        """`key`, `subject` or `service`, as answers name it."""
        self.quota = quota
        self.usage = usage
        rate = self.rate = quota.rate or _ANY
        self.pause_s = rate.pause_s
        """Between two, evenly."""
        self.slack_s = (rate.burst - 1) * self.pause_s + EPSILON
        """How early one may come: GCRA's tolerance."""
        self.policy = b'"%b";q=%d;w=%d' % (what.encode(), rate.count, rate.period_s) if quota.rate else b""
        self._said = (-1, -1)
        self._lines = b""

    def wait_s(self, now_s: float) -> float:
        """Return how long the next request has to wait; 0: it may come now."""
        early_s = self.usage.due_s - now_s
        return early_s - self.slack_s if self.policy and early_s > self.slack_s else 0.0

    def take(self, now_s: float) -> None:
        """Count a request that came."""
        usage, pause_s = self.usage, self.pause_s
        usage.due_s = (usage.due_s if now_s - usage.due_s <= pause_s else now_s) + pause_s

    def left(self, now_s: float) -> int:
        """Return how many may come now, one after the other."""
        behind = (self.usage.due_s - now_s) / self.pause_s
        return self.rate.burst if behind <= 0 else max(0, self.rate.burst - math.ceil(behind - EPSILON / self.pause_s))

    def state(self, now_s: float) -> bytes:
        """Return what is left of it. `t` is when the burst is whole again."""
        return b'"%b";r=%d;t=%d' % (self.what.encode(), self.left(now_s), self._again_s(now_s))

    def lines(self, now_s: float) -> bytes:
        """Return the lines that tell of it alone; those of the last time, where they are still true."""
        if not self.policy:
            return b""
        said = (self.left(now_s), self._again_s(now_s))
        if said != self._said:
            self._said = said
            self._lines = b"RateLimit-Policy: %b\r\nRateLimit: %b\r\n" % (self.policy, self.state(now_s))
        return self._lines

    def _again_s(self, now_s: float) -> int:
        behind_s = self.usage.due_s - now_s
        return math.ceil(behind_s) if behind_s > 0 else 0


_ANY = Rate(1)


def of(what: str, quota: Quota, usage: Usage) -> tuple[Limited, ...]:
    """Return what limits somebody, where anything does."""
    return () if quota == NO_QUOTA else (Limited(what, quota, usage),)


def admit(limits: tuple[Limited, ...], now_s: float) -> bytes:
    """Count a request against all of these, or against none and raise OverLimitError.

    Returns the lines that tell the client how much is left.
    """
    for each in limits:
        if each.wait_s(now_s) > 0:
            error = OverLimitError(f"the rate of this {each.what}, {spelled(each.rate)}, is used up")
            error.headers = fields(told(limits, now_s))
            raise error.after(max(other.wait_s(now_s) for other in limits))
    for each in limits:
        each.take(now_s)
    return told(limits, now_s)


def enter(limits: tuple[Limited, ...]) -> OverLimitError | None:
    """Take a place in all of these, or in none and say why."""
    for each in limits:
        most = each.quota.concurrency
        if most is not None and each.usage.in_flight >= most:
            error = OverLimitError(f"this {each.what} has {most} requests in flight already, which is its limit")
            name = f'"{each.what}-concurrency"'
            error.headers = (
                ("RateLimit-Policy", f'{name};q={most};qu="concurrent-requests"'),
                ("RateLimit", f"{name};r=0"),
            )
            return error.after(1.0)
    for each in limits:
        each.usage.in_flight += 1
    return None


def leave(limits: tuple[Limited, ...]) -> None:
    """Give the places back."""
    for each in limits:
        each.usage.in_flight -= 1


def told(limits: tuple[Limited, ...], now_s: float) -> bytes:
    """Return the lines of draft-ietf-httpapi-ratelimit-headers: what is allowed, and what is left of it."""
    if len(limits) == 1:
        return limits[0].lines(now_s)
    rated = [each for each in limits if each.policy]
    if not rated:
        return b""
    policies, states = [each.policy for each in rated], [each.state(now_s) for each in rated]
    return b"RateLimit-Policy: %b\r\nRateLimit: %b\r\n" % (b", ".join(policies), b", ".join(states))


def fields(lines: bytes) -> tuple[tuple[str, str], ...]:
    """Return header lines as pairs."""
    split = (line.partition(": ") for line in lines.decode("latin-1").split("\r\n") if line)
    return tuple((name, value) for name, _, value in split)


class Callers(Generic[K]):
    """Of many who have the same quota, each for itself, those who asked last."""

    def __init__(self, what: str, quota: Quota, most: int) -> None:
        self._what = what
        self._quota = quota
        self._most = most
        self._known: OrderedDict[K, tuple[Limited, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, who: K) -> tuple[Limited, ...]:
        """Return what limits one. Who was forgotten begins anew: it gains a burst, and others lose nothing."""
        if self._quota == NO_QUOTA:
            return ()
        known = self._known.get(who)
        if known is not None:
            self._known.move_to_end(who)
            return known
        if len(self._known) >= self._most:
            self._known.popitem(last=False)
        known = self._known[who] = of(self._what, self._quota, Usage())
        return known

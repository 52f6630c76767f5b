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
from torpor.spec.access import Quota, Rate, spelled

EPSILON = 1e-9
"""Of a second's pauses: sums of binary fractions miss by less than this, and a microsecond is no burst."""
Fields = tuple[tuple[str, str], ...]
K = TypeVar("K", bound=Hashable)


class Usage:
    """What one who is limited has used."""

    __slots__ = ("due_s", "in_flight")

    def __init__(self) -> None:
        self.due_s = -math.inf
        """GCRA's theoretical arrival time."""
        self.in_flight = 0

    def wait_s(self, rate: Rate, now_s: float) -> float:
        """Return how long the next request has to wait; 0: it may come now."""
        early_s = self.due_s - now_s - (rate.burst - 1) * rate.pause_s
        return early_s if early_s > EPSILON else 0.0

    def take(self, rate: Rate, now_s: float) -> None:
        """Count a request that came."""
        in_time = now_s - self.due_s <= rate.pause_s
        self.due_s = (self.due_s if in_time else now_s) + rate.pause_s

    def left(self, rate: Rate, now_s: float) -> int:
        """Return how many may come now, one after the other."""
        behind_s = max(0.0, self.due_s - now_s)
        return max(0, rate.burst - math.ceil(behind_s / rate.pause_s - EPSILON))


class Limited:
    """One quota and its use: of a caller, or of a service."""

    __slots__ = ("quota", "usage", "what")

    def __init__(self, what: str, quota: Quota, usage: Usage) -> None:
        self.what = what
        """`key` or `service`, as answers name it."""
        self.quota = quota
        self.usage = usage


def admit(limits: tuple[Limited, ...], now_s: float) -> Fields:
    """Count a request against all of these, or against none and raise OverLimitError.

    Returns the fields that tell the client how much is left.
    """
    rates = [(each, each.quota.rate) for each in limits if each.quota.rate is not None]
    full = [(each, rate) for each, rate in rates if each.usage.wait_s(rate, now_s) > 0]
    if full:
        used, rate = full[0]
        error = OverLimitError(f"the rate of this {used.what}, {spelled(rate)}, is used up")
        error.headers = told(limits, now_s)
        raise error.after(max(each.usage.wait_s(rate, now_s) for each, rate in full))
    for each, rate in rates:
        each.usage.take(rate, now_s)
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


def told(limits: tuple[Limited, ...], now_s: float) -> Fields:
    """Return the fields of draft-ietf-httpapi-ratelimit-headers: what is allowed, and what is left of it.

    `t` is when the burst is whole again.
    """
    policies, states = [], []
    for each in limits:
        rate = each.quota.rate
        if rate is not None:
            again_s = math.ceil(max(0.0, each.usage.due_s - now_s))
            policies.append(f'"{each.what}";q={rate.count};w={rate.period_s}')
            states.append(f'"{each.what}";r={each.usage.left(rate, now_s)};t={again_s}')
    return (("RateLimit-Policy", ", ".join(policies)), ("RateLimit", ", ".join(states))) if policies else ()


class Usages(Generic[K]):
    """Of many who are limited, those who asked last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[K, Usage] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, who: K) -> Usage:
        """Return what one has used so far. Who was forgotten begins anew: it gains a burst, and others lose nothing."""
        usage = self._known.get(who)
        if usage is not None:
            self._known.move_to_end(who)
            return usage
        if len(self._known) >= self._most:
            self._known.popitem(last=False)
        usage = self._known[who] = Usage()
        return usage

"""How long the last pod of a revision stays after its last request: annotation `torpor.dev/keep-alive`."""

from __future__ import annotations

from dataclasses import dataclass

from torpor.errors import InvalidInputError
from torpor.spec.duration import parse_duration

STANDARD, ADAPTIVE, FIXED = "standard", "adaptive", "fixed"
MIN_KEEP_S, MAX_KEEP_S = 6.0, 24 * 3600.0
"""Knative's shortest window; a day."""


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """`standard`: by Knative's windows; `adaptive`: learned from the revision's own pauses; `fixed`: `seconds`."""

    how: str = STANDARD
    seconds: float = 0.0


BY_WINDOWS = KeepAlive()
"""The default."""


def parse_keep_alive(field: str, raw: str) -> KeepAlive:
    """Read `standard`, `adaptive` or `fixed:DURATION`; raises InvalidInputError naming `field`."""
    how, colon, rest = raw.strip().partition(":")
    if how in {STANDARD, ADAPTIVE} and not colon:
        return KeepAlive(how)
    if how == FIXED:
        seconds = parse_duration(field, rest.strip())
        if MIN_KEEP_S <= seconds <= MAX_KEEP_S:
            return KeepAlive(FIXED, seconds)
    raise InvalidInputError(field, raw, "use standard, adaptive, or fixed:DURATION with a duration from 6s to 24h")

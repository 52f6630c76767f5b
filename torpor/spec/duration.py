"""Go's duration syntax ("1m30s", "250ms"), which Knative's annotations and settings use."""

from __future__ import annotations

import re
from fractions import Fraction

from torpor.errors import InvalidInputError

SYNTAX = 'use a duration like "30s", "1m30s" or "250ms"'

_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_SECONDS = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),  # U+00B5, micro sign
    "μs": Fraction(1, 10**6),  # U+03BC, Greek letter mu
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}


def parse_duration(field: str, raw: str) -> float:
    """Return seconds; raises InvalidInputError naming `field`. A bare number is refused, as Go does, unless it is 0."""
    sign, text = (-1, raw[1:]) if raw.startswith("-") else (1, raw.removeprefix("+"))
    if text == "0":
        return 0.0
    # Exact until the end: 0.1s + 0.2s is 300 ms, and "at most second precision" can be checked.
    total, end = Fraction(0), 0
    while part := _PART.match(text, end):
        total += Fraction(part[1]) * _SECONDS[part[2]]
        end = part.end()
    if end != len(text) or not text:
        raise InvalidInputError(field, raw, SYNTAX)
    return float(sign * total)

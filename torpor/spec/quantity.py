"""Kubernetes' quantities: "500m", "2", "1Gi", "5e3"."""

from __future__ import annotations

import re
from fractions import Fraction

from torpor.errors import InvalidInputError

SYNTAX = 'use a quantity like "500m", "2" or "1Gi"'

_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i))?", re.ASCII
)
_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", 1)},
}


def parse_quantity(field: str, raw: object) -> Fraction:
    """Return the exact number; raises InvalidInputError naming `field`."""
    match = _QUANTITY.fullmatch(str(raw))
    if match is None:
        raise InvalidInputError(field, raw, SYNTAX)
    number, exponent, suffix = match.groups()
    if exponent:
        return Fraction(number) * Fraction(10) ** int(exponent[1:])
    return Fraction(number) * _SUFFIXES.get(suffix or "", Fraction(1))

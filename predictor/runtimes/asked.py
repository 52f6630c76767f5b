"""Parameters that come with a request: read, bounded, and refused by name. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torpor.errors import InvalidInputError


def whole(parameters: Mapping[str, Any], name: str, default: int, maximum: int) -> int:
    """Return a whole number from 1 to `maximum`; raises InvalidInputError."""
    value = parameters.get(name, default)
    if type(value) is not int or not 1 <= value <= maximum:
        raise InvalidInputError(f"parameters.{name}", value, f"use a whole number from 1 to {maximum}")
    return value


def one_of(parameters: Mapping[str, Any], name: str, allowed: Sequence[str]) -> str:
    """Return one of several words, the first where none is given; raises InvalidInputError."""
    value = parameters.get(name, allowed[0])
    if value not in allowed:
        raise InvalidInputError(f"parameters.{name}", value, f"use one of {', '.join(allowed)}")
    return str(value)

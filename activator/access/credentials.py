"""What a request shows of itself: an API key, a token, or nothing. Never in the query, which ends in logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

AUTHORIZATION, API_KEY = b"authorization", b"x-api-key"
HEADERS = frozenset({AUTHORIZATION, API_KEY})
KEY_PREFIX = b"tk_"


class Shown(NamedTuple):
    """Credentials as they came; None: there is none."""

    api_key: bytes | None = None
    bearer: bytes | None = None
    twice: bool = False
    """A header came twice: which one counts, two readers may see in two ways."""


NOTHING = Shown()
TWICE = Shown(twice=True)


def of(pairs: Sequence[tuple[bytes, bytes]]) -> Shown:
    """Read header fields, whatever the case of their names."""
    if len(pairs) == 1:
        ((name, value),) = pairs
        if name == AUTHORIZATION and value[:7] == b"Bearer ":  # as nearly all are
            return Shown(None, value[7:].strip())
    api_key = authorization = None
    for name, value in pairs:
        if len(name) not in _LENGTHS:
            continue
        lower = name.lower()
        if lower == AUTHORIZATION:
            if authorization is not None:
                return TWICE
            authorization = value
        elif lower == API_KEY:
            if api_key is not None:
                return TWICE
            api_key = value.strip()
    if authorization is None:
        return NOTHING if api_key is None else Shown(api_key)
    scheme, _, token = authorization.strip().partition(b" ")
    return Shown(api_key, token.strip() if scheme.lower() == b"bearer" else None)


_LENGTHS = frozenset(map(len, HEADERS))

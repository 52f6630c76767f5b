"""What a request shows of itself: an API key, a token, or nothing. Never in the query, which ends in logs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

AUTHORIZATION, API_KEY = b"authorization", b"x-api-key"
HEADERS = frozenset({AUTHORIZATION, API_KEY})
KEY_PREFIX = b"tk_"


class Shown(NamedTuple):
    """Credentials as they came; None: there is none."""

    api_key: bytes | None = None
    bearer: bytes | None = None
    authorization: bool = False
    """There is an Authorization, of whichever scheme."""
    twice: bool = False
    """A header came twice: which one counts, two readers may see in two ways."""


NOTHING = Shown()


def in_lines(lines: Sequence[bytes]) -> Shown:
    """Read flat lines of HTTP/1.1 (name, colon, value, CRLF, …)."""
    return of(zip(lines[::4], lines[2::4], strict=True))


def of(pairs: Iterable[tuple[bytes, bytes]]) -> Shown:
    """Read header fields, whatever the case of their names."""
    found: dict[bytes, bytes] = {}
    for name, value in pairs:
        if len(name) not in _LENGTHS:
            continue
        lower = name.lower()
        if lower in HEADERS:
            if lower in found:
                return Shown(twice=True)
            found[lower] = value.strip()
    if not found:
        return NOTHING
    scheme, _, token = found.get(AUTHORIZATION, b"").partition(b" ")
    bearer = token.strip() if scheme.lower() == b"bearer" else None
    return Shown(found.get(API_KEY), bearer, AUTHORIZATION in found)


_LENGTHS = frozenset(map(len, HEADERS))

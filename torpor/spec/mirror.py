"""Mirroring: which revision gets copies of requests, as annotation `torpor.dev/mirror` says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torpor.errors import InvalidInputError

_SPELLING = re.compile(r"([a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)=([1-9][0-9]?|100)(\s*;\s*wake)?\Z")


@dataclass(frozen=True, slots=True)
class MirrorTarget:
    """Who gets copies, and how many."""

    revision: str
    percent: int
    wake: bool = False
    """Also while it sleeps, which wakes it."""


def parse_mirror(field: str, raw: str) -> MirrorTarget:
    """Read `REVISION=PERCENT`, with `; wake` or without; raises InvalidInputError."""
    fits = _SPELLING.match(raw.strip())
    if fits is None:
        raise InvalidInputError(field, raw, "use REVISION=PERCENT, of 1 to 100, with '; wake' after it or without")
    return MirrorTarget(fits[1], int(fits[2]), fits[3] is not None)

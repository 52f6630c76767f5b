"""Session affinity: by what a revision's clients are recognised, as annotation `torpor.dev/session-affinity` says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from torpor.errors import InvalidInputError

_SPELLING = re.compile(r"(header|cookie)=([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100})(\s*;\s*strict)?\Z")


@dataclass(frozen=True, slots=True)
class Affinity:
    """What names a session, and what happens while its pod is busy."""

    by: Literal["header", "cookie"]
    name: str
    strict: bool = False
    """A request waits for its session's pod and goes to no other."""


def parse_affinity(field: str, raw: str) -> Affinity:
    """Read `header=NAME` or `cookie=NAME`, with `; strict` or without; raises InvalidInputError."""
    fits = _SPELLING.match(raw.strip())
    if fits is None:
        raise InvalidInputError(field, raw, "use header=NAME or cookie=NAME, with '; strict' after it or without")
    return Affinity("header" if fits[1] == "header" else "cookie", fits[2], fits[3] is not None)

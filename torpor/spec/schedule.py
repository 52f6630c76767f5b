"""Hours in which a revision has pods whether it is asked or not: annotation `torpor.dev/schedule`.

`Mon-Fri 08:00-18:00 Europe/Berlin=2; Sat 10:00-12:00 Europe/Berlin=1`: two pods at least on working days, one on
Saturday mornings. Hours may go past midnight; they belong to the day on which they begin.
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass

from torpor.errors import InvalidInputError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MAX_HOURS = 32
MAX_SCHEDULED = 10_000
SYNTAX = 'use for instance "Mon-Fri 08:00-18:00 Europe/Berlin=2", and ";" between several; without a zone it is UTC'

_ENTRY = re.compile(
    r"(?P<days>[A-Za-z,\-]+)\s+(?P<from>\d\d:\d\d)-(?P<to>\d\d:\d\d)(?:\s+(?P<zone>[A-Za-z0-9_+\-/]+))?\s*=\s*(?P<pods>\d+)",
    re.ASCII,
)
_DAY_MIN = 24 * 60


@dataclass(frozen=True, slots=True)
class Hours:
    """One entry."""

    days: frozenset[int]
    """Monday is 0."""
    start_min: int
    """Minutes since midnight, by the clocks of `zone`."""
    end_min: int
    """At most 24:00; where it is not after the start, on the next day."""
    zone: str
    pods: int


def parse_schedule(field: str, raw: str) -> tuple[Hours, ...]:
    """Read a schedule; raises InvalidInputError naming `field` and the entry that cannot be read."""
    entries = [entry.strip() for entry in raw.split(";") if entry.strip()]
    if not 1 <= len(entries) <= MAX_HOURS:
        raise InvalidInputError(field, raw, f"write 1 to {MAX_HOURS} entries; {SYNTAX}")
    return tuple(_parse_entry(field, entry) for entry in entries)


def _parse_entry(field: str, entry: str) -> Hours:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise InvalidInputError(field, entry, SYNTAX)
    start_min, end_min = (_minutes(field, entry, found[name]) for name in ("from", "to"))
    if start_min in {_DAY_MIN, end_min}:
        raise InvalidInputError(field, entry, "a day has hours from 00:00 to 24:00, which begin and end at two times")
    pods = int(found["pods"]) if len(found["pods"]) < 9 else MAX_SCHEDULED + 1
    if not 1 <= pods <= MAX_SCHEDULED:
        raise InvalidInputError(field, entry, f"use 1 to {MAX_SCHEDULED} pods")
    return Hours(_days(field, entry, found["days"]), start_min, end_min, _zone(field, entry, found["zone"]), pods)


def _minutes(field: str, entry: str, text: str) -> int:
    hour, minute = int(text[:2]), int(text[3:])
    if minute > 59 or hour * 60 + minute > _DAY_MIN:
        raise InvalidInputError(field, entry, f"{text} is no time of a day; use 00:00 to 24:00")
    return hour * 60 + minute


def _days(field: str, entry: str, text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        names = (first, last) if dash else (first, first)
        if not set(names) <= set(DAYS):
            raise InvalidInputError(field, entry, f"{part} is no day; use {', '.join(DAYS)}, and for instance Mon-Fri")
        begin, end = (DAYS.index(name) for name in names)
        days |= {day % 7 for day in range(begin, (end if end >= begin else end + 7) + 1)}
    return frozenset(days)


def _zone(field: str, entry: str, name: str | None) -> str:
    try:
        return zoneinfo.ZoneInfo(name or "UTC").key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInputError(
            field, entry, f"{name} is no time zone; use for instance Europe/Berlin or UTC"
        ) from error

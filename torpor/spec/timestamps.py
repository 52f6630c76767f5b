"""Times as Kubernetes writes them, "2026-11-25T22:40:00Z". Pure: no clock, only its notation."""

from __future__ import annotations

import re

from torpor.errors import InvalidInputError

_FORM = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?Z", re.ASCII)
_DAY_S = 86_400
# Days from 0000-03-01 to 1970-01-01, and of 400, 4 and 100 years of the Gregorian calendar.
_EPOCH = 719_468
_ERA, _LEAP, _CENTURY = 146_097, 1_461, 36_524


def timestamp(wall_s: float) -> str:
    """Return seconds since 1970 as text, to the second."""
    days, rest = divmod(int(wall_s), _DAY_S)
    year, month, day = _civil(days)
    return f"{year:04d}-{month:02d}-{day:02d}T{rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d}Z"


def seconds(text: str) -> float:
    """Return seconds since 1970; raises InvalidInputError for what is no such time."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise InvalidInputError("time", text, 'use the form "2026-11-25T22:40:00Z"')
    year, month, day, hour, minute, second = (int(part) for part in found.groups())
    return float(_days(year, month, day) * _DAY_S + hour * 3600 + minute * 60 + second)


def _days(year: int, month: int, day: int) -> int:
    """Return days since 1970-01-01. Years begin in March here, so that a leap day is the last of its year."""
    year -= month < 3
    in_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + in_year - _EPOCH


def _civil(days: int) -> tuple[int, int, int]:
    era, day = divmod(days + _EPOCH, _ERA)
    year = (day - day // (_LEAP - 1) + day // _CENTURY - day // (_ERA - 1)) // 365
    day -= 365 * year + year // 4 - year // 100
    shifted = (5 * day + 2) // 153
    month = (shifted + 2) % 12 + 1
    return era * 400 + year + (month < 3), month, day - (153 * shifted + 2) // 5 + 1

"""How many pods the hours of a schedule ask for at a time, and when that changes next. Time is an argument."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

from torpor.spec.schedule import Hours

_AHEAD_DAYS = 8
"""Every entry begins at least once a week."""


def pods_at(schedule: Sequence[Hours], wall_s: float) -> int:
    """Return the most pods that any entry asks for at a time, in seconds since 1970."""
    return max((each.pods for each in schedule if _holds(each, wall_s)), default=0)


def next_change_s(schedule: Sequence[Hours], wall_s: float) -> float | None:
    """Return when the next entry begins or ends; None without entries."""
    return min((at for each in schedule for span in _spans(each, wall_s) for at in span if at > wall_s), default=None)


def _holds(hours: Hours, wall_s: float) -> bool:
    return any(start_s <= wall_s < end_s for start_s, end_s in _spans(hours, wall_s, ahead_days=1))


def _spans(hours: Hours, wall_s: float, ahead_days: int = _AHEAD_DAYS) -> Iterator[tuple[float, float]]:
    """Yield begin and end around a time, from the day before on: hours may go past midnight."""
    zone = ZoneInfo(hours.zone)
    today = datetime.datetime.fromtimestamp(wall_s, zone).date()
    for number in range(-1, ahead_days):
        day = today + datetime.timedelta(days=number)
        if day.weekday() in hours.days:
            last = day if hours.end_min > hours.start_min else day + datetime.timedelta(days=1)
            yield _seconds(day, hours.start_min, zone), _seconds(last, hours.end_min, zone)


def _seconds(day: datetime.date, minutes: int, zone: ZoneInfo) -> float:
    """Return when the clocks of a zone show a time; where they are put back past it, the first of the two times."""
    days, minutes = divmod(minutes, 24 * 60)
    time = datetime.time(minutes // 60, minutes % 60)
    return datetime.datetime.combine(day + datetime.timedelta(days=days), time, zone).timestamp()

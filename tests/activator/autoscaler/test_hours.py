"""The hours of a schedule at given times, zones and changes of clocks included."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.autoscaler.hours import next_change_s, pods_at
from torpor.spec.schedule import parse_schedule

WORK = "Mon-Fri 08:00-18:00 Europe/Berlin=2; Sat 10:00-12:00 Europe/Berlin=1"
NIGHT = "Fri 22:00-06:00 UTC=3"


def at(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("schedule", "time", "pods", "changes"),
    [
        pytest.param(WORK, "2026-11-25T06:59:59Z", 0, "2026-11-25T07:00:00Z", id="a second before, in winter"),
        pytest.param(WORK, "2026-11-25T07:00:00Z", 2, "2026-11-25T17:00:00Z", id="at eight in Berlin"),
        pytest.param(WORK, "2026-11-25T17:00:00Z", 0, "2026-11-26T07:00:00Z", id="the end is outside"),
        pytest.param(WORK, "2026-07-01T06:00:00Z", 2, "2026-07-01T16:00:00Z", id="an hour earlier in summer"),
        pytest.param(WORK, "2026-11-28T10:30:00Z", 1, "2026-11-28T11:00:00Z", id="Saturday"),
        pytest.param(WORK, "2026-11-29T10:30:00Z", 0, "2026-11-30T07:00:00Z", id="Sunday"),
        pytest.param(NIGHT, "2026-11-28T05:59:59Z", 3, "2026-11-28T06:00:00Z", id="past midnight it is still Friday's"),
        pytest.param(NIGHT, "2026-11-27T05:00:00Z", 0, "2026-11-27T22:00:00Z", id="Thursday has no night"),
        pytest.param(
            "Sun 02:30-04:00 Europe/Berlin=1", "2026-03-29T01:30:00Z", 1, "2026-03-29T02:00:00Z",
            id="begins in the hour that the change to summer leaves out",
        ),
        pytest.param(
            "Sun 00:00-24:00 Europe/Berlin=1", "2026-10-25T22:59:00Z", 1, "2026-10-25T23:00:00Z", id="a day of 25 hours"
        ),
    ],
)  # fmt: skip
def test_pods_at(schedule: str, time: str, pods: int, changes: str) -> None:
    """How many pods the owner wants at a time, and when that can be different."""
    read = parse_schedule("f", schedule)
    assert pods_at(read, at(time)) == pods
    assert next_change_s(read, at(time)) == at(changes)


def test_the_most_of_several_counts() -> None:
    """Entries that overlap are no sum."""
    read = parse_schedule("f", "Mon-Sun 00:00-24:00=1; Mon-Sun 10:00-11:00=4; Mon-Sun 09:00-12:00=2")
    assert [pods_at(read, at(f"2026-11-25T{hour}:30:00Z")) for hour in ("08", "09", "10", "11")] == [1, 2, 4, 2]


def test_without_hours_nothing_changes() -> None:
    """No schedule, no pods, no alarm."""
    assert (pods_at((), 0.0), next_change_s((), 0.0)) == (0, None)


@given(
    st.floats(1.6e9, 2.2e9),
    st.sampled_from([WORK, NIGHT, "Tue 23:00-01:00 America/New_York=5", "Mon-Sun 02:00-03:00 Europe/Berlin=1"]),
)
def test_between_now_and_the_next_change_nothing_changes(now_s: float, schedule: str) -> None:
    """Whoever sleeps until then has missed nothing."""
    read = parse_schedule("f", schedule)
    change_s = next_change_s(read, now_s)
    assert change_s is not None
    assert now_s < change_s <= now_s + 8 * 86_400
    for part in (0.01, 0.5, 0.99):
        assert pods_at(read, now_s + part * (change_s - now_s)) == pods_at(read, now_s)

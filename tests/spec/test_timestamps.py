"""Times as text, held against the standard library."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.errors import InvalidInputError
from torpor.spec.timestamps import seconds, timestamp

MOMENTS = st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31))  # noqa: DTZ001  # given UTC below


@given(MOMENTS)
def test_both_ways(moment: datetime.datetime) -> None:
    """To the second, for every date that the standard library knows."""
    moment = moment.replace(microsecond=0, tzinfo=datetime.UTC)
    text = moment.isoformat().replace("+00:00", "Z")
    assert timestamp(moment.timestamp()) == text
    assert seconds(text) == moment.timestamp()


def test_fractions_are_dropped() -> None:
    """Kubernetes has MicroTime too."""
    assert seconds("1970-01-01T00:00:01.999999Z") == 1
    assert timestamp(1.9) == "1970-01-01T00:00:01Z"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-25", "2026-11-25T22:40:00", "2026-11-25T22:40:00+01:00"])
def test_what_is_no_time(text: str) -> None:
    """Only UTC, and only whole."""
    with pytest.raises(InvalidInputError, match="2026-11-25T22:40:00Z"):
        seconds(text)

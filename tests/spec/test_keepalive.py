"""Annotations torpor.dev/keep-alive and torpor.dev/schedule: what is read, and what is refused with a word on why."""

from __future__ import annotations

import pytest

from torpor.errors import InvalidInputError
from torpor.spec.annotations import check_revision
from torpor.spec.fields import Fields
from torpor.spec.keepalive import KeepAlive, parse_keep_alive
from torpor.spec.schedule import Hours, parse_schedule


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("standard", KeepAlive("standard")),
        (" adaptive ", KeepAlive("adaptive")),
        ("fixed:5m", KeepAlive("fixed", 300.0)),
        ("fixed:6s", KeepAlive("fixed", 6.0)),
        ("fixed: 1h30m", KeepAlive("fixed", 5400.0)),
    ],
)
def test_keep_alive(raw: str, read: KeepAlive) -> None:
    """Three ways."""
    assert parse_keep_alive("f", raw) == read


@pytest.mark.parametrize("raw", ["", "Adaptive", "adaptive:5m", "fixed", "fixed:", "fixed:5", "fixed:1s", "fixed:25h"])
def test_other_keep_alives_are_refused(raw: str) -> None:
    """The field is named."""
    with pytest.raises(InvalidInputError, match="f: "):
        parse_keep_alive("f", raw)


WORKDAYS = frozenset(range(5))


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("Mon-Fri 08:00-18:00 Europe/Berlin=2", (Hours(WORKDAYS, 480, 1080, "Europe/Berlin", 2),)),
        ("Mon 00:00-24:00=1", (Hours(frozenset({0}), 0, 1440, "UTC", 1),)),
        ("Sat,Sun 22:30-06:00 UTC = 3 ;", (Hours(frozenset({5, 6}), 1350, 360, "UTC", 3),)),
        ("Fri-Mon 09:00-10:00=1", (Hours(frozenset({4, 5, 6, 0}), 540, 600, "UTC", 1),)),
        (
            "Mon 09:00-10:00=1; Tue 09:00-10:00 Asia/Kolkata=2",
            (Hours(frozenset({0}), 540, 600, "UTC", 1), Hours(frozenset({1}), 540, 600, "Asia/Kolkata", 2)),
        ),
    ],
)
def test_schedule(raw: str, read: tuple[Hours, ...]) -> None:
    """Days, hours, a zone, and how many pods."""
    assert parse_schedule("f", raw) == read


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param("", "1 to 32 entries", id="empty"),
        pytest.param(";" * 3, "1 to 32 entries", id="nothing between"),
        pytest.param("Mon 09:00-10:00=1;" * 33, "1 to 32 entries", id="too many"),
        pytest.param("Mo 09:00-10:00=1", "Mo is no day", id="no day"),
        pytest.param("Mon-Foo 09:00-10:00=1", "Mon-Foo is no day", id="no range of days"),
        pytest.param("Mon 9:00-10:00=1", "use for instance", id="one digit"),
        pytest.param("Mon 09:00-24:01=1", "24:01 is no time", id="past the day"),
        pytest.param("Mon 09:60-10:00=1", "09:60 is no time", id="sixty minutes"),
        pytest.param("Mon 09:00-09:00=1", "two times", id="no time between"),
        pytest.param("Mon 24:00-09:00=1", "two times", id="begins at the end"),
        pytest.param("Mon 09:00-10:00 Europe/Nowhere=1", "no time zone", id="no zone"),
        pytest.param("Mon 09:00-10:00 /etc/passwd=1", "no time zone", id="a path is no zone"),
        pytest.param("Mon 09:00-10:00 ../x=1", "use for instance", id="nor one upwards"),
        pytest.param("Mon 09:00-10:00=0", "1 to 10000 pods", id="no pods"),
        pytest.param("Mon 09:00-10:00=99999999999", "1 to 10000 pods", id="too many pods"),
        pytest.param("Mon 09:00-10:00", "use for instance", id="without pods"),
    ],
)
def test_other_schedules_are_refused(raw: str, said: str) -> None:
    """The entry that cannot be read is named, with what is allowed."""
    with pytest.raises(InvalidInputError, match=said):
        parse_schedule("f", raw)


@pytest.mark.parametrize("name", ["keep-alive", "schedule"])
def test_they_are_checked_with_the_path_where_they_stand(name: str) -> None:
    """As the API's admission does for Services, Configurations and Revisions."""
    metadata = Fields({"annotations": {f"torpor.dev/{name}": "nonsense"}}, "spec.template.metadata")
    with pytest.raises(InvalidInputError) as caught:
        check_revision(metadata)
    assert caught.value.field == f"spec.template.metadata.annotations[torpor.dev/{name}]"

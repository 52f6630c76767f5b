"""Events go after an hour, by their own times."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from torpor.local.apiserver.kinds.table import BY_KIND, RESOURCES
from torpor.local.apiserver.registry.expiry import LIFE_S, expired
from torpor.local.apiserver.store import Store
from torpor.spec.kinds import EVENT, Object

NOON = 1_767_268_800.0
"""2026-01-01T12:00:00Z"""


@pytest.mark.parametrize(
    ("times", "old"),
    [
        pytest.param({"lastTimestamp": "2026-01-01T10:59:59Z"}, True, id="last seen over an hour ago"),
        pytest.param({"lastTimestamp": "2026-01-01T11:00:01Z"}, False, id="last seen within the hour"),
        pytest.param(
            {"firstTimestamp": "2026-01-01T01:00:00Z", "lastTimestamp": "2026-01-01T11:30:00Z"}, False, id="seen again"
        ),
        pytest.param({"eventTime": "2026-01-01T10:00:00.123456Z"}, True, id="of the newer form"),
        pytest.param({"eventTime": "2026-01-01T12:30:00+02:00"}, True, id="by another clock"),
        pytest.param({"eventTime": "2026-01-01T13:30:00+02:00"}, False, id="by another clock, within the hour"),
        pytest.param({}, True, id="by its creation, without a time of its own"),
    ],
)
def test_old_events(tmp_path: Path, times: Object, *, old: bool) -> None:
    """The time given says which."""
    kinds = [resource.kind for resource in RESOURCES]
    metadata = {"name": "e", "namespace": "n", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    with contextlib.closing(Store(tmp_path / "s.db", kinds, lambda kind, obj: BY_KIND[kind].selectable(obj))) as store:
        store.write(EVENT, {"metadata": metadata, **times})
        assert [stored.name for stored in expired(store, NOON)] == ["e"] * old
        assert expired(store, NOON - 2 * LIFE_S) == [] or not times

"""Which revisions are taken away, by Knative's rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.knative.reconcile.garbage import Retention, unused
from torpor.spec import names
from torpor.spec.kinds import Object
from torpor.spec.timestamps import seconds, timestamp

NOW = "2026-11-25T12:00:00Z"
HOUR_S = 3600.0
FEW = Retention(at_least=2, at_most=5)


def revision(
    name: str, *, age_h: float = 100, idle_h: float | None = 50, state: str = "reserve", **metadata: Any
) -> Object:
    """A revision made so many hours ago, and last named by a route so many hours ago."""
    annotations = dict(metadata.pop("annotations", {}))
    if idle_h is not None:
        annotations[names.ROUTING_STATE_MODIFIED] = timestamp(seconds(NOW) - idle_h * HOUR_S)
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": timestamp(seconds(NOW) - age_h * HOUR_S),
            "labels": {names.ROUTING_STATE: state},
            "annotations": annotations,
            **metadata,
        }
    }


def many(count: int, **what: Any) -> list[Object]:
    """Revisions r0, r1, …; the lower its number, the longer one has been idle."""
    idle_h = what.pop("idle_h", 50)
    return [revision(f"r{number}", idle_h=idle_h + count - number, **what) for number in range(count)]


def gone(revisions: list[Object], retention: Retention = FEW, keep: tuple[str, ...] = ()) -> list[str]:
    return [each["metadata"]["name"] for each in unused(revisions, keep, NOW, retention)]


@pytest.mark.parametrize(
    ("revisions", "wanted"),
    [
        pytest.param(many(2), [], id="no more than are kept anyway"),
        pytest.param(many(4), ["r0", "r1"], id="the longest idle go first, down to the least"),
        pytest.param(many(4, age_h=47), [], id="too young"),
        pytest.param(many(4, idle_h=1), [], id="used not long ago"),
        pytest.param(many(8, age_h=47), ["r0", "r1", "r2"], id="more than the most: young ones go too"),
        pytest.param([*many(4), *many(8, state="active")], ["r0", "r1"], id="those in use do not count"),
        pytest.param(many(9, state="pending"), [], id="not yet routed is not out of use"),
        pytest.param(many(4, annotations={names.NO_GC: "true"}), [], id="kept by their owner's wish"),
        pytest.param(many(4, deletionTimestamp=NOW), [], id="going already"),
        pytest.param(
            [revision(f"r{number}", age_h=100 - number, idle_h=None) for number in range(4)],
            ["r0", "r1"],
            id="without a note of their use, their age is it",
        ),
    ],
)
def test_unused(revisions: list[Object], wanted: list[str]) -> None:
    """At least two and at most five are kept here."""
    assert gone(revisions) == wanted


def test_the_latest_ones_are_kept() -> None:
    """Whoever is the latest created or latest ready revision stays, however long it has been out of use."""
    assert gone(many(5), keep=("r0", "r1")) == ["r2"]


def test_defaults_are_knatives() -> None:
    """20 stay, 48 hours, 15 hours, 1000 at most."""
    assert gone(many(25), Retention()) == ["r0", "r1", "r2", "r3", "r4"]
    assert gone(many(20), Retention()) == []
    assert len(gone(many(1003, age_h=1), Retention())) == 3


AGES = st.tuples(st.floats(0, 200), st.floats(0, 200), st.sampled_from(["reserve", "active", "pending"]))


@given(st.lists(AGES, max_size=12), st.integers(0, 4), st.integers(4, 8))
def test_what_is_kept(ages: list[tuple[float, float, str]], at_least: int, at_most: int) -> None:
    """Only reserve ones go; never fewer stay than the least nor more than the most; each goes once."""
    revisions = [
        revision(f"r{number}", age_h=age_h, idle_h=idle_h, state=state)
        for number, (age_h, idle_h, state) in enumerate(ages)
    ]
    names_gone = gone(revisions, Retention(at_least=at_least, at_most=at_most))
    reserve = {f"r{number}" for number, (_, _, state) in enumerate(ages) if state == "reserve"}
    assert len(names_gone) == len(set(names_gone))
    assert set(names_gone) <= reserve
    left = len(reserve) - len(names_gone)
    assert min(len(reserve), at_least) <= left <= at_most

"""Who holds a Lease, whatever the clocks of others say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.peers.lease import Sighting, may_take, sight
from torpor.spec.kinds import Object


def lease(holder: str, renewed: str = "2026-11-26T12:00:00.000000Z", uid: str = "1") -> Object:
    spec = {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 10}
    return {"metadata": {"name": "lock", "uid": uid}, "spec": spec}


def test_a_lease_that_is_not_renewed_keeps_its_age() -> None:
    """Seen again, as a list or a bookmark may show it: that is no renewal."""
    first = sight(lease("a"), None, 100.0)
    assert sight(lease("a"), first, 109.0) is first
    assert first.is_held(110.0)
    assert not first.is_held(110.1)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lease("a", "2026-11-26T12:00:03.000000Z"), id="renewed"),
        pytest.param(lease("a", "1999-01-01T00:00:00.000000Z"), id="renewed by who has set its clock back"),
        pytest.param(lease("b"), id="another's"),
        pytest.param(lease("a", uid="2"), id="deleted and made again"),
    ],
)
def test_a_lease_that_changed_is_held_from_now_on(changed: Object) -> None:
    first = sight(lease("a"), None, 100.0)
    assert sight(changed, first, 109.0).seen_s == 109.0


@pytest.mark.parametrize(
    ("seen", "now_s", "may"),
    [
        pytest.param(None, 0.0, True, id="there is none"),
        pytest.param(Sighting("b", "v", 10, 100), 105.0, False, id="held"),
        pytest.param(Sighting("b", "v", 10, 100), 110.1, True, id="not renewed"),
        pytest.param(Sighting("", "v", 10, 100), 100.0, True, id="given back"),
        pytest.param(Sighting("a", "v", 10, 100), 100.0, True, id="ours, from before we were started again"),
    ],
)
def test_when_it_may_be_taken(seen: Sighting | None, now_s: float, may: bool) -> None:  # noqa: FBT001
    assert may_take(seen, "a", now_s) is may


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1e9), st.integers(0, 5)), max_size=20))
def test_clocks_of_others_do_not_matter(renewals: list[tuple[str, float, int]]) -> None:
    """Whatever times are written in, a Lease is held for its duration after we saw it change, and no longer."""
    seen, now_s = None, 0
    for number, (holder, written, pause_s) in enumerate(renewals):
        now_s += pause_s
        seen = sight(lease(holder, f"{written} {number}"), seen, now_s)
        assert seen.is_held(now_s + 10)
        assert not seen.is_held(now_s + 10.001)

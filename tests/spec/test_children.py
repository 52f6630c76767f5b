"""Names of what is made for an object, by Knative's rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.spec.children import child_name, deployment_name, private_service_name


@pytest.mark.parametrize(
    ("parent", "suffix", "name"),
    [
        pytest.param("svc", "-00001", "svc-00001", id="short: joined"),
        pytest.param("a" * 57, "-00001", "a" * 57 + "-00001", id="63 characters just fit"),
        # Of 63 characters the suffix and the 32 of `md5` leave 20.
        pytest.param(
            "a" * 70, "-deployment", "a" * 20 + "0f5c6c4e740bfcc08c3c26ccb2673d46" + "-deployment", id="too long"
        ),
        pytest.param("a" * 31, "-" * 40, "a" * 31 + "8d37446b21dd3857edb237a753bf0e1d", id="a suffix too long"),
    ],
)
def test_child_name(parent: str, suffix: str, name: str) -> None:
    """What is too long keeps its beginning, and its suffix where that leaves room."""
    assert child_name(parent, suffix) == name


@given(st.text("abc-", min_size=1, max_size=90), st.text("xyz-", max_size=70))
def test_every_name_fits(parent: str, suffix: str) -> None:
    """At most 63 characters, the same each time."""
    assert len(child_name(parent, suffix)) <= 63
    assert child_name(parent, suffix) == child_name(parent, suffix)


@given(st.text("ab", min_size=60, max_size=70), st.text("ab", min_size=60, max_size=70))
def test_long_names_stay_apart(one: str, other: str) -> None:
    """Two parents have two children, however alike their beginnings are."""
    assert (child_name(one, "-private") == child_name(other, "-private")) is (one == other)


def test_a_revisions_children() -> None:
    """The names that the activator and people look for."""
    assert deployment_name("svc-00001") == "svc-00001-deployment"
    assert private_service_name("svc-00001") == "svc-00001-private"

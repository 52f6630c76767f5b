"""Torpor's own annotations are read, or refused with what is allowed."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.errors import InvalidInputError
from torpor.spec.annotations import check_revision, check_route
from torpor.spec.fields import Fields
from torpor.spec.mirror import MirrorTarget, parse_mirror
from torpor.spec.session import Affinity, parse_affinity


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("header=X-Session-Id", Affinity("header", "X-Session-Id"), id="header"),
        pytest.param("cookie=torpor-session", Affinity("cookie", "torpor-session"), id="cookie"),
        pytest.param("header=X-Session-Id; strict", Affinity("header", "X-Session-Id", strict=True), id="strict"),
        pytest.param(" cookie=a;strict ", Affinity("cookie", "a", strict=True), id="blanks do not matter"),
        pytest.param("header=", None, id="no name"),
        pytest.param("X-Session-Id", None, id="no kind"),
        pytest.param("address=1", None, id="another kind"),
        pytest.param("header=a b", None, id="no token"),
        pytest.param("header=a\r\nX: b", None, id="two lines"),
        pytest.param("header=a; lax", None, id="an unknown word"),
        pytest.param("header=" + "a" * 101, None, id="too long"),
        pytest.param("", None, id="empty"),
    ],
)
def test_affinity(raw: str, expected: Affinity | None) -> None:
    """What is refused is named with what is allowed."""
    if expected is not None:
        assert parse_affinity("a", raw) == expected
        return
    with pytest.raises(InvalidInputError, match="use header=NAME or cookie=NAME"):
        parse_affinity("a", raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("app-00002=10", MirrorTarget("app-00002", 10), id="a tenth"),
        pytest.param("app-00002=100; wake", MirrorTarget("app-00002", 100, wake=True), id="all, and awake"),
        pytest.param("app-00002=0", None, id="nothing"),
        pytest.param("app-00002=101", None, id="more than all"),
        pytest.param("app-00002=07", None, id="a number that begins with 0"),
        pytest.param("app-00002=1.5", None, id="a fraction"),
        pytest.param("App=1", None, id="no name of a revision"),
        pytest.param("other/app=1", None, id="another namespace"),
        pytest.param("=1", None, id="no name"),
        pytest.param("app-00002", None, id="no share"),
    ],
)
def test_mirror(raw: str, expected: MirrorTarget | None) -> None:
    """What is refused is named with what is allowed."""
    if expected is not None:
        assert parse_mirror("a", raw) == expected
        return
    with pytest.raises(InvalidInputError, match="use REVISION=PERCENT"):
        parse_mirror("a", raw)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(raw: str) -> None:
    """And nothing else happens."""
    for parse in (parse_affinity, parse_mirror):
        with contextlib.suppress(InvalidInputError):
            assert parse("a", raw)


def test_an_error_says_where_the_annotation_stands() -> None:
    """A Service has two places."""
    metadata = Fields({"annotations": {"torpor.dev/session-affinity": "?", "torpor.dev/mirror": "?"}}, "metadata")
    with pytest.raises(InvalidInputError, match=r"^metadata\.annotations\[torpor\.dev/session-affinity\]: '\?'"):
        check_revision(metadata)
    with pytest.raises(InvalidInputError, match=r"^metadata\.annotations\[torpor\.dev/mirror\]: '\?'"):
        check_route(metadata)


def test_what_is_not_ours_is_left_alone() -> None:
    """Anybody's annotations may say anything."""
    metadata = Fields({"annotations": {"example.com/mirror": "?", "torpor.dev/unknown": "?"}})
    check_revision(metadata)
    check_route(metadata)

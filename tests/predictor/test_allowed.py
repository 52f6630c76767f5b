"""Where models may be registered from: what the operator lists, read in one way."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from predictor.allowed import Allowed, canonical
from torpor.errors import ForbiddenError, InvalidInputError

ALLOWED = Allowed(("s3://models/team", "file:///srv/models/"))


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("s3://models/team/x.mar", id="below it"),
        pytest.param("S3://models/team/x.mar", id="another case of the scheme"),
        pytest.param("s3://models/team", id="itself"),
        pytest.param("file:///srv/models/a/b/", id="a folder"),
    ],
)
def test_what_is_below_a_prefix_is_allowed(uri: str) -> None:
    """And comes back in the form that was compared."""
    assert ALLOWED.check("url", uri) == uri.lower().rstrip("/")


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("s3://models/team2/x.mar", id="a longer name"),
        pytest.param("s3://models", id="above it"),
        pytest.param("s3://Models/team/x", id="another bucket"),
        pytest.param("https://models/team/x", id="another scheme"),
        pytest.param("file:///srv/model", id="a shorter name"),
    ],
)
def test_what_is_elsewhere_is_refused(uri: str) -> None:
    """With the setting that says where from."""
    with pytest.raises(ForbiddenError, match="TORPOR_PREDICTOR_ALLOWED_SOURCES says where from"):
        ALLOWED.check("url", uri)


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("s3://models/team/../secret", id="dots (CVE-2024-35198)"),
        pytest.param("s3://models/team/./x", id="one dot"),
        pytest.param("s3://models/team//x", id="an empty segment"),
        pytest.param("s3://models/team/%2e%2e/secret", id="dots in disguise"),
        pytest.param("s3://models/team\\..\\secret", id="backslashes"),
        pytest.param("s3://models/team@evil/x", id="an at-sign"),
        pytest.param("s3://models/team/x?versionId=1", id="a query"),
        pytest.param("s3://models/team/x\n", id="a line"),
        pytest.param("s3://models/te\u0430m/x", id="a letter that looks like another"),
        pytest.param("/srv/models/x", id="a path"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_two_could_read_in_two_ways_is_refused(uri: str) -> None:
    """Before it is compared with anything."""
    with pytest.raises(InvalidInputError, match="url: "):
        ALLOWED.check("url", uri)


def test_nothing_is_allowed_by_default() -> None:
    """TorchServe's default was everything (CVE-2023-43654)."""
    with pytest.raises(ForbiddenError, match="it lists none"):
        Allowed().check("url", "file:///srv/models/x")


@given(st.text(max_size=60) | st.lists(st.sampled_from(["..", ".", "/", "team", "x", "%2e", "\\"])).map("".join))
@example("../secret")
def test_nothing_leaves_the_prefix(tail: str) -> None:
    """Whatever is appended to it."""
    with contextlib.suppress(ForbiddenError, InvalidInputError):
        found = ALLOWED.check("url", f"s3://models/team/{tail}")
        assert found == canonical("url", found)
        assert found.startswith("s3://models/team")
        assert ".." not in found.split("/")

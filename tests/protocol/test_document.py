"""A body is a JSON object; what is shown of it in an error is short."""

from __future__ import annotations

import pytest

from torpor.errors import InvalidInputError
from torpor.protocol.document import brief, parameters, read_object


def test_an_object_is_read() -> None:
    """Fields that nobody knows are nobody's business here."""
    assert read_object(b' {"a": 1} ') == {"a": 1}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(b"", "JSON", id="nothing"),
        pytest.param(b"{", "JSON", id="half an object"),
        pytest.param(b'{"a": NaN}', "JSON", id="NaN, which only Python takes for JSON"),
        pytest.param(b'{"a": 1e999}', "JSON", id="a number that no float can hold"),
        pytest.param(b'{"a": "\xff"}', "JSON", id="bytes that are no UTF-8"),
        pytest.param(b'{"a": "\\ud800"}', "JSON", id="half a surrogate pair"),
        pytest.param(b"[" * 100_000, "JSON", id="a hundred thousand lists in each other"),
        pytest.param(b"[1]", "object", id="a list"),
        pytest.param(b"null", "object", id="null"),
    ],
)
def test_what_is_no_object_is_refused(body: bytes, says: str) -> None:
    """The message says what is needed, and is no longer than a line."""
    with pytest.raises(InvalidInputError, match=says) as caught:
        read_object(body)
    assert caught.value.field == "body"
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param([1, 2], "[1, 2]", id="short"),
        pytest.param(None, "None", id="null"),
        pytest.param(list(range(10**6)), "[0, 1, 2, 3, 4, 5, ...]", id="a million numbers"),
        pytest.param("text", "'text'", id="text keeps its quotes"),
    ],
)
def test_a_value_is_shown_by_its_beginning(value: object, shown: str) -> None:
    """Whatever its size."""
    assert repr(brief(value)) == shown


def test_a_long_text_is_cut() -> None:
    """At both sides of the middle, as people read it."""
    assert len(brief("x" * 10**6)) <= 122


def test_parameters_are_an_object_or_absent() -> None:
    """The error has the path of who holds them."""
    assert parameters("", {}) == parameters("", {"parameters": None}) == {}
    assert parameters("", {"parameters": {"a": 1}}) == {"a": 1}
    with pytest.raises(InvalidInputError, match=r"inputs\[0\]\.parameters: \[1\] is not allowed; use an object"):
        parameters("inputs[0].", {"parameters": [1]})

"""Forms, as browsers, curl and Python's clients send them."""

from __future__ import annotations

import contextlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.errors import InvalidInputError
from torpor.protocol.multipart import MOST_PARTS, Part, boundary, decode

TYPE = 'multipart/form-data; boundary="a b"'
ONE = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'


def part(head: str, content: bytes = b"") -> bytes:
    return b"--x\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n--x--\r\n"


@given(
    st.lists(st.tuples(st.text('ab"é;= %\\', min_size=1, max_size=8), st.binary(max_size=300)), min_size=1, max_size=4)
)
def test_what_a_client_sends_arrives(parts: list[tuple[str, bytes]]) -> None:
    """Names with any marks in them, octets of any value."""
    request = httpx.Request("POST", "http://h", files=[(name, ("f.bin", content, "a/b")) for name, content in parts])
    found = decode(request.read(), boundary(request.headers["content-type"]))
    # A backslash, which clients leave as it is, begins an escape for others: here only those without are compared.
    assert [each.content for each in found] == [content for _, content in parts]
    for each, (name, _) in zip(found, parts, strict=True):
        assert each.content_type == "a/b"
        assert each.name == name or "\\" in name


def test_parts_are_read_as_they_may_be_written() -> None:
    """With a preamble and an epilogue, blanks after the boundary, names without quotes, and any case."""
    body = b"hello\r\n--x \t\r\nCONTENT-DISPOSITION: form-data; filename=f; name=a\r\n"
    body += b"content-type: text/plain\r\n\r\n1\r\n"
    body += b'--x\r\nContent-Disposition: form-data; name="b%22c"\r\n\r\n\r\n--x--bye'
    assert decode(body, b"x") == [Part("a", b"1", "text/plain"), Part('b"c', b"", "")]
    assert boundary(TYPE) == b"a b"


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", 'a/b; boundary="' + "x" * 71]
)
def test_a_type_without_a_boundary_is_refused(kind: str) -> None:
    """Nothing can be found without it."""
    with pytest.raises(InvalidInputError, match=r"Content-Type: .*boundary"):
        boundary(kind)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(b"", "boundary .* is not in it", id="empty"),
        pytest.param(b"--y\r\n", "is not in it", id="another boundary"),
        pytest.param(ONE[:-10], "ends the last part is missing", id="cut"),
        pytest.param(b"--xy\r\n", "a line break is needed", id="a longer boundary"),
        pytest.param(b"--x", "a line break is needed", id="nothing after it"),
        pytest.param(b"--x\r\nA: b\r\n--x--", "part 0: .*headers", id="no empty line"),
        pytest.param(part("A: " + "b" * 9000), "part 0: .*at most 8192", id="long headers"),
        pytest.param(part("Content-Disposition: attachment; name=a"), "Disposition: .*form-data", id="no field"),
        pytest.param(part("Content-Disposition: form-data"), "Disposition: .*form-data", id="no name"),
        pytest.param(ONE[:-7] * (MOST_PARTS + 1) + b"--x--", f"at most {MOST_PARTS} parts", id="many"),
    ],
)
def test_bodies_that_are_no_forms_are_refused(body: bytes, says: str) -> None:
    """With what is wrong."""
    with pytest.raises(InvalidInputError, match=says):
        decode(body, b"x")


@given(
    st.lists(st.sampled_from([b"--x", b"\r\n", b"--", b"a", b'Content-Disposition: form-data; name="a"', b"\r", b":"]))
)
def test_any_body_is_read_or_refused(pieces: list[bytes]) -> None:
    """And nothing else happens."""
    with contextlib.suppress(InvalidInputError):
        decode(b"".join(pieces), b"x")

"""Conversations that nobody has written down: `scripts/fuzz/requests` goes on with this for as long as one likes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.activator.hostile import laws
from tests.activator.hostile.cases import load
from tests.activator.hostile.grammar import CONVERSATION, CUTS, cut
from tests.activator.hostile.readers import by_gunicorn, by_h11, by_waitress
from tests.activator.hostile.sealed import converse

pytestmark = pytest.mark.slow

BYTES = b"".join(case.raw for case in load() if len(case.raw) < 2000)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@settings(max_examples=150, deadline=None)
@given(CONVERSATION, CUTS)
def test_no_request_is_two(loop: asyncio.Runner, raw: bytes, at: list[int]) -> None:
    """However a request is spoiled, all parsers read in what reaches the pod what they read in what was sent."""
    laws.check(raw, converse(loop, cut(raw, at)))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(BYTES)), st.integers(1, 120)), min_size=1, max_size=8),
    CUTS,
)
def test_pieces_of_the_corpus_in_any_order(loop: asyncio.Runner, pieces: list[tuple[int, int]], at: list[int]) -> None:
    """What was bad somewhere is tried everywhere."""
    raw = b"".join(BYTES[begin : begin + size] for begin, size in pieces)
    laws.check(raw, converse(loop, cut(raw, at)))


@given(st.sampled_from([by_h11, by_gunicorn, by_waitress]), st.integers(0, 10**6))
def test_readers_read_whatever_is_there_so_far(reader: object, at: int) -> None:
    """The judges themselves: the beginning of a request is no error and no request, for any of them."""
    one = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    other = b"PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    raw = one + other
    size = at % (len(raw) + 1)
    reading = reader(raw[:size])  # type: ignore[operator]
    assert [seen.target for seen in reading.whole] == [b"/a", b"/b"][: (size >= len(one)) + (size >= len(raw))]
    assert reading.partial == (size not in {0, len(one), len(raw)})

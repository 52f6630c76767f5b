"""What passes the sieve, however it is cut; and what does not."""

from __future__ import annotations

import pytest
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame, WindowUpdateFrame
from hypothesis import given
from hypothesis import strategies as st

from activator.grpc.frames import FRAME_BYTES, PREFACE, Excess, GoAway, Sieve

frames = st.lists(
    st.one_of(
        st.builds(DataFrame, st.integers(1, 9), st.binary(min_size=1, max_size=60)),
        st.builds(
            lambda number, data: HeadersFrame(number, data, flags=["END_HEADERS"]), st.integers(1, 9), st.binary()
        ),
        st.builds(lambda data: PingFrame(0, opaque_data=data), st.binary(min_size=8, max_size=8)),
        st.builds(lambda number, size: WindowUpdateFrame(number, window_increment=size), st.integers(0, 9), st.just(5)),
        st.builds(
            lambda last, code, said: GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=said),
            st.integers(0, 2**31 - 1),
            st.integers(0, 13),
            st.binary(max_size=20),
        ),
    ),
    max_size=12,
)


@given(sent=frames, cuts=st.lists(st.integers(1, 40), min_size=1), preface=st.booleans())
def test_all_but_goodbyes_pass_however_they_are_cut(sent: list[Frame], cuts: list[int], *, preface: bool) -> None:
    """Nothing is lost, added or reordered; of goodbyes the lowest promise counts."""
    sieve = Sieve(header_bytes=10_000, preface=preface)
    raw = (PREFACE if preface else b"") + b"".join(frame.serialize() for frame in sent)
    passed, at, turn = b"", 0, 0
    while at < len(raw):
        size = cuts[turn % len(cuts)]
        sifted = sieve.feed(raw[at : at + size], 100)
        assert isinstance(sifted, bytes)
        passed += sifted
        at, turn = at + size, turn + 1
    kept = [frame for frame in sent if not isinstance(frame, GoAwayFrame)]
    assert passed == (PREFACE if preface else b"") + b"".join(frame.serialize() for frame in kept)
    assert not sieve.incomplete
    said = [frame for frame in sent if isinstance(frame, GoAwayFrame)]
    if said:
        lowest = min(frame.last_stream_id for frame in said)
        assert sieve.goaway == GoAway(lowest, said[-1].error_code, said[-1].additional_data)
    else:
        assert sieve.goaway is None


@pytest.mark.parametrize(
    ("raw", "excess"),
    [
        pytest.param((FRAME_BYTES + 1).to_bytes(3, "big") + b"\0\0\0\0\0\1", Excess.FRAME, id="a frame too long"),
        pytest.param((2**24 - 1).to_bytes(3, "big") + b"\x07\0\0\0\0\0", Excess.FRAME, id="a goodbye too long"),
        pytest.param(SettingsFrame(0).serialize() * 11, Excess.CONTROL, id="settings"),
        pytest.param(DataFrame(1).serialize() * 11, Excess.CONTROL, id="data without data"),
        pytest.param(HeadersFrame(1, b"x" * 10_001).serialize(), Excess.HEADERS, id="a header block too long"),
    ],
)
def test_what_is_too_much(raw: bytes, excess: Excess) -> None:
    """Said at the first byte that is."""
    assert Sieve(header_bytes=10_000, preface=False).feed(raw, 10) is excess


def test_an_end_without_data_is_no_idle_talk() -> None:
    """It ends something."""
    sieve = Sieve(header_bytes=10_000, preface=False)
    raw = DataFrame(1, flags=["END_STREAM"]).serialize() * 100
    assert sieve.feed(raw, 10) == raw


def test_a_goodbye_within_a_header_block_is_left_to_the_parser() -> None:
    """For it is against the protocol."""
    sieve = Sieve(header_bytes=10_000, preface=False)
    raw = HeadersFrame(1, b"x").serialize() + GoAwayFrame(0).serialize()
    assert sieve.feed(raw, 10) == raw
    assert sieve.in_block
    assert sieve.incomplete

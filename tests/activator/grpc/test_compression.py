"""Header blocks: whatever is written is read again by hpack, and nothing is kept."""

from __future__ import annotations

from hpack import Decoder, Encoder, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from activator.grpc.compression import PlainEncoder

text = st.binary(max_size=400)
fields = st.lists(
    st.one_of(
        st.tuples(text, text),
        st.tuples(st.sampled_from([b":method", b":path", b"accept", b"authorization", b"x"]), text),
        st.sampled_from([(b":method", b"POST"), (b":status", b"200"), (b"accept-encoding", b"gzip, deflate")]),
        st.builds(NeverIndexedHeaderTuple, text, text),
    ),
    max_size=30,
)


@given(blocks=st.lists(fields, min_size=1, max_size=4))
def test_what_is_written_is_read(blocks: list[list[tuple[bytes, bytes]]]) -> None:
    """Block by block on one connection, with what must not be indexed marked as such; the table stays empty."""
    encoder, decoder = PlainEncoder(), Decoder()
    decoder.max_header_list_size = 2**20
    for block in blocks:
        read = decoder.decode(encoder.encode(block), raw=True)
        assert [tuple(each) for each in read] == [tuple(each) for each in block]
        marked = [isinstance(each, NeverIndexedHeaderTuple) for each in block]
        assert [isinstance(each, NeverIndexedHeaderTuple) for each in read] == marked
    assert len(decoder.header_table.dynamic_entries) == 0


@given(block=fields, size=st.integers(0, 8192))
def test_a_peer_that_keeps_less(block: list[tuple[bytes, bytes]], size: int) -> None:
    """Whatever the peer says of its table, it has been told that we use none."""
    encoder, decoder = PlainEncoder(), Decoder()
    decoder.decode(encoder.encode([(b"a", b"b")]), raw=True)
    decoder.max_allowed_table_size = encoder.header_table_size = size
    read = decoder.decode(encoder.encode(block), raw=True)
    assert [tuple(each) for each in read] == [tuple(each) for each in block]


def test_it_is_not_much_longer() -> None:
    """What it costs on the wire, beside hpack's first block: less than half as much again."""
    block = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"app.default.example.com"),
        (b":path", b"/inference.GRPCInferenceService/ModelInfer"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"user-agent", b"grpc-python/1.66.0 grpc-c/43.0.0 (linux; chttp2)"),
    ]
    assert len(PlainEncoder().encode(block)) < 1.5 * len(Encoder().encode(block))

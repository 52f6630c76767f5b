"""Requests as they should not be: every part by its rule, or by one of the ways in which parsers have been deceived."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from tests.activator.hostile.sealed import HOST

Bytes = st.SearchStrategy[bytes]


def mostly(usual: bytes | Bytes, *odd: bytes) -> Bytes:
    """The usual, or sometimes one of these."""
    plain = st.just(usual) if isinstance(usual, bytes) else usual
    return st.integers(0, 9).flatmap(lambda dice: st.sampled_from(odd) if dice == 0 else plain)


EOL = mostly(b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n ", b"\0\r\n", b"")
SPACE = mostly(b" ", b"\t", b"  ", b"", b"\x0b", b"\r\n ", b"\xa0")
COLON = mostly(b": ", b":", b" : ", b"\t:", b":\t", b":\r\n ", b"\0:", b"")
DECORATION = mostly(b"", b"\0", b"\x0b", b"\t", b",", b";x", b" x", b"\r", b"\xff", b'"')

METHOD = mostly(
    st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS"]), b"CONNECT", b"get", b"PRI", b"G\0", b""
)
TARGET = mostly(
    st.sampled_from([b"/", b"/a?b", b"//x", b"/%0d%0a", f"http://{HOST}/".encode()]),
    *(
        b"*",
        b"a",
        b"/ HTTP/1.1\r\nX: ",
        b"/\0",
        b"/\xc3\xa9",
        b"/#a",
        b"http://other.test/",
        b"http://",
        b"app:80",
        b"",
    ),
)
VERSION = mostly(
    b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 ", b"RTSP/1.0", b""
)

SIZES = [
    b"0",
    b"1",
    b"5",
    b"05",
    b"+5",
    b"-5",
    b"0x5",
    b"5_0",
    b"5, 5",
    b"5 5",
    b"",
    b"18446744073709551621",
    b"%d" % 2**40,
]
LENGTH = st.sampled_from(SIZES)
CODING = mostly(
    b"chunked", b"Chunked", b"xchunked", b"chunked, chunked", b"gzip, chunked", b"identity", b"chunked;a", b""
)
FRAMING = st.one_of(
    st.tuples(mostly(b"Content-Length", b"content-length", b"Content_Length", b"Content-Length "), COLON, LENGTH),
    st.tuples(
        mostly(b"Transfer-Encoding", b"transfer-encoding", b"Transfer_Encoding", b" Transfer-Encoding"), COLON, CODING
    ),
)
OTHER = st.sampled_from(
    [
        (b"Connection", b": ", b"close"),
        (b"Connection", b": ", b"keep-alive, Content-Length, Transfer-Encoding, Host"),
        (b"Connection", b": ", b"Upgrade"),
        (b"Upgrade", b": ", b"websocket"),
        (b"Upgrade", b": ", b"h2c"),
        (b"Expect", b": ", b"100-continue"),
        (b"Host", b": ", HOST.encode()),
        (b"Host", b": ", b"other.test"),
        (b"X-Request-Id", b": ", b"a\tb"),
        (b"Forwarded", b": ", b'for="'),
        (b"X-Forwarded-For", b": ", b"1.2.3.4"),
        (b"Traceparent", b": ", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (b"Knative-Serving-Tag", b": ", b"none"),
        (b"Torpor-Priority", b": ", b"batch"),
        (b"TE", b": ", b"trailers, chunked"),
        (b"Trailer", b": ", b"Content-Length"),
    ]
)
FIELD = st.builds(
    lambda parts, before, after, eol: parts[0] + parts[1] + before + parts[2] + after + eol,
    st.one_of(FRAMING, OTHER, st.tuples(st.just(b"X-A"), COLON, st.binary(max_size=8))),
    DECORATION,
    DECORATION,
    EOL,
)
CHUNK = st.builds(
    lambda data, size, extension, eol, end: (
        (b"%x" % len(data) if size is None else size) + extension + eol + data + end
    ),
    st.binary(min_size=1, max_size=20),
    st.integers(0, 9).flatmap(lambda dice: st.sampled_from(SIZES) if dice == 0 else st.none()),
    mostly(b"", b";a=b", b";", b" ", b";\n", b';"\r\n"', b"\t"),
    EOL,
    EOL,
)
LAST = st.builds(
    lambda size, eol, trailers, end: size + eol + b"".join(trailers) + end,
    mostly(b"0", b"000", b"", b"0x0", b"-0", b"0;a"),
    EOL,
    st.lists(FIELD, max_size=1),
    EOL,
)
SMUGGLED = f"GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def _sized(body: bytes) -> Bytes:
    return st.just(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))


_CHUNKED = st.builds(
    lambda chunks, last: b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + last,
    st.lists(CHUNK, max_size=3),
    LAST,
)
BODY = st.one_of(
    st.just(b"\r\n"),
    st.one_of(st.binary(max_size=40), st.just(SMUGGLED)).flatmap(_sized),
    _CHUNKED,
    st.builds(lambda eol, rest: eol + rest, EOL, st.one_of(st.binary(max_size=20), st.just(SMUGGLED), CHUNK, LAST)),
)
REQUEST = st.builds(
    lambda method, one, target, two, version, eol, host, fields, body: b"".join(
        (method, one, target, two, version, eol, host, *fields, body)
    ),
    METHOD,
    SPACE,
    TARGET,
    SPACE,
    VERSION,
    EOL,
    mostly(f"Host: {HOST}\r\n".encode(), b"", b"Host: a b\r\n", f"Host : {HOST}\r\n".encode()),
    st.lists(FIELD, max_size=3),
    BODY,
)
CONVERSATION = st.lists(REQUEST, min_size=1, max_size=3).map(b"".join)
CUTS = st.lists(st.integers(0, 400), max_size=4)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """Cut at these places."""
    edges = [0, *sorted(min(each, len(data)) for each in at), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(edges)]

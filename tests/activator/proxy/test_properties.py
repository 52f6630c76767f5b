"""Whatever a client sends, and however it is cut up: another parser sees in it what the door saw."""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import itertools
import termios
from collections.abc import Iterator
from dataclasses import dataclass

import h11
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from activator.proxy.client import ClientConnection
from tests.activator.proxy.doorway import doorway
from tests.activator.proxy.pods import OK
from tests.activator.proxy.wire import anonymous, wire
from tests.support.until import until

pytestmark = pytest.mark.slow

HOST = b"app.default.example.test"
TOKEN = st.text("abcXYZ019-_", min_size=1, max_size=8).map(str.encode)
VALUE = st.binary(max_size=20).map(lambda raw: bytes(each for each in raw if each > 32 and each != 127))
# What parsers have been known to disagree about.
NASTY = [
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\n\n", b" ", b"\t", b"\x00", b"\x0b", b"\xff"),
    *(b"0", b"1", b"f", b"-", b"+", b",", b":", b";", b"chunked", b"0\r\n\r\n", b"HTTP/1.0", b"HTTP/1.1"),
    *(b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding : chunked\r\n"),
    *(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n"),
    *(b"Connection: Content-Length\r\n", b"Connection: Host, X\r\n"),
    b"GET / HTTP/1.1\r\nHost: app.default.example.test\r\n\r\n",
]


@dataclass(frozen=True)
class Sent:
    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes | None
    chunks: list[int] | None

    def raw(self) -> bytes:
        lines = [b"%b %b HTTP/1.1" % (self.method, self.target), b"Host: " + HOST]
        lines += [b"X-%b: %b" % each for each in self.fields]
        if self.body is None:
            return b"\r\n".join((*lines, b"", b""))
        if self.chunks is None:
            return b"\r\n".join((*lines, b"Content-Length: %d" % len(self.body), b"", self.body))
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in cut(self.body, self.chunks) if part)
        return b"\r\n".join((*lines, b"Transfer-Encoding: chunked", b"", body + b"0\r\n\r\n"))


CUTS = st.lists(st.integers(0, 400), max_size=6)
REQUEST = st.builds(
    Sent,
    st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE"]),
    st.text("abc/%?=&.;", max_size=12).map(lambda text: b"/" + text.encode()),
    st.lists(st.tuples(TOKEN, VALUE), max_size=3),
    st.none() | st.binary(max_size=300),
    st.none() | CUTS,
)


def cut(data: bytes, at: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(min(each, len(data)) for each in at), len(data)]
    for begin, end in itertools.pairwise(edges):
        yield data[begin:end]


def read(raw: bytes) -> tuple[list[tuple[bytes, bytes, bytes]], bool]:
    """Return (method, target, body) of every whole request in what a pod got, and whether something follows them."""
    parser = h11.Connection(h11.SERVER)
    if raw:  # nothing would mean the end
        parser.receive_data(raw)
    found: list[tuple[bytes, bytes, bytes]] = []
    while True:
        head = parser.next_event()
        if not isinstance(head, h11.Request):
            assert head is h11.NEED_DATA, head
            return found, parser.trailing_data != (b"", False)
        body = b""
        while isinstance(event := parser.next_event(), h11.Data):
            body += event.data
        if not isinstance(event, h11.EndOfMessage):
            assert event is h11.NEED_DATA, event
            return found, True
        found.append((head.method, head.target, body))
        parser.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        parser.send(h11.EndOfMessage())
        parser.start_next_cycle()


async def through_the_door(parts: list[bytes]) -> tuple[bytes, list[bytes]]:
    """Send the parts; return what the client was answered, and what the pod got on each connection."""
    got: list[bytearray] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = bytearray()
        got.append(raw)
        answered = 0
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                raw += data
                whole = len(read(bytes(raw))[0])
                writer.write(OK * (whole - answered))
                answered = whole
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, doorway() as door, wire(door.port) as client:
        door.deploy("app", server.sockets[0].getsockname()[1])
        answers = asyncio.create_task(client.reader.read(-1))
        with contextlib.suppress(ConnectionError, RuntimeError):  # the door may have closed
            for part in parts:
                await client.send(part)
                await asyncio.sleep(0)
        await until(lambda: door.door.connections or answers.done())
        (connection,) = door.door.connections or (None,)
        if connection is not None:
            transport = client.writer.transport
            await until(lambda: answers.done() or (not transport.get_write_buffer_size() and has_done(connection)))
            connection.transport.close()
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(answers, 5), [bytes(raw) for raw in got]
    return b"", [bytes(raw) for raw in got]


def has_done(connection: ClientConnection) -> bool:
    """Tell whether the door has read all that came, and answered all of it that was whole."""
    if connection.transport.is_closing():
        return True
    unread = array.array("i", [0])
    fcntl.ioctl(connection.transport.get_extra_info("socket").fileno(), termios.FIONREAD, unread)
    return not unread[0] and connection.current in (None, connection._reader.exchange)


def run(parts: list[bytes]) -> tuple[bytes, list[bytes]]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(through_the_door(parts))


@settings(max_examples=100)
@given(REQUEST, CUTS)
def test_any_request_arrives_as_it_was(sent: Sent, at: list[int]) -> None:
    """A request reaches the pod once and is the same there, wherever the network cuts it."""
    answers, got = run(list(cut(sent.raw(), at)))
    assert anonymous(answers) == OK
    assert [read(raw) for raw in got] == [([(sent.method, sent.target, sent.body or b"")], False)]


@settings(max_examples=200)
@given(
    st.lists(REQUEST, min_size=1, max_size=3), st.lists(st.tuples(st.integers(0, 600), st.sampled_from(NASTY))), CUTS
)
def test_nobody_is_deceived(requests: list[Sent], nasty: list[tuple[int, bytes]], at: list[int]) -> None:
    """However a request is spoiled, the pod reads as many requests as the door sent it, or the door refuses."""
    raw = b"".join(request.raw() for request in requests)
    for where, what in nasty:
        raw = raw[:where] + what + raw[where:]
    answers, got = run(list(cut(raw, at)))
    whole = [request for each in got for request in read(each)[0]]
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == len(whole)
    if not nasty:
        assert whole == [(each.method, each.target, each.body or b"") for each in requests]

"""What is refused, and that nothing of it reaches a pod as a request."""

from __future__ import annotations

import json

import pytest

from activator.settings import Waiting
from tests.activator.proxy.doorway import doorway, served
from tests.activator.proxy.pods import OK, answering
from tests.activator.proxy.wire import get, post, wire
from tests.support.clock import FakeClock
from tests.support.until import until

HOST = b"Host: app.default.example.test\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
REASONS = {400: "InvalidInput", 501: "Unsupported"}
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, id="CL and TE"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400, id="TE and CL"),
        pytest.param(POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400, id="CL twice, the same"),
        pytest.param(POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400, id="CL twice, different"),
        pytest.param(POST + b"Content-Length: 5, 5\r\n\r\nhello", 400, id="CL as a list"),
        pytest.param(POST + b"Content-Length: +5\r\n\r\nhello", 400, id="CL with a sign"),
        pytest.param(POST + b"Content-Length: -5\r\n\r\nhello", 400, id="negative CL"),
        pytest.param(POST + b"Content-Length: 0x5\r\n\r\nhello", 400, id="hexadecimal CL"),
        pytest.param(POST + b"Content-Length: 1_0\r\n\r\nhellohello", 400, id="CL with an underscore"),
        pytest.param(POST + b"Content-Length:\r\n\r\n", 400, id="empty CL"),
        pytest.param(POST + b"Content-Length: %d\r\n\r\n" % 10**30, 400, id="CL beyond 64 bits"),
        pytest.param(POST + b"Content-Length : 5\r\n\r\nhello", 400, id="space before the colon"),
        pytest.param(POST + b"Content-Length\x00: 5\r\n\r\nhello", 400, id="NUL in a name"),
        pytest.param(GET + b"X: a\x00b\r\n\r\n", 400, id="NUL in a value"),
        pytest.param(GET + b"X: a\x01b\r\n\r\n", 400, id="control character in a value"),
        pytest.param(GET + b"X: a\r\n b\r\n\r\n", 400, id="obsolete line folding"),
        pytest.param(GET + b"X: a\rb\r\n\r\n", 400, id="bare CR in a value"),
        pytest.param(GET + b"X: a\nY: b\r\n\r\n", 400, id="bare LF after a header"),
        pytest.param(GET.replace(b"\r\n", b"\n") + b"\n", 400, id="bare LF everywhere"),
        pytest.param(GET + b"X: a\r\n\n", 400, id="bare LF at the end of the head"),
        pytest.param(b"GET / HTTP/1.1\r\n " + HOST + b"\r\n", 400, id="space before the first header"),
        pytest.param(GET + b": a\r\n\r\n", 400, id="header without a name"),
        pytest.param(GET + b"X\r\n\r\n", 400, id="header without a colon"),
        pytest.param(GET + b"X\xe9: a\r\n\r\n", 400, id="name beyond ASCII"),
        pytest.param(CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", 400, id="chunk size with 0x"),
        pytest.param(CHUNKED + b"-1\r\nhello\r\n0\r\n\r\n", 400, id="negative chunk size"),
        pytest.param(CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", 400, id="chunk size with a space"),
        pytest.param(CHUNKED + b"%s\r\nhello\r\n" % (b"f" * 20), 400, id="chunk size beyond 64 bits"),
        pytest.param(CHUNKED + b"5\nhello\r\n0\r\n\r\n", 400, id="bare LF after a chunk size"),
        pytest.param(CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n", 400, id="bare LF in an extension"),
        pytest.param(CHUNKED + b"5\r\nhelloworld\r\n0\r\n\r\n", 400, id="chunk longer than its size"),
        pytest.param(CHUNKED + b"\r\nhello\r\n0\r\n\r\n", 400, id="no chunk size"),
        pytest.param(CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", 400, id="CL as a trailer"),
        pytest.param(POST + b"Transfer-Encoding: xchunked\r\n\r\n", 501, id="TE not chunked"),
        pytest.param(POST + b"Transfer-Encoding: chunked, identity\r\n\r\n", 400, id="TE not last chunked"),
        pytest.param(POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n", 400, id="TE chunked twice"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            id="TE on two lines",
        ),
        pytest.param(POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, id="TE with a tab"),
        pytest.param(POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400, id="empty TE"),
        pytest.param(POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, id="TE that nobody undoes"),
        pytest.param(CHUNKED.replace(b"1.1", b"1.0", 1) + b"0\r\n\r\n", 400, id="TE in HTTP/1.0, which has none"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no Host"),
        pytest.param(GET + HOST + b"\r\n", 400, id="Host twice"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, id="Host with a space"),
        pytest.param(b'GET / HTTP/1.1\r\nHost: a"b\r\n\r\n', 400, id="Host with a quote"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, id="Host with a user"),
        pytest.param(b"GET http://u@app.default.example.test/ HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="user"),
        pytest.param(b"GET /#f HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="fragment"),
        pytest.param(b"GET x HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="target that is no path"),
        pytest.param("GET /\u00e9 HTTP/1.1\r\n".encode() + HOST + b"\r\n", 400, id="target beyond ASCII"),
        pytest.param(b"GET /\x7f HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="DEL in the target"),
        pytest.param(b"GET / x HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="space in the target"),
        pytest.param(b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 400, id="HTTP/1.2"),
        pytest.param(b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 400, id="HTTP/2.0 in words of HTTP/1"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2 without asking"),
        pytest.param(b"GET /\r\n\r\n", 400, id="HTTP/0.9"),
        pytest.param(b"NONSENSE / HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="unknown method"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="TLS"),
        pytest.param(b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\n", 501, id="CONNECT"),
        pytest.param(GET + b"Expect: cake\r\n\r\n", 400, id="unknown expectation"),
    ],
)
async def test_what_cannot_be_read(raw: bytes, status: int) -> None:
    """Answered once, in JSON, and the connection ends: what follows may be anything, and is not taken for a request."""
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        answer = await client.ask(raw + SMUGGLED)
        assert (answer.status, answer.reason, answer.header(b"connection")) == (status, REASONS[status], b"close")
        assert await client.ends()
        async with wire(door.port) as other:
            assert (await other.ask(get("/last"))).status == 200
        # The head may have gone ahead of a body that turned out wrong.
        assert pod.seen[-1].target == b"/last"
        assert all(request.target == b"/" and not request.body for request in pod.seen[:-1])


async def test_what_comes_before_nonsense_is_answered() -> None:
    """A request is not lost because the next one is no HTTP."""
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        await client.send(get(), b"\x00\x01\x02", get())
        assert [(await client.answer()).status for _ in range(2)] == [200, 400]
        assert await client.ends()
        assert len(pod.seen) == 1


async def test_message_of_a_bad_request() -> None:
    """The message says what was wrong."""
    async with served(answering(OK)) as (door, _), wire(door.port) as client:
        answer = await client.ask(get("/", "Host: other"))
        assert json.loads(answer.body)["error"] == "Host: 'other' is not allowed; send it once"


# --- nowhere to go ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(get(host="nobody.default.example.test"), id="unknown host"),
        pytest.param(get("/serving/default/nobody/", host="localhost"), id="unknown path"),
        pytest.param(post(b"hello", "Expect: 100-continue").replace(b"app.", b"nobody."), id="with a body"),
    ],
)
async def test_unknown_service(raw: bytes) -> None:
    """404, and the connection may be used for something better; the body of the request is read past."""
    async with served(answering(OK)) as (door, _), wire(door.port) as client:
        for _ in range(2):
            answer = await client.ask(raw)
            assert (answer.status, answer.reason) == (404, "NotFound")
            assert "nobody" in json.loads(answer.body)["error"]
        assert (await client.ask(get())).status == 200


async def test_error_to_head() -> None:
    """An answer to HEAD has no body, ours neither."""
    async with served(answering(OK)) as (door, _), wire(door.port) as client:
        await client.send(get(host="nobody.test", method="HEAD"), get())
        answer = await client.answer("HEAD")
        assert (answer.status, answer.body) == (404, b"")
        assert answer.header(b"content-length") != b"0"
        assert (await client.answer()).status == 200


async def test_full_queue() -> None:
    """Who finds the queue full is told to try again, when, and may go on with the connection."""
    async with doorway(waiting=Waiting(queue_limit=1)) as door, wire(door.port) as first, wire(door.port) as second:
        door.deploy("app")
        await first.send(get())
        await until(lambda: door.throttler().queued == 1)
        for _ in range(2):
            answer = await second.ask(post(b"hello"))
            assert (answer.status, answer.reason, answer.header(b"retry-after")) == (503, "QueueFull", b"1")


async def test_deleted_while_waiting() -> None:
    """A revision that is deleted lets go of those that wait for it."""
    async with doorway() as door, wire(door.port) as client:
        door.deploy("app")
        await client.send(get())
        await until(lambda: door.throttler().queued == 1)
        door.remove("app")
        answer = await client.answer()
        assert (answer.status, answer.reason) == (503, "Unavailable")


async def test_waiting_too_long() -> None:
    """A wait for a pod ends after its time, with 504."""
    clock = FakeClock()
    async with doorway(waiting=Waiting(activation_timeout_s=30), clock=clock) as door, wire(door.port) as client:
        door.deploy("app")
        await client.send(get())
        await until(lambda: door.throttler().queued == 1)
        clock.advance(29.9)
        door.throttlers.expire(clock.monotonic())
        assert door.throttler().queued == 1
        clock.advance(0.1)
        answer = await client.answer()
        assert (answer.status, answer.reason) == (504, "DeadlineExceeded")

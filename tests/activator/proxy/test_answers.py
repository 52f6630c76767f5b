"""What a client is answered, for what a pod answers."""

from __future__ import annotations

import pytest

from tests.activator.proxy.doorway import served
from tests.activator.proxy.pods import OK, Behave, Line, answering
from tests.activator.proxy.wire import anonymous, get, post, wire
from tests.support.until import until

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def and_close(answer: bytes) -> Behave:
    """A pod that ends the connection after its answer."""

    async def behave(line: Line) -> None:
        await line.request()
        await line.send(answer)

    return behave


@pytest.mark.parametrize(
    ("answer", "raw"),
    [
        pytest.param(
            HEAD + b"Content-Length: 2\r\n\r\nhi", HEAD + b"Content-Length: 2\r\n\r\nhi", id="of known length"
        ),
        pytest.param(
            CHUNKED + b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", CHUNKED + b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", id="chunked"
        ),
        pytest.param(
            HEAD.replace(b"1.1", b"1.0") + b"Content-Length: 2\r\n\r\nhi",
            HEAD + b"Content-Length: 2\r\n\r\nhi",
            id="a pod that speaks HTTP/1.0",
        ),
        pytest.param(
            b"HTTP/1.1 299 Fine\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n",
            id="own status",
        ),
        pytest.param(
            b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
            id="204 has no length",
        ),
        pytest.param(
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: a\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: a\r\n\r\n",
            id="304 tells a length and has no body",
        ),
        pytest.param(
            HEAD
            + b"Connection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
            HEAD + b"Content-Length: 0\r\n\r\n",
            id="what concerns one connection stays there",
        ),
        pytest.param(
            HEAD + b"Set-Cookie: a\r\nSet-Cookie: b\r\nX-Utf8: \xc3\xa9\r\nContent-Length: 0\r\n\r\n",
            HEAD + b"Set-Cookie: a\r\nSet-Cookie: b\r\nX-Utf8: \xc3\xa9\r\nContent-Length: 0\r\n\r\n",
            id="all other headers pass, in order",
        ),
        pytest.param(
            CHUNKED + b"2\r\nhi\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a\r\n\r\n",
            CHUNKED + b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n",
            id="trailers pass, but for those that belong before the body",
        ),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK,
            b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK,
            id="early hints",
        ),
    ],
)
async def test_answers(answer: bytes, raw: bytes) -> None:
    """An answer passes byte by byte, and both connections are used again."""
    async with served(answering(answer)) as (door, pod), wire(door.port) as client:
        for _ in range(3):
            await client.send(get("/", "X-Request-Id: mine"))
            assert anonymous(await client.reader.readexactly(len(raw) + len(b"X-Request-Id: mine\r\n"))) == raw
        assert (await client.ask(get(host="nobody.test"))).status == 404, "something came behind the answer"
        assert len(pod.lines) == (3 if b"HTTP/1.0" in answer else 1)


async def test_answer_that_ends_with_the_connection() -> None:
    """A body without a length is chunked for the client, whose connection stays."""
    async with served(and_close(HEAD + b"\r\nhello")) as (door, pod), wire(door.port) as client:
        for _ in range(2):
            answer = await client.ask(get())
            assert (answer.body, answer.header(b"transfer-encoding")) == (b"hello", b"chunked")
        assert len(pod.lines) == 2


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", id="chunked"),
        pytest.param(HEAD + b"\r\nhello", id="that ends with the connection"),
    ],
)
async def test_answer_to_an_older_client(answer: bytes) -> None:
    """HTTP/1.0 knows no chunks: the end of the connection is the end of the body, keep-alive or not."""
    async with served(and_close(answer)) as (door, _), wire(door.port) as client:
        await client.send(get("/", "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert await client.rest() == HEAD + b"Connection: close\r\n\r\nhello"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(b"Content-Length: 5\r\n", id="with the length of the body that GET would have"),
        pytest.param(b"Transfer-Encoding: chunked\r\n", id="chunked"),
        pytest.param(b"", id="without a length"),
    ],
)
async def test_head(fields: bytes) -> None:
    """An answer to HEAD ends with its head, and requests may follow."""
    async with served(answering(HEAD + fields + b"\r\n", OK)) as (door, _), wire(door.port) as client:
        await client.send(get(method="HEAD"), get())
        answer = await client.answer("HEAD")
        assert answer.header(b"content-length") == (b"5" if b"Length" in fields else None)
        assert (await client.answer()).body == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="no HTTP"),
        pytest.param(b"HTTP/1.1 OK\r\n\r\n", id="no status"),
        pytest.param(b"HTTP/1.1 1000 OK\r\n\r\n", id="status of four digits"),
        pytest.param(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", id="two lengths"),
        pytest.param(
            HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", id="CL and TE"
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", id="TE that nobody undoes"
        ),
        pytest.param(HEAD + b"Transfer-Encoding: gzip\r\n\r\nhi", id="TE that is not chunked"),
        pytest.param(HEAD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", id="obsolete line folding"),
        pytest.param(HEAD + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n", id="NUL in a value"),
        pytest.param(HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n", id="bare LF"),
        pytest.param(
            b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", id="101 without having asked"
        ),
        pytest.param(HEAD + b"X: " + b"a" * 300_000, id="head without end"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000, id="hints without end"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_answer_that_is_none(answer: bytes) -> None:
    """What a pod sends that is no answer is a 502, once; the client may go on, the pod's connection may not."""
    async with served(and_close(answer)) as (door, pod), wire(door.port) as client:
        for _ in range(2):
            said = await client.ask(post(b"hello"))
            assert (said.status, said.reason) == (502, "UpstreamFailed")
        assert len(pod.seen) == len(pod.lines) == 2
        assert door.throttler().counters.upstream_errors == 2


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(b"more", id="text"),
        pytest.param(OK, id="another answer"),
    ],
)
async def test_answer_that_goes_on(more: bytes) -> None:
    """What follows a whole answer is nobody's: it is not taken for the answer to the next request."""
    first = HEAD + b"Content-Length: 5\r\n\r\nfirst"
    async with served(answering(first + more, OK)) as (door, pod), wire(door.port) as client:
        assert (await client.ask(get())).body == b"first"
        assert (await client.ask(get())).body == b"ok"
        assert len(pod.lines) == 2


async def test_answer_followed_by_another_has_its_own_trailers() -> None:
    """Header and trailer fields of what nobody asked for are no trailers of what came before."""
    first = CHUNKED + b"5\r\nfirst\r\n0\r\nX-Sum: 1\r\n\r\n"
    forged = HEAD + b"X-Forged: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Forged: 2\r\n\r\n"
    async with served(answering(first + forged, OK)) as (door, _), wire(door.port) as client:
        answer = await client.ask(get())
        assert (answer.body, answer.trailers) == (b"first", [(b"x-sum", b"1")])
        assert (await client.ask(get())).body == b"ok"


async def test_idle_pod_that_speaks() -> None:
    """A pod that says something while nobody has asked is not listened to."""

    async def behave(line: Line) -> None:
        await line.request()
        await line.send(OK)
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        await line.ended()

    async with served(behave) as (door, pod), wire(door.port) as client:
        for _ in range(3):
            assert (await client.ask(get())).body == b"ok"
            await door.watched()
        assert len(pod.lines) == 3


async def test_early_answer() -> None:
    """An answer that comes before the body has ended reaches the client; its pod's connection is not used again."""

    async def behave(line: Line) -> None:
        await line.head()
        await line.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!")
        await line.ended()

    async with served(behave, concurrency=1) as (door, pod), wire(door.port) as client:
        await client.send(get("/", "Content-Length: 1000000", method="POST"))
        assert (await client.answer()).body == b"no!"
        assert await client.ends()
        assert pod.open == 0
        assert door.throttler().in_flight == 0


async def test_early_answer_and_close() -> None:
    """A pod that answers a long body, and closes with most of it unread: the answer is not lost in the reset."""

    async def behave(line: Line) -> None:
        await line.head()
        await line.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!")

    async with served(behave) as (door, _):
        for _ in range(20):
            async with wire(door.port) as client:
                await client.send(post(bytes(400_000)))
                assert (await client.answer()).status == 413


async def test_cold_start_is_told() -> None:
    """An answer to a request that found no pod says how the wait was spent; the next does not."""
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        door.scale("app")
        await client.send(get())
        await until(lambda: door.throttler().queued == 1)
        assert door.poked == [("default", "app")]
        door.scale("app", pod.port)
        said = (await client.answer()).header(b"torpor-cold-start")
        assert said is not None
        assert [part.split(b"=")[0] for part in said.split(b";")] == [b"queue", b"first-byte"]
        assert (await client.ask(get())).header(b"torpor-cold-start") is None

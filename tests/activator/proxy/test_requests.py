"""What a pod is sent, for what a client sends."""

from __future__ import annotations

import re

import pytest

from activator.settings import ClientLimits
from tests.activator.proxy.doorway import served
from tests.activator.proxy.pods import OK, Line, answering
from tests.activator.proxy.wire import get, post, wire

HOST = b"app.default.example.test"


@pytest.mark.parametrize(
    ("lines", "name", "values"),
    [
        pytest.param(["X-Custom: a  b"], b"x-custom", [b"a  b"], id="an unknown header passes as it is"),
        pytest.param(
            ["Cookie: a=1", "Cookie: b=2"], b"cookie", [b"a=1", b"b=2"], id="repeated headers keep their order"
        ),
        pytest.param(["X-Utf8: \u00e9"], b"x-utf8", ["\u00e9".encode()], id="bytes beyond ASCII pass in a value"),
        pytest.param(["X-Empty:"], b"x-empty", [b""], id="an empty value passes"),
        pytest.param(["Connection: keep-alive, X-Mine", "X-Mine: 1"], b"x-mine", [], id="named by Connection"),
        pytest.param(["Connection: keep-alive"], b"connection", [], id="Connection"),
        pytest.param(["Keep-Alive: timeout=5"], b"keep-alive", [], id="Keep-Alive"),
        pytest.param(["Proxy-Connection: keep-alive"], b"proxy-connection", [], id="Proxy-Connection"),
        pytest.param(["Proxy-Authorization: Basic eA=="], b"proxy-authorization", [], id="Proxy-Authorization"),
        pytest.param(["TE: trailers"], b"te", [], id="TE"),
        pytest.param(["Authorization: Bearer x"], b"authorization", [b"Bearer x"], id="the pod's own credentials pass"),
        pytest.param([], b"host", [HOST], id="the host is the client's"),
        pytest.param([], b"forwarded", [b'for=127.0.0.1;host="%b";proto=http' % HOST], id="Forwarded is made"),
        pytest.param(
            ["Forwarded: for=192.0.2.1", "Forwarded: for=192.0.2.2"],
            b"forwarded",
            [b'for=192.0.2.1, for=192.0.2.2, for=127.0.0.1;host="%b";proto=http' % HOST],
            id="Forwarded is continued",
        ),
        pytest.param([], b"x-forwarded-for", [b"127.0.0.1"], id="X-Forwarded-For is made"),
        pytest.param(
            ["X-Forwarded-For: 192.0.2.1"], b"x-forwarded-for", [b"192.0.2.1, 127.0.0.1"], id="and is continued"
        ),
        pytest.param([], b"x-forwarded-proto", [b"http"], id="X-Forwarded-Proto is made"),
        pytest.param(
            ["X-Forwarded-Proto: https"], b"x-forwarded-proto", [b"https"], id="or is what came: TLS before us"
        ),
        pytest.param([], b"x-forwarded-host", [HOST], id="X-Forwarded-Host is made"),
        pytest.param(["X-Forwarded-Host: a.test"], b"x-forwarded-host", [b"a.test"], id="or is what came"),
        pytest.param(
            ['Forwarded: for="192.0.2.1'],
            b"forwarded",
            [b'for=127.0.0.1;host="%b";proto=http' % HOST],
            id="Forwarded with an open quote is not",
        ),
        pytest.param(["X-Request-Id: mine"], b"x-request-id", [b"mine"], id="a request's id is kept"),
        pytest.param(["Expect: 100-continue"], b"expect", [b"100-continue"], id="Expect is passed on"),
        pytest.param(["Upgrade: h2c", "Connection: Upgrade"], b"upgrade", [], id="an upgrade not offered is ignored"),
    ],
)
async def test_headers(lines: list[str], name: bytes, values: list[bytes]) -> None:
    """Headers pass as they are, but for those that concern one connection, and those that say who asked."""
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        assert (await client.ask(get("/", *lines))).status == 200
        assert [value for each, value in pod.request.headers if each == name] == values


async def test_every_request_has_an_id_of_its_own() -> None:
    """A request that comes without an id is given one that no other has, within and across connections."""
    async with served(answering(OK)) as (door, pod), wire(door.port) as one, wire(door.port) as other:
        for client in (one, other, one):
            await client.ask(get())
        ids = {request.header(b"x-request-id") for request in pod.seen}
        assert len(ids) == 3
        assert all(each and re.fullmatch(rb"[0-9a-f]{16}-[0-9a-f]+-[0-9a-f]+", each) for each in ids)


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        pytest.param("/v1/models/m:predict?a=b&c", b"/v1/models/m:predict?a=b&c", id="as it is"),
        pytest.param("/a%2Fb/../c", b"/a%2Fb/../c", id="nothing is decoded or folded"),
        pytest.param("http://app.default.example.test/x?y", b"/x?y", id="absolute form"),
        pytest.param("http://app.default.example.test", b"/", id="absolute form without a path"),
        pytest.param("*", b"*", id="asterisk form"),
    ],
)
async def test_target(target: str, seen: bytes) -> None:
    """The pod sees the target that the client sent, in origin form."""
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        assert (await client.ask(get(target, method="OPTIONS"))).status == 200
        assert pod.request.target == seen


async def test_path_form() -> None:
    """By path, on a host that is no service's, the pod sees what follows the name, and the host that was asked for."""
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        assert (await client.ask(get("/serving/default/app/x?y", host="127.0.0.1:8080"))).status == 200
        assert (pod.request.target, pod.request.header(b"host")) == (b"/x?y", b"127.0.0.1:8080")


async def test_absolute_form_names_the_host() -> None:
    """The host in the target counts, not the header beside it (RFC 9112, 3.2.2)."""
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        target = "http://app.default.example.test/"
        assert (await client.ask(get(target, host="other.test"))).status == 200
        assert pod.request.header(b"host") == HOST


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_methods(method: str) -> None:
    """A method goes on as it is."""
    async with served(answering(OK if method != "HEAD" else OK[:-2])) as (door, pod), wire(door.port) as client:
        assert (await client.ask(get(method=method), method=method)).status == 200
        assert pod.request.method == method.encode()


CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("raw", "body", "framing"),
    [
        pytest.param(post(b"hello"), b"hello", (b"5", None), id="of known length"),
        pytest.param(post(b""), b"", (b"0", None), id="empty"),
        pytest.param(post(bytes(300_000)), bytes(300_000), (b"300000", None), id="longer than any buffer"),
        pytest.param(
            get("/", CHUNKED, method="POST") + b"3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\n\r\n",
            b"hello",
            (None, b"chunked"),
            id="chunked, with an extension",
        ),
        pytest.param(get("/", CHUNKED, method="POST") + b"0\r\n\r\n", b"", (None, b"chunked"), id="chunked and empty"),
        pytest.param(
            get("/", "Transfer-Encoding: Chunked") + b"2\r\nhi\r\n0\r\n\r\n", b"hi", (None, b"chunked"), id="GET"
        ),
        pytest.param(get("/", "Content-Length: 2") + b"hi", b"hi", (b"2", None), id="GET with a length"),
    ],
)
async def test_bodies(raw: bytes, body: bytes, framing: tuple[bytes | None, bytes | None]) -> None:
    """A body arrives whole, framed as it came; cut anywhere on the way, it is the same."""
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        assert (await client.ask(raw)).status == 200
        for at in range(0, min(len(raw), 400), 7):
            await client.send(raw[:at])
            await client.send(raw[at:])
            assert (await client.answer()).status == 200
        assert {request.body for request in pod.seen} == {body}
        assert {(each.header(b"content-length"), each.header(b"transfer-encoding")) for each in pod.seen} == {framing}


async def test_trailers() -> None:
    """Trailers pass, without those that would mean something else before the body."""
    trailers = b"X-Sum: 1\r\nHost: b\r\nX-Request-Id: b\r\nAuthorization: c\r\n"
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        raw = get("/", CHUNKED, "Trailer: X-Sum") + b"2\r\nhi\r\n0\r\n" + trailers + b"\r\n"
        assert (await client.ask(raw)).status == 200
        assert pod.request.trailers == [(b"x-sum", b"1")]
        assert pod.request.header(b"trailer") == b"X-Sum"


async def test_connections_are_kept_on_both_sides() -> None:
    """A hundred requests of one client need one connection to the pod."""
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        for _ in range(100):
            assert (await client.ask(post(b"hello"))).status == 200
        assert (len(pod.seen), len(pod.lines)) == (100, 1)


async def test_pipelining() -> None:
    """Requests sent ahead are answered in order, whatever each takes; ours and the pod's answers alike."""
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%02d" % number for number in range(30)]
    async with served(answering(*answers)) as (door, _), wire(door.port) as client:
        ahead = [get() if number % 3 else get(host="nobody.test") for number in range(45)]
        await client.send(*ahead)
        got = [await client.answer() for _ in ahead]
        assert [answer.status for answer in got] == [200 if number % 3 else 404 for number in range(45)]
        assert [answer.body for answer in got if answer.status == 200] == [b"%02d" % number for number in range(30)]


async def test_too_much_pipelining() -> None:
    """After so many requests sent ahead the connection ends with the last answer, which says so."""
    async with served(answering(OK), client=ClientLimits(pipelined=5)) as (door, pod), wire(door.port) as client:
        await client.send(get() * 100)
        got = [await client.answer() for _ in range(6)]
        assert [answer.header(b"connection") for answer in got] == [None] * 5 + [b"close"]
        assert await client.ends()
        assert len(pod.seen) == 6


@pytest.mark.parametrize(
    ("version", "line", "stays"),
    [
        pytest.param("1.1", "", True, id="1.1 is kept"),
        pytest.param("1.1", "Connection: close", False, id="1.1 with close is not"),
        pytest.param("1.0", "", False, id="1.0 is not"),
        pytest.param("1.0", "Connection: keep-alive", True, id="1.0 with keep-alive is"),
    ],
)
async def test_keep_alive(version: str, line: str, *, stays: bool) -> None:
    """The connection stays or ends as the client asks; the pod is spoken to in HTTP/1.1 either way."""
    raw = get("/", *filter(None, [line])).replace(b"HTTP/1.1", f"HTTP/{version}".encode())
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        answer = await client.ask(raw)
        said = answer.header(b"connection")
        assert said == ((b"keep-alive" if version == "1.0" else None) if stays else b"close")
        if stays:
            assert (await client.ask(raw)).status == 200
        else:
            assert await client.ends()
        assert {bytes(line.raw).split(b"\r\n")[0] for line in pod.lines} == {b"GET / HTTP/1.1"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"Content-Length: 5\r\n\r\nhello", id="of known length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", id="chunked"),
    ],
)
async def test_upgrade_with_a_body(body: bytes) -> None:
    """Java's client asks for h2c with every POST: the upgrade is ignored, the body is read, the connection goes on."""
    upgrade = "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk"
    raw = get("/", *upgrade, method="POST")[:-2] + body
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        for cut in range(len(raw) - len(body), len(raw), 3):
            await client.send(raw[:cut])
            await client.send(raw[cut:])
            assert (await client.answer()).status == 200
        await client.send(raw, get("/next"))
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]
        *posted, last = pod.seen
        assert {request.body for request in posted} == {b"hello"}
        assert {request.header(b"http2-settings") for request in posted} == {None}
        assert last.target == b"/next"


async def test_expect_continue() -> None:
    """The pod's 100 reaches the client, and then the body reaches the pod."""

    async def behave(line: Line) -> None:
        await line.head()
        await line.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await line.data() == b"hello"
        await line.send(OK)

    async with served(behave) as (door, _), wire(door.port) as client:
        await client.send(get("/", "Content-Length: 5", "Expect: 100-continue", method="POST"))
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await client.ask(b"hello")).status == 200


async def test_continue_refused() -> None:
    """A pod that answers instead of letting the body come: the client hears it, and that this connection is done."""

    async def behave(line: Line) -> None:
        await line.head()
        await line.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        await line.ended()

    async with served(behave) as (door, pod), wire(door.port) as client:
        answer = await client.ask(get("/", "Content-Length: 5", "Expect: 100-continue", method="POST"))
        assert (answer.status, answer.header(b"connection"), answer.interim) == (401, b"close", [])
        assert await client.ends()
        assert len(pod.seen) == 1


async def test_continue_that_nobody_waits_for() -> None:
    """A 100 from the pod does not reach a client that did not ask for it."""
    async with served(answering(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)) as (door, _), wire(door.port) as client:
        assert (await client.ask(post(b"hello"))).interim == []

"""TLS on both data ports: the Secret's certificate as it is now, for new connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import pytest
from cryptography import x509

from activator.grpc.client import ClientLine
from activator.settings import ClientLimits, StreamLimits
from activator.tls import Certificate
from tests.activator.grpc.doorway import HOST, call
from tests.activator.grpc.pods import pod as grpc_pod
from tests.activator.grpc.raw import raw
from tests.activator.proxy.doorway import Doorway, doorway
from tests.activator.proxy.pods import Line, answering
from tests.activator.proxy.pods import pod as http_pod
from tests.activator.proxy.wire import get, post
from tests.activator.tls.certificates import Pair, pair
from tests.support.until import until
from torpor.kube import Change
from torpor.spec.kinds import SECRET, Object

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Events:
    """What is told about the Secret."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []

    def emit(self, _about: Object, type_: str, reason: str, message: str) -> None:
        self.said.append((type_, reason, message))


@dataclass
class Guarded:
    """A door with TLS on both ports."""

    door: Doorway
    certificate: Certificate
    events: Events
    http_port: int
    grpc_port: int
    before: Object | None = None

    def show(self, secret: Object | None) -> None:
        """Say what the Secret is now."""
        key = ("default", "door") if secret is None else ("default", secret["metadata"]["name"])
        self.certificate.secret_changed(Change(SECRET, key, self.before, secret))
        self.before = secret


@contextlib.asynccontextmanager
async def guarded(first: Object | None = None) -> AsyncIterator[Guarded]:
    events = Events()
    certificate = Certificate(("default", "door"), events)  # type: ignore[arg-type]
    async with doorway(ClientLimits(linger_s=0.3)) as door:
        await door.server.start("127.0.0.1", 0, certificate.http)
        calls = lambda: ClientLine(door.door, StreamLimits())  # noqa: E731
        await door.server.listen("grpc-port", calls, "127.0.0.1", 0, certificate.http2)
        _, http_port, grpc_port = door.server.ports
        made = Guarded(door, certificate, events, http_port, grpc_port)
        if first is not None:
            made.show(first)
        yield made


@dataclass
class Wire:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def serial(self) -> int:
        """Of the certificate that was shown."""
        shown = self.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(shown).serial_number

    @property
    def protocol(self) -> str | None:
        spoken: str | None = self.writer.get_extra_info("ssl_object").selected_alpn_protocol()
        return spoken

    async def ask(self, data: bytes) -> bytes:
        """Send a request, and read an answer of two bytes."""
        self.writer.write(data)
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        return head + await self.reader.readexactly(2)


@contextlib.asynccontextmanager
async def wire(port: int, tls: ssl.SSLContext) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=HOST)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.fixture(scope="module")
def one() -> Pair:
    return pair()


@pytest.fixture(scope="module")
def two() -> Pair:
    return pair(kind="rsa")


async def test_http(one: Pair) -> None:
    """Requests come in by TLS, and the pod is told so."""
    async with guarded(one.secret()) as made, http_pod(answering(OK)) as pod:
        made.door.port_name = "http"
        made.door.deploy("app", pod.port)
        async with wire(made.http_port, one.trusting("http/1.1")) as client:
            assert client.protocol == "http/1.1"
            for _ in range(2):
                assert (await client.ask(post(b"hello"))).endswith(b"ok")
        request = pod.seen[0]
        assert request.header(b"x-forwarded-proto") == b"https"
        forwarded = request.header(b"forwarded")
        assert forwarded is not None
        assert forwarded.endswith(b"proto=https")


async def test_large_bodies_both_ways(one: Pair) -> None:
    """Backpressure works under TLS as without."""
    body = bytes(range(256)) * 20_000

    async def echo(line: Line) -> None:
        while (request := await line.request()) is not None:
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body), request.body)

    async with guarded(one.secret()) as made, http_pod(echo) as pod:
        made.door.deploy("app", pod.port)
        url, host = f"https://127.0.0.1:{made.http_port}", {"Host": HOST}
        async with httpx.AsyncClient(verify=_by_name(one), timeout=30) as http:
            for _ in range(2):
                assert (await http.post(url, content=body, headers=host)).content == body


def _by_name(trusted: Pair) -> ssl.SSLContext:
    context = trusted.trusting()
    context.check_hostname = False
    return context


async def test_grpc(one: Pair) -> None:
    """An official client with its own TLS, which asks for h2."""
    async with guarded(one.secret()) as made, grpc_pod() as pod:
        made.door.port_name = "h2c"
        made.door.deploy("app", pod.port)
        credentials = grpc.ssl_channel_credentials(root_certificates=one.certificate)
        options = [("grpc.ssl_target_name_override", HOST), ("grpc.default_authority", HOST)]
        async with grpc.aio.secure_channel(f"127.0.0.1:{made.grpc_port}", credentials, options) as client:
            assert await call(client, "Echo", b"x" * 100_000) == b"x" * 100_000
            talk = client.stream_stream("/test.Pod/Talk")()
            await talk.write(b"one")
            assert await talk.read() == b"ONE"
            await talk.done_writing()
            assert await talk.read() is grpc.aio.EOF
        assert pod.seen[0][1]["x-forwarded-proto"] == "https"


async def test_the_protocols_of_the_ports(one: Pair) -> None:
    """Each port says what is spoken on it, whatever else a client offers."""
    async with guarded(one.secret()) as made:
        for port, spoken in ((made.http_port, "http/1.1"), (made.grpc_port, "h2")):
            async with wire(port, one.trusting("h2", "http/1.1")) as client:
                assert client.protocol == spoken


async def test_a_new_certificate_while_connections_are_open(one: Pair, two: Pair) -> None:
    """They go on with the old one; new ones get the new, though its key is of another kind."""
    async with guarded(one.secret()) as made, http_pod(answering(OK)) as pod:
        made.door.port_name = "http"
        made.door.deploy("app", pod.port)
        async with wire(made.http_port, one.trusting()) as old, raw(made.grpc_port, tls=one.trusting("h2")) as calls:
            assert (await old.ask(get())).endswith(b"ok")
            await calls.until(lambda: calls.settings)
            made.show(two.secret())
            async with wire(made.http_port, two.trusting()) as new:
                assert (old.serial, new.serial) == (one.serial, two.serial)
                assert (await new.ask(get())).endswith(b"ok")
            assert (await old.ask(get())).endswith(b"ok")
            calls.h2.ping(b"12345678")
            await calls.flush()
            await calls.until(lambda: calls.pongs)
            assert calls.pongs == 1
            async with wire(made.grpc_port, two.trusting("h2")) as new:
                assert new.serial == two.serial
            with pytest.raises(ssl.SSLCertVerificationError):
                async with wire(made.http_port, one.trusting()):
                    pass
        assert [reason for _, reason, _ in made.events.said] == ["CertificateUsed"] * 2


async def test_without_a_name(one: Pair) -> None:
    """A client that names no server (SNI) gets the same certificate."""
    async with guarded(one.secret()) as made:
        context = _by_name(one)
        reader, writer = await asyncio.open_connection("127.0.0.1", made.http_port, ssl=context, server_hostname="")
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert x509.load_der_x509_certificate(shown).serial_number == one.serial
        writer.transport.abort()
        del reader


def _of_two(one: Pair, two: Pair) -> Object:
    return one.secret(tls_key=two.key)


BROKEN = [
    pytest.param(_of_two, "belong together", id="another's key"),
    pytest.param(lambda one, _: one.secret(tls_crt=b"no PEM"), "must be PEM", id="no certificate"),
    pytest.param(lambda one, _: one.secret(tls_key=b""), "data[tls.key]", id="an empty key"),
    pytest.param(lambda one, _: {**one.secret(), "data": {"tls.crt": "e30="}}, "data[tls.key]", id="no key"),
    pytest.param(lambda one, _: {**one.secret(), "data": {"tls.crt": "%", "tls.key": "%"}}, "base64", id="no base64"),
    pytest.param(lambda one, _: {"metadata": one.secret()["metadata"]}, "data[tls.crt]", id="no data"),
    pytest.param(lambda *_: pair(password=b"secret").secret(), "not encrypted", id="an encrypted key"),
]


@pytest.mark.parametrize(("broken", "says"), BROKEN)
async def test_a_broken_certificate(
    broken: Any, says: str, one: Pair, two: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """Changes nothing but what is said: in the log, and of the Secret. The next good one is taken."""
    async with guarded(one.secret()) as made:
        with caplog.at_level(logging.WARNING, "activator.tls"):
            made.show(broken(one, two))
        assert says in caplog.text
        assert "the one before is used on" in caplog.text
        type_, reason, message = made.events.said[-1]
        assert (type_, reason) == ("Warning", "CertificateRefused")
        assert says in message
        assert "BEGIN" not in message + caplog.text
        async with wire(made.http_port, one.trusting()) as client:
            assert client.serial == one.serial
        made.show(two.secret())
        async with wire(made.http_port, two.trusting()) as client:
            assert client.serial == two.serial


async def test_before_there_is_a_certificate(one: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is answered, least of all without TLS; when it comes, everybody is."""
    async with guarded() as made:
        made.certificate.check()
        assert "no connection is taken until it has" in caplog.text
        for port in (made.http_port, made.grpc_port):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                async with wire(port, one.trusting()):
                    pass
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get())
            with contextlib.suppress(ConnectionError):
                assert b"HTTP" not in await asyncio.wait_for(reader.read(), 5)
            writer.transport.abort()
        made.show(one.secret("another"))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with wire(made.http_port, one.trusting()):
                pass
        made.show(one.secret())
        async with wire(made.http_port, one.trusting()) as client:
            assert client.serial == one.serial


async def test_a_secret_that_is_deleted(one: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """Is missed, and its certificate used on."""
    async with guarded(one.secret()) as made:
        made.show(None)
        assert "is gone" in caplog.text
        async with wire(made.http_port, one.trusting()) as client:
            assert client.serial == one.serial


async def test_the_same_certificate_again_is_no_news(one: Pair) -> None:
    """A change of a label."""
    async with guarded(one.secret()) as made:
        made.show({**one.secret(), "metadata": {**one.secret()["metadata"], "labels": {"a": "b"}}})
        assert len(made.events.said) == 1


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(get("/", "Connection: close"), id="the client's last request"),
        pytest.param(get().replace(b"HTTP/1.1", b"HTTP/1.0"), id="an older client"),
        pytest.param(b"nonsense\r\n\r\n", id="no HTTP"),
        pytest.param(
            get("/", "Content-Length: 5", method="POST", host="nobody.example"), id="refused with a body to come"
        ),
    ],
)
async def test_last_answers(request_: bytes, one: Pair) -> None:
    """They are followed by the end of the connection, in TLS too, where neither side can close alone."""

    async def behave(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    async with guarded(one.secret()) as made, http_pod(behave) as pod:
        made.door.port_name = "http"
        made.door.deploy("app", pod.port)
        async with wire(made.http_port, one.trusting()) as client:
            client.writer.write(request_)
            assert (await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 ")
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(client.reader.read(), 5)
        await until(lambda: not made.door.door.connections)


async def test_a_websocket(one: Pair) -> None:
    """A tunnel under TLS."""

    async def behave(line: Line) -> None:
        await line.head()
        await line.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi")
        await line.send(b"<" + await line.reader.readexactly(5) + b">")
        await line.ended()

    async with guarded(one.secret()) as made, http_pod(behave) as pod:
        made.door.port_name = "http"
        made.door.deploy("app", pod.port)
        async with wire(made.http_port, one.trusting()) as client:
            lines = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13")
            client.writer.write(get("/", *lines))
            assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
            assert await client.reader.readexactly(2) == b"hi"
            client.writer.write(b"hello")
            assert await client.reader.readexactly(7) == b"<hello>"


async def test_drain(one: Pair) -> None:
    """Idle connections under TLS are closed, by both protocols."""
    async with (
        guarded(one.secret()) as made,
        wire(made.http_port, one.trusting()) as idle,
        raw(made.grpc_port, tls=one.trusting("h2")) as calls,
    ):
        await calls.until(lambda: calls.settings)
        await until(lambda: len(made.door.door.connections) == 2)
        draining = asyncio.create_task(made.door.server.drain(5))
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(idle.reader.read(), 5) == b""
        await calls.until(lambda: False)
        assert calls.goaways[-1] == (0, 0)
        assert await draining == 0

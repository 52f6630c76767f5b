"""Questions to a real socket, and Kubernetes' words for what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.support.ports import free_ports
from tests.support.until import until
from torpor.local.kubelet.probing import Answer, ask
from torpor.spec.probe import Action, Exec, HttpGet, TcpSocket

REQUESTS: list[bytes] = []


@contextlib.asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[int]:
    """Serve one answer to everything; None: never answer."""

    served: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            REQUESTS.append(await reader.readuntil(b"\r\n\r\n"))
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await until(lambda: served)
        await asyncio.gather(*(task for task in served if task is not None))


async def run(argv: tuple[str, ...], timeout_s: float) -> tuple[int, str]:
    """What the kubelet does for an exec probe, as far as the probe is concerned."""
    return (0, "fine\n") if argv == ("true",) else (1, "no file\n")


async def asked(action: Action, port: int, timeout_s: float = 5.0) -> Answer:
    return await ask(action, lambda _: port, run, timeout_s)


HTTP = HttpGet("", 0, "/ready?x=1", https=False, headers=(("X-Probe", "yes"), ("User-Agent", "me")))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "", id="ok"),
        pytest.param(b"HTTP/1.0 204 No Content\r\n\r\n", "", id="no-content"),
        pytest.param(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", "", id="a-redirect-is-a-sign-of-life"),
        pytest.param(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 7\r\n\r\nloading",
            "HTTP probe failed with statuscode: 503: loading",
            id="not-ready-and-why",
        ),
        pytest.param(b"HTTP/1.1 404\r\n\r\n", "HTTP probe failed with statuscode: 404", id="without-a-word"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", "malformed HTTP response", id="something-else"),
        pytest.param(b"", "EOF", id="hung-up"),
    ],
)
async def test_http(answer: bytes, expected: str) -> None:
    """From 200 to 399 is success; else the text says what came."""
    async with answering(answer) as port:
        said = await asked(HTTP, port)
    assert said.success is (expected == "")
    assert expected in said.text


async def test_what_is_asked() -> None:
    """Path and headers of the manifest, in one request after which the connection ends."""
    REQUESTS.clear()
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        await asked(HTTP, port)
    [request] = REQUESTS
    lines = request.decode().split("\r\n")
    assert lines[0] == "GET /ready?x=1 HTTP/1.1"
    assert {f"Host: 127.0.0.1:{port}", "X-Probe: yes", "User-Agent: me", "Connection: close"} <= set(lines)


async def test_too_late_is_a_failure() -> None:
    """After timeoutSeconds, in Kubernetes' words."""
    async with answering(None) as port:
        said = await asked(HTTP, port, 0.05)
        assert said == Answer(
            success=False,
            text=f'Get "http://127.0.0.1:{port}/ready?x=1": context deadline exceeded '
            "(Client.Timeout exceeded while awaiting headers)",
        )


@pytest.mark.parametrize("action", [HTTP, TcpSocket("", 0)], ids=["http", "tcp"])
async def test_nobody_listens(action: Action) -> None:
    """Refused is a failure that says so."""
    [port] = free_ports(1)
    said = await asked(action, port)
    assert not said.success
    assert f"dial tcp 127.0.0.1:{port}: connect: connection refused" in said.text


async def test_a_connection_is_enough_for_tcp() -> None:
    """Nothing is sent."""
    async with answering(None) as port:
        assert await asked(TcpSocket("", 0), port) == Answer(success=True)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(("true",), Answer(success=True, text="fine"), id="status-0"),
        pytest.param(("false",), Answer(success=False, text="no file"), id="another-status"),
    ],
)
async def test_a_command(command: tuple[str, ...], expected: Answer) -> None:
    """Its status is the answer, its output the reason."""
    assert await asked(Exec(command), 0) == expected

"""The server ends when it is told to, after what is in flight."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from torpor.web.listen import listening
from torpor.web.server import Server, Times


class Slow:
    """Answers when it is allowed to."""

    def __init__(self) -> None:
        self.reached, self.allowed = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.set()
        await self.allowed.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, grace_s: int, **options: bool
) -> AsyncIterator[tuple[str, Server, asyncio.Task[None], list[str]]]:
    told: list[str] = []
    started = asyncio.Event()
    with listening("127.0.0.1", 0, host_key="HOST", port_key="PORT") as listener:
        server = Server(
            app, Times(60, grace_s), on_started=started.set, on_ending=lambda: told.append("ending"), **options
        )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await started.wait()
        yield url, server, task, told
        server.end()
        await task


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_what_is_in_flight_finish(number: signal.Signals) -> None:
    """The answer comes, the next connection is refused, and the ending is told once."""
    slow = Slow()
    async with serving(slow, 20) as (url, _, task, told), httpx.AsyncClient(timeout=20) as http:
        asked = asyncio.create_task(http.get(url))
        await slow.reached.wait()
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):
            with contextlib.suppress(httpx.ConnectError):
                while True:  # until the socket is closed, a new connection is taken
                    async with httpx.AsyncClient(timeout=0.05) as late:
                        with contextlib.suppress(httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ReadError):
                            await late.get(url)
        assert not task.done()
        slow.allowed.set()
        assert (await asked).text == "ok"
        await asyncio.wait_for(task, 10)
        assert told == ["ending"]


async def test_signals_may_be_somebody_elses() -> None:
    """Of a process that has more to end than this server, and tells it."""
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    slow = Slow()
    slow.allowed.set()
    try:
        async with serving(slow, 20, signals=False) as (url, _, task, told), httpx.AsyncClient(timeout=20) as http:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(heard.wait(), 10)
            assert (await http.get(url)).text == "ok"
            assert (task.done(), told) == (False, [])
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def test_what_takes_longer_than_the_grace_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    """The client sees its connection end."""
    slow = Slow()
    async with serving(slow, 0) as (url, server, task, _), httpx.AsyncClient(timeout=20) as http:
        asked = asyncio.create_task(http.get(url))
        await slow.reached.wait()
        server.end()
        await asyncio.wait_for(task, 10)
        answer = await asyncio.gather(asked, return_exceptions=True)
        assert isinstance(answer[0], httpx.TransportError) or answer[0].status_code == 500
    assert "exceeded" in caplog.text

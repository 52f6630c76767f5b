"""uvicorn, with its signals, its beginning and its end in our hands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


@dataclass(frozen=True, slots=True)
class Times:
    """How patient the server is."""

    idle_s: int
    """A connection without requests is kept this long: longer than clients keep theirs, so that they close first."""
    grace_s: int
    """How long requests in flight may take after the end has begun."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What the server shows of itself: PEM files."""

    certificate: Path
    key: Path


def _nothing() -> None:
    """Nobody wants to know."""


Around = Callable[[asyncio.Protocol], asyncio.Protocol]


def _made(around: Around, *args: Any, **kwargs: Any) -> asyncio.Protocol:
    return around(HttpToolsProtocol(*args, **kwargs))


class Server(uvicorn.Server):
    """Serves until SIGTERM, SIGINT or `end()`, then finishes what is in flight."""

    def __init__(
        self,
        app: ASGIApp,
        times: Times,
        *,
        on_started: Callable[[], None] = _nothing,
        on_ending: Callable[[], None] = _nothing,
        tls: Tls | None = None,
        signals: bool = True,
        around: Around | None = None,
    ) -> None:
        """`on_ending` is where streams that would go on for ever are told to end.

        `signals` False: they are somebody else's in this process, who calls `end()`. `around` makes of each
        connection's HTTP protocol the protocol that it gets instead.
        """
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # what it says of starts and ends, we say
        config = uvicorn.Config(
            app,
            loop="none",
            http=HttpToolsProtocol if around is None else cast("Any", partial(_made, around)),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=times.idle_s,
            timeout_graceful_shutdown=times.grace_s,
            ssl_certfile=None if tls is None else tls.certificate,
            ssl_keyfile=None if tls is None else tls.key,
        )
        super().__init__(config)
        self._on_started = on_started
        self._on_ending = on_ending
        self._ours = (signal.SIGTERM, signal.SIGINT) if signals else ()
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Stop accepting; `serve` returns when what is in flight has been answered."""
        if not self.should_exit:
            self.should_exit = True
            self._ended.set()
            self._on_ending()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End at SIGTERM and SIGINT; uvicorn's own would raise them again afterwards."""
        loop = asyncio.get_running_loop()
        for number in self._ours:
            loop.add_signal_handler(number, self.end)
        try:
            yield
        finally:
            for number in self._ours:
                loop.remove_signal_handler(number)

    async def main_loop(self) -> None:
        """Keep the Date header right until the end; uvicorn's own loop notices that a tenth of a second later."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._ended.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

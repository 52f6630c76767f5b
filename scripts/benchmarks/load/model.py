"""A model that takes 100 ms, and any number of requests at once: what is measured is all before it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from typing import ClassVar

import httptools
import uvloop

TAKES_S = float(os.environ.get("TAKES_S", "0.1"))
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{"predictions":[]}'


class Connection(asyncio.Protocol):
    """Answers each request when its time is over."""

    all: ClassVar[set[Connection]] = set()

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self.due: deque[asyncio.TimerHandle] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.all.add(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.due.append(asyncio.get_running_loop().call_later(TAKES_S, self._answer))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.all.discard(self)
        for each in self.due:
            each.cancel()

    def _answer(self) -> None:
        self.due.popleft()
        self._transport.write(ANSWER)  # type: ignore[attr-defined]


async def serve() -> None:
    """Serve until SIGTERM, and then for as long as requests are on their way: the grace period ends it otherwise."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(Connection, "127.0.0.1", int(os.environ["PORT"]), backlog=1024)
    await stop.wait()
    await asyncio.sleep(TAKES_S)
    while any(connection.due for connection in Connection.all):  # noqa: ASYNC110  # a moment late does no harm
        await asyncio.sleep(TAKES_S / 2)
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())

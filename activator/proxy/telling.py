"""Tell a client that asked for events how far its wait is, and let the pod's events follow on the same response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activator.proxy.headers import CRLF, STATUS_LINES, chunk, last_chunk
from activator.proxy.standin import Aside
from activator.waiting import events
from activator.waiting.stages import Stage
from torpor.web.status import answer

if TYPE_CHECKING:
    from activator.proxy.exchange import Exchange

HEAD = b"Content-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
"""The last line is for nginx before us, which would else keep events back."""


class Telling:
    """Made when the client has waited for a moment; from then on the head of the answer is out."""

    __slots__ = ("_exchange", "_stage", "_told_s")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._stage: Stage | None = None
        self._told_s = 0.0
        lines = [STATUS_LINES[200], HEAD, exchange.echo]
        if exchange.http10 or exchange.client.door.draining or not exchange.keep_alive:
            exchange.keep_alive = False
            lines.append(b"Connection: close\r\n")
        if not exchange.http10:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        exchange.client.out.append(b"".join((*lines, CRLF)))

    def watch(self, now_s: float, stage: Stage) -> None:
        """Say where it stands, when that has changed or nothing was said for a while."""
        every_s = self._exchange.client.door.waiting.told_every_s
        if self._exchange.client.write_paused:
            return  # it has not taken the last one: what it does not read must not pile up, nor hide that it reads none
        if stage != self._stage or now_s - self._told_s >= every_s:
            self._stage, self._told_s = stage, now_s
            self._write(events.comment(stage))
            self._exchange.client.flush()

    def answered(self, status: int, lines: list[bytes], cold_start: bytes) -> None:
        """Take in the head of the pod's answer: its body follows, or is told as an error."""
        exchange = self._exchange
        if cold_start:
            self._write(events.cold_start(cold_start))
        if events.is_stream(status, lines):
            exchange.framed = not exchange.http10
            return
        media = next((lines[at + 2] for at in range(0, len(lines), 4) if lines[at].lower() == b"content-type"), b"")
        exchange.client.flush()
        exchange.client = Aside(
            exchange.client, events.ERROR_BODY_BYTES, lambda body: self._refused(events.refusal(status, media, body))
        )

    def failure(self, error: Exception) -> bytes:
        """Return what ends the response where no answer comes."""
        said = answer(error)
        return self._framed(events.failure(said.status, said.body)) + self._end()

    def _refused(self, event: bytes) -> None:
        exchange = self._exchange
        self._write(event)
        exchange.client.out.append(self._end())
        exchange.client.flush()
        exchange.client.finished(exchange)

    def _write(self, data: bytes) -> None:
        self._exchange.client.out.append(self._framed(data))

    def _framed(self, data: bytes) -> bytes:
        return data if self._exchange.http10 else b"".join(chunk(data))

    def _end(self) -> bytes:
        return b"" if self._exchange.http10 else last_chunk([])

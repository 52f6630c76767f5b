"""Two connections that have switched to another protocol: bytes in, bytes out, until one side ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from activator.proxy.exchange import Exchange
    from activator.proxy.upstream import Upstream


class _End(asyncio.Protocol):
    """One side of a tunnel; what it reads is written to the other."""

    def __init__(self, exchange: Exchange, transport: asyncio.Transport) -> None:
        self._exchange = exchange
        self.transport = transport
        self.other = self

    def data_received(self, data: bytes) -> None:
        self._exchange.moved = True
        self.other.transport.write(data)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.close()  # after what is still on its way
        self.ended(exc)

    def ended(self, exc: Exception | None) -> None:
        """Tell whom it concerns."""


class _ClientEnd(_End):
    def ended(self, exc: Exception | None) -> None:
        self._exchange.client.connection_lost(exc)


class _PodEnd(_End):
    def ended(self, exc: Exception | None) -> None:  # noqa: ARG002  # the slot is free, whatever the reason
        self._exchange.tunnel_closed()


def join(exchange: Exchange, upstream: Upstream, rest: bytes) -> None:
    """Make a tunnel of the client's and the pod's connection; `rest` came from the pod behind its 101."""
    client = exchange.client
    one, other = _ClientEnd(exchange, client.transport), _PodEnd(exchange, upstream.transport)
    one.other, other.other = other, one
    client.flush()
    if rest:
        client.transport.write(rest)
    early = client.take_early()
    if early:
        upstream.transport.write(early)
    # The protocols change before reading goes on, or the old ones would get what is the new ones'.
    client.transport.set_protocol(one)
    upstream.transport.set_protocol(other)
    client.transport.resume_reading()
    upstream.transport.resume_reading()

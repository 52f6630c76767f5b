"""The data plane between two transports that are no sockets: what a client sends goes in, what pods get comes out.

Thousands of conversations a second, and each the same whenever it is repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from activator.proxy.client import ClientConnection
from activator.proxy.door import Door
from activator.proxy.exchange import Exchange
from activator.proxy.pool import Pool
from activator.proxy.upstream import Upstream
from activator.routing.table import Router, build
from activator.settings import ClientLimits, PodLimits
from activator.throttle.pod import Pod
from activator.throttle.throttler import Hooks
from activator.throttle.throttlers import Throttlers
from tests.activator.hostile.readers import Reading, read
from tests.support.clock import FakeClock
from torpor.kube import Change
from torpor.spec import names
from torpor.spec.kinds import ENDPOINT_SLICE, REVISION, key_of

HOST = "app.default.example.test"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self, protocol: Any) -> None:
        super().__init__({"peername": ("192.0.2.1", 5)})
        self.protocol = protocol
        self.written = bytearray()
        self.closed = self.ended = self.paused = False
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        assert not self.ended, "written after the end"
        if not self.closed:
            self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del high, low


class _Pods(Pool):
    """Every connection is there at once."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(PodLimits(), ClientLimits().buffered_bytes, clock)
        self.wires: list[Wire] = []

    def take(self, pod: Pod, now_s: float) -> Upstream | None:
        found = super().take(pod, now_s)
        if found is None:
            self.wires.append(Wire(made := Upstream(self, pod)))
            return made
        return found

    def connect(self, pod: Pod, exchange: Exchange) -> None:
        raise AssertionError("there is always a connection")


@dataclass
class Heard:
    """How a conversation went."""

    answers: bytes
    """What the client got."""
    pods: list[bytes]
    """What the pods got, by connection."""
    readings: list[Reading]
    """And what is to be read in it."""
    answered: int
    """Requests that a pod has answered."""
    logged: list[str] = field(default_factory=list)


class _Ears(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


@contextlib.contextmanager
def _listening() -> Iterator[list[str]]:
    ears, logger = _Ears(), logging.getLogger("activator")
    logger.addHandler(ears)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield ears.heard
    finally:
        logger.removeHandler(ears)
        logger.propagate = propagate


class Sealed:
    """One door with one service, one pod, and one client."""

    def __init__(self, limits: ClientLimits | None = None) -> None:
        self._clock = FakeClock()
        self._pool = _Pods(self._clock)
        hooks = Hooks(lambda _: None, lambda *_: None, self._pool.gone)
        self._throttlers = Throttlers(100, 300.0, hooks, self._clock)
        metadata = {"namespace": "default", "name": "app"}
        labels = {names.REVISION: "app", names.SERVICE_NAME: "app-private"}
        endpoint = {"addresses": ["127.0.0.1"], "conditions": {"ready": True}, "targetRef": {"name": "p", "uid": "1"}}
        ports = [{"name": "http", "port": 1}]
        slice_ = {"metadata": metadata | {"labels": labels}, "endpoints": [endpoint], "ports": ports}
        revision = {"metadata": metadata, "spec": {"containerConcurrency": 0}}
        route = {"metadata": metadata, "status": {"traffic": [{"revisionName": "app", "percent": 100}]}}
        self._throttlers.revision_changed(Change(REVISION, key_of(revision), None, revision))
        self._throttlers.slice_changed(Change(ENDPOINT_SLICE, key_of(slice_), None, slice_))
        router = Router(build([route], "example.test"))
        self._door = Door(router, self._throttlers, self._pool, limits or ClientLimits(), self._clock)
        self.client = ClientConnection(self._door)
        self.wire = Wire(self.client)
        # Of each of the pods' connections: how many requests were answered, and up to where it was read.
        self._answered: dict[int, int] = {}
        self._read: dict[int, int] = {}

    def converse(self, parts: Iterable[bytes]) -> Heard:
        """Let the client send these; the pod answers every request when it is whole. Then the client goes."""
        with _listening() as logged:
            for part in parts:
                if self.wire.closed:
                    break
                if part:
                    self.client.data_received(part)
                self._let_pods_answer()
            pods = [bytes(wire.written) for wire in self._pool.wires]
            self.client.connection_lost(None)
        self._check_slots()
        self._throttlers.close()
        readings = [read(raw) for raw in pods]
        return Heard(bytes(self.wire.written), pods, readings, sum(self._answered.values()), logged)

    def _let_pods_answer(self) -> None:
        again = True
        while again:
            again = False
            for number, wire in enumerate(self._pool.wires):
                if self._read.get(number) == len(wire.written):
                    continue
                self._read[number] = len(wire.written)
                whole = len(read(bytes(wire.written)).whole)
                if not wire.closed and self._answered.get(number, 0) < whole:
                    self._answered[number] = self._answered.get(number, 0) + 1
                    self._read.pop(number)
                    wire.protocol.data_received(OK)
                    again = True  # it may have sent the next

    def _check_slots(self) -> None:
        for throttler in self._throttlers:
            assert (throttler.in_flight, throttler.queued) == (0, 0), "a slot was lost"


def converse(loop: asyncio.Runner, parts: Iterable[bytes], limits: ClientLimits | None = None) -> Heard:
    """Hold one conversation. It waits for nothing; the loop is there for timers, which never ring."""

    async def held() -> Heard:
        return Sealed(limits).converse(parts)

    return loop.run(held())

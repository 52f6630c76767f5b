"""Send copies of requests to another revision, in slots that nobody else wants, and drop what it answers.

The original knows nothing of its copy: it neither waits for it nor fails with it. What a copy may cost is bounded in
bytes and in number, and what does not fit into that is left out and counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING

from activator.proxy.exchange import Client, Exchange, Write
from activator.proxy.headers import CRLF, last_chunk
from activator.routing.mirror import Mirror
from activator.throttle.affinity import point
from activator.throttle.line import Client as Turn
from activator.throttle.line import Priority, Ticket
from activator.throttle.pod import Pod
from activator.throttle.report import RevisionKey
from activator.throttle.throttler import Throttler
from torpor.errors import TorporError

if TYPE_CHECKING:
    from activator.proxy.door import Door

BODY_BYTES = 1024 * 1024
"""A request with a longer body is not copied."""
HELD_BYTES = 32 * 1024 * 1024
"""Of all copies that are not done."""
COPIES = 128
"""To one revision at once, waiting or being served."""
WAIT_S = 10.0
"""How long a copy waits for a slot that nobody else wants; while its revision wakes it may take longer."""

MARK = b"Torpor-Mirrored: true\r\n\r\n"
_EXPECT = b"\r\nExpect: 100-continue\r\n"

# How a copy ended, as the metric has it.
ANSWERED, FAILED = "answered", "failed"
TOO_LARGE, NO_ROOM, ASLEEP, GONE = "too_large", "no_room", "asleep", "gone"


class Nobody:
    """The client of a copy: takes any answer, and forgets it."""

    write_paused = False
    peer = b""
    transport: asyncio.Transport
    """There is none. Only tunnels ask for it, and what asks for a tunnel is not copied."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.out: list[bytes] = []

    def flush(self) -> None:
        self.out.clear()

    def update_reading(self) -> None:
        """There is nothing to read."""

    def reply(self, exchange: Exchange, write: Write) -> None:
        """Nobody listens."""

    def take_early(self) -> bytes:
        return b""

    def connection_lost(self, exc: Exception | None) -> None:
        """It has none."""

    def fail(self, exchange: Exchange, error: Exception) -> None:
        """Nobody is to be told."""

    def finished(self, exchange: Exchange) -> None:
        """Nobody waits for it."""

    def break_off(self, exchange: Exchange) -> None:
        del exchange
        self.out.clear()


class Copy(Exchange):
    """A request once more. It is filled while the original is read, and sent when that is complete."""

    __slots__ = ("_body", "_lane", "behind", "size")

    def __init__(self, client: Client, lane: Lane, throttler: Throttler, original: Exchange) -> None:
        super().__init__(client, head_only=original.head_only)
        self.throttler = throttler
        self.head = original.head.replace(_EXPECT, CRLF)[: -len(CRLF)] + MARK
        self.chunked = original.chunked
        self.http10 = original.http10
        self.size = len(self.head)
        self.arrived_s = client.door.clock.monotonic()
        self._lane = lane
        self._body = bytearray()
        """In one piece: a chunk of two bytes would take thirty times as many."""
        self.behind = False
        """The original waits for the answers before its own: whether it will be tried is not known."""

    def add(self, data: bytes) -> None:
        """Take in some of the body."""
        if self.done:
            return
        size = self.size + len(data)
        if size > BODY_BYTES:
            self.drop(TOO_LARGE)
        elif not self._lane.hold(len(data)):
            self.drop(NO_ROOM)
        else:
            self.size = size
            self._body += data

    def filled(self, trailers: list[bytes] | None) -> None:
        """All of the request has come."""
        if self.done:
            return
        self.request_done = True
        if self._body:
            self.pending, self._body = self._body, bytearray()
        if self.chunked:
            self.last = last_chunk(trailers or [])

    def go(self, session: int | None) -> None:
        """All of it is here, and the original is being served. `session`: the original's."""
        if self.done:
            return
        self.arrived_s = self.client.door.clock.monotonic()
        sessions = self.throttler.sessions
        if sessions is not None:
            name = sessions.named_in(self.head)
            self.session = session if name is None else point(name)
        self._lane.enter(self)

    def drop(self, why: str) -> None:
        """Leave it out: it has no slot."""
        if not self.done:
            self.done = True
            self._body.clear()
            self.pending = None
            self.throttler.cancel(self, self.client.door.clock.monotonic())
            self._lane.ended(self, why)

    def serve(self, pod: Pod, now_s: float) -> None:
        """Go on with this slot."""
        self._go(pod, now_s)
        if self.upstream is not None:
            self.upstream.flush()

    def ticket(self) -> Ticket:
        return Ticket(Turn(b"mirror"), Priority.BATCH, 0)  # its bytes are counted here

    def granted(self, pod: Pod, now_s: float) -> None:
        self.serve(pod, now_s)

    def refused(self, error: Exception) -> None:
        del error  # nobody is to be told
        self.drop(FAILED)

    def unreachable(self, pod: Pod, why: str, limit_s: float, *, eject: bool = True) -> None:
        del pod, why, limit_s, eject  # others will find out, and they may try again
        if not self.done:
            self._end(502)

    def spoiled(self, error: Exception) -> None:
        del error
        if not self.done:
            self._end(502)

    def _may_be_told(self) -> bool:
        return False

    def _end(self, status: int) -> None:
        """As an Exchange's, but not among the answers that clients got."""
        self.done = True
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.drop()
        if self.pod is not None:
            self.throttler.release(self.pod, self.client.door.clock.monotonic())
        self._lane.ended(self, ANSWERED if status < 500 else FAILED)


class Lane:
    """The copies for one revision."""

    def __init__(self, mirroring: Mirroring, revision: RevisionKey) -> None:
        self._mirroring = mirroring
        self.revision = revision
        self.copies: set[Copy] = set()
        """That are not done."""
        self.waiting: deque[Copy] = deque()
        self.wake = False
        self._asked: Throttler | None = None
        """Who tells it of slots that nobody else wants."""
        self._knocking: Copy | None = None
        """The one that waits in the queue of its revision, because it sleeps: for the others it is enough."""

    def hold(self, size: int) -> bool:
        """Take so many bytes more, if there is room for them."""
        if self._mirroring.held + size > HELD_BYTES:
            return False
        self._mirroring.held += size
        return True

    def enter(self, copy: Copy) -> None:
        """Serve a copy, or let it wait."""
        throttler, now_s = copy.throttler, copy.client.door.clock.monotonic()
        if throttler.pods:
            pod = None if self.waiting else throttler.enter_last(copy, now_s)
            if pod is not None:
                copy.serve(pod, now_s)
                return
        elif not self.wake:
            copy.drop(ASLEEP)
            return
        elif self._knocking is None:
            self._knock(copy, now_s)
            return
        self.waiting.append(copy)
        self._asked = throttler
        throttler.unwanted = self.serve

    def serve(self, now_s: float) -> None:
        """Somebody has room, and nobody else wants it."""
        while self.waiting:
            copy = self.waiting.popleft()
            if copy.done:
                continue
            pod = copy.throttler.enter_last(copy, now_s)
            if pod is None:
                self.waiting.appendleft(copy)
                return
            copy.serve(pod, now_s)

    def ended(self, copy: Copy, how: str) -> None:
        """Count a copy that is done, and have its bytes back."""
        self.copies.discard(copy)
        self._mirroring.held -= copy.size
        self._mirroring.counts[self.revision, how] += 1
        if copy is self._knocking:
            self._knocking = None
            if how == FAILED:
                for each in list(self.waiting):
                    each.drop(FAILED)

    def watch(self, now_s: float) -> None:
        """Look after what takes time."""
        for copy in list(self.copies):
            copy.watch(now_s)
        for copy in list(self.waiting):
            if self._knocking is None and now_s - copy.arrived_s > WAIT_S:
                copy.drop(NO_ROOM if copy.throttler.pods else ASLEEP)
        self.waiting = deque(copy for copy in self.waiting if not copy.done)

    def close(self) -> None:
        """Give up all of them."""
        for copy in list(self.copies):
            if copy.pod is None:
                copy.drop(GONE)
            else:
                copy.spoiled(TorporError())
        self.waiting.clear()

    def leave(self) -> None:
        """There are no copies any more: slots cost nothing to offer then."""
        if self._asked is not None:
            self._asked.unwanted = None

    def _knock(self, copy: Copy, now_s: float) -> None:
        self._knocking = copy
        try:
            pod = copy.throttler.enter(copy, now_s)
        except TorporError:
            copy.drop(FAILED)
            return
        if pod is not None:
            copy.serve(pod, now_s)


class Mirroring:
    """All copies of one process."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._nobody = Nobody(door)
        self._lanes: dict[RevisionKey, Lane] = {}
        self.held = 0
        """Bytes of all copies that are not done."""
        self.counts: Counter[tuple[RevisionKey, str]] = Counter()
        """Copies by revision and by how they ended."""

    def begin(self, mirror: Mirror, original: Exchange) -> Copy | None:
        """Return a copy to be filled, None where this request gets none."""
        revision = mirror.revision
        if not mirror.due() or original.throttler.key == revision or original.upgrade or self._door.draining:
            return None
        throttler = self._door.throttlers.get(revision)
        if throttler is None or (not throttler.pods and not mirror.wake):
            self.counts[revision, GONE if throttler is None else ASLEEP] += 1
            return None
        lane = self._lanes.get(revision)
        if lane is None:
            lane = self._lanes[revision] = Lane(self, revision)
        lane.wake = mirror.wake
        copy = Copy(self._nobody, lane, throttler, original)
        if len(lane.copies) >= COPIES or not lane.hold(copy.size):
            self.counts[revision, NO_ROOM] += 1
            return None
        lane.copies.add(copy)
        return copy

    def watch(self, now_s: float) -> None:
        """Look after what takes time; called every moment."""
        for revision, lane in list(self._lanes.items()):
            lane.watch(now_s)
            if not lane.copies:
                lane.leave()
                del self._lanes[revision]

    def close(self) -> None:
        """Give up all copies."""
        for lane in self._lanes.values():
            lane.close()
            lane.leave()
        self._lanes.clear()

"""One request from its arrival to its last byte: the queue, the slot, the pod, the answer."""

from __future__ import annotations

import asyncio
import functools
import secrets
from typing import TYPE_CHECKING, Protocol

from activator.proxy import answers
from activator.proxy.headers import CRLF, NO_BODY, STATUS_LINES, chunk, last_chunk, nominated, without
from activator.proxy.standin import Copying
from activator.proxy.telling import Telling
from activator.throttle import coldstart
from activator.throttle.affinity import Sessions, point
from activator.throttle.line import Client as Turn
from activator.throttle.line import Priority, Ticket
from activator.throttle.overdue import overdue
from activator.throttle.pod import Pod
from activator.throttle.remembered import Metadata
from activator.throttle.throttler import Throttler
from activator.waiting import asleep, events, stages
from activator.waiting.asked import Asked, client_of, deadline_line
from activator.waiting.stages import Stage
from torpor.errors import DeadlineError, QueueFullError, TorporError, UpstreamError
from torpor.web.status import answer

if TYPE_CHECKING:
    from activator.access.grant import Grant
    from activator.grpc.bridge import Bridge
    from activator.proxy.door import Door
    from activator.proxy.mirror import Copy
    from activator.proxy.upstream import Upstream

INCOMPLETE = "incomplete"
"""How a copy ended whose original was over before all of it had come."""
SECURE = b"\r\nX-Forwarded-Proto: https\r\n"
"""In a head that was written by us: the client speaks TLS, with us or with a proxy that is believed."""
SESSION_BYTES = 12
"""Of a session's name that is made here: not to be guessed."""


class Client(Protocol):
    """Whom the answer is for: a connection, or what stands in for it."""

    door: Door
    peer: bytes
    transport: asyncio.Transport
    out: list[bytes]

    @property
    def write_paused(self) -> bool:
        """Whether it takes no more for now."""

    def flush(self) -> None:
        """Send what is in `out`."""

    def reply(self, exchange: Exchange, write: Write) -> None:
        """Send an answer of ours, and be finished."""

    def fail(self, exchange: Exchange, error: Exception) -> None:
        """Answer with an error."""

    def finished(self, exchange: Exchange) -> None:
        """The answer is written."""

    def break_off(self, exchange: Exchange) -> None:
        """The rest of the answer will not come."""

    def update_reading(self) -> None:
        """Read on, or let the client wait, as what is buffered allows."""

    def take_early(self) -> bytes:
        """Return what came after a request for a tunnel."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Its connection is gone."""


class Write(Protocol):
    """Makes an answer when it is known whether the connection goes on."""

    def __call__(self, *, close: bool) -> bytes:
        """Return the whole of it."""


class Exchange:
    """A request and its answer.

    Its life: made; `start`ed, when the answers before it are out; in the queue (no pod); on its way to a pod that is
    being connected to (a pod, no upstream); with a pod; `done`. The slot comes with the pod, and goes back on every way
    to `done`.
    """

    __slots__ = (
        "_silent",
        "_telling",
        "_timer",
        "arrived_s",
        "asked",
        "chunked",
        "client",
        "cold",
        "copy",
        "done",
        "echo",
        "error",
        "expects",
        "framed",
        "grant",
        "granted_s",
        "head",
        "head_only",
        "http10",
        "keep_alive",
        "last",
        "moved",
        "pending",
        "pod",
        "quiet_since_s",
        "refused_since_s",
        "request_done",
        "responded",
        "session",
        "status",
        "throttler",
        "tunnel",
        "upgrade",
        "upstream",
    )

    throttler: Throttler
    """Its revision's; unset where `error` is."""
    head: bytes
    """As the pod shall read it."""
    arrived_s: float
    granted_s: float
    quiet_since_s: float
    """When the watch first saw that nothing came from the pod."""

    def __init__(self, client: Client, *, head_only: bool = False) -> None:
        self.client = client
        self.error: Exception | None = None
        """Why it is not even tried."""
        self.grant: Grant | None = None
        """By which it was let in, where not everybody is."""
        self.asked: Asked | None = None
        """What the client asked of its wait, where that is anything."""
        # The request.
        self.head_only = head_only
        self.chunked = self.http10 = self.upgrade = self.request_done = False
        self.expects = False
        """Its body comes only after a 100 (Continue)."""
        self.keep_alive = True
        self.pending: bytearray | None = None
        """Of its body what came before there was a pod to send it to; in one piece: many cost more than they hold."""
        self.last = b""
        """The end of its body, where that has come too and is to be told."""
        self.copy: Copy | None = None
        """What another revision gets of it, while it is being read."""
        # The slot.
        self.session: int | None = None
        self.cold = self.done = False
        self._timer: asyncio.TimerHandle | None = None
        self._silent = False
        """The client wants no news while it waits."""
        self._telling: Telling | None = None
        self.pod: Pod | None = None
        self.upstream: Upstream | Bridge | None = None
        self.refused_since_s: float | None = None
        # The answer.
        self.echo = b""
        """Lines of ours that go with it."""
        self.status = 0
        self.responded = self.framed = self.moved = self.tunnel = False

    # --- the queue and the slot --------------------------------------------------------------------------------

    def start(self) -> None:
        """Take a slot at once, or a place in the queue."""
        now_s = self.arrived_s = self.client.door.clock.monotonic()
        if self.grant is not None and self.error is None:
            self.error = self.grant.enter()
        if self.error is not None:
            self.dropped()
            self.client.door.codes[status_of(self.error) // 100] += 1
            self.client.fail(self, self.error)
            return
        throttler = self.throttler
        if self.asked is not None and self.asked.deadline_s is not None:
            self._set_timer(self.asked.deadline_s)
        if throttler.sessions is not None:
            self._join_session(throttler.sessions)
        self.cold = not throttler.pods
        if self.cold and self._answered_asleep():
            return
        if throttler.metadata is not None:
            self._remember(throttler.metadata)
        try:
            pod = throttler.enter(self, now_s)
        except TorporError as error:
            self.refused(error)
            return
        if pod is not None:
            self._go(pod, now_s)

    def dropped(self) -> None:
        """It will not be tried: what is held goes back."""
        self.done = True
        self.pending = None
        if self.copy is not None:
            self.copy.drop(INCOMPLETE)

    def ticket(self) -> Ticket:
        """Say what counts in the queue."""
        asked = self.asked
        priority = Priority.INTERACTIVE if asked is None else asked.priority
        size = len(self.head) + (0 if self.pending is None else len(self.pending))
        client, grant = client_of(self.client.peer, self.head), self.grant
        if grant is not None:
            priority = Priority.BATCH if grant.caller.batch else priority
            client = Turn(grant.caller.id) if grant.caller.id else client
        return Ticket(client, priority, size, self._deadline_s())

    def granted(self, pod: Pod, now_s: float) -> None:
        """Go on after the queue."""
        if self.done:
            self.throttler.release(pod, now_s)
            return
        self.throttler.counters.waits.add(now_s - self.arrived_s)
        self._go(pod, now_s)
        if self.upstream is not None:
            self.upstream.flush()

    def sent_on(self, throttler: Throttler, now_s: float) -> None:
        """Wait for the revision that a route leads to, which led nowhere when the request came."""
        if self.done:
            return
        self.throttler = throttler
        if throttler.sessions is not None:
            self._join_session(throttler.sessions)
        try:
            pod = throttler.enter(self, now_s)
        except TorporError as error:
            self.refused(error)
            return
        if pod is not None:
            self.granted(pod, now_s)

    def refused(self, error: Exception) -> None:
        """Give up without a slot."""
        self._end(status_of(error))
        self.client.fail(self, error)

    def stage(self) -> Stage:
        """Say how far it is."""
        if self.pod is not None:
            return stages.ANSWER
        return stages.QUEUE if self.throttler.pods else self.client.door.stage_of(self.throttler.key)

    def _answered_asleep(self) -> bool:
        """Answer who only wants to know how a revision is that sleeps; tell whether that was so."""
        throttler, now_s = self.throttler, self.arrived_s
        try:
            said = asleep.answer(
                throttler.terms.asleep,
                self.head,
                throttler.metadata,
                probe=None if self.asked is None else self.asked.probe,
                waking=throttler.waking,
                now_s=now_s,
            )
        except TorporError as error:
            self.refused(error)
            return True
        if said is None:
            return False
        self._end(said.status)
        write = functools.partial(
            answers.compose, said.status, said.lines + self.echo, said.body, head_only=self.head_only
        )
        self.client.reply(self, write)
        return True

    def _remember(self, metadata: Metadata) -> None:
        """Have the answer copied, if it is what the model says of itself."""
        # The credential of who was let in by one is not in the head any more.
        path = None if self.grant is not None and self.grant.caller.id else asleep.metadata_path(self.head)
        if path is not None:
            self.client = Copying(self.client, metadata, path)

    def _join_session(self, sessions: Sessions[Pod]) -> None:
        """Find out whose request this is; who has no cookie yet gets one with the answer."""
        name = sessions.named_in(self.head)
        if name is None:
            if sessions.affinity.by == "header":
                return
            name = secrets.token_urlsafe(SESSION_BYTES).encode()
            self.echo += sessions.cookie(name, secure=SECURE in self.head)
        self.session = point(name)

    def _go(self, pod: Pod, now_s: float) -> None:
        self.pod = pod
        self.granted_s = self.quiet_since_s = now_s
        pool = self.client.door.pool
        upstream = pool.take(pod, now_s)
        if upstream is None:
            pool.connect(pod, self)
        else:
            self.attach(upstream)

    def unreachable(self, pod: Pod, why: str, limit_s: float, *, eject: bool = True) -> None:
        """The pod could not be connected to, so nothing was sent: try another, or the same again in a moment."""
        if self.done:
            return  # the slot is back already
        now_s = self.client.door.clock.monotonic()
        if self.refused_since_s is None:
            self.refused_since_s = now_s
        if now_s - self.refused_since_s > limit_s:
            said = f"pod {pod.at.pod} is said to be ready, but takes no connections: {why}"
            self.broken(UpstreamError(said))
            return
        self.pod = None
        self.throttler.retry(self, pod, now_s, eject=eject)

    def _end(self, status: int) -> None:
        """Be done; what is held goes back."""
        self.done = True
        if self.copy is not None:
            self.copy.drop(INCOMPLETE)
        now_s = self.client.door.clock.monotonic()
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.drop()
        if self._timer is not None:
            self._timer.cancel()
        if self.grant is not None:
            self.grant.leave()
        counters = self.throttler.counters
        counters.codes[status // 100] += 1
        counters.durations.add(now_s - self.arrived_s)
        if self.pod is not None:
            self.throttler.release(self.pod, now_s)
        else:
            self.pending = None  # the connection, and so this, may stay for a while
            self.throttler.cancel(self, now_s)

    # --- the request -------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether the client must not send more of the body for now."""
        if self.upstream is None:
            return self.pending is not None and len(self.pending) >= self.client.door.limits.buffered_bytes
        return self.upstream.write_paused

    def attach(self, upstream: Upstream | Bridge) -> None:
        """Send to this connection; the caller flushes it."""
        self.upstream = upstream
        upstream.begin(self, self.head if self.asked is None else self._head_with_deadline())
        if self.pending is not None:
            pending, self.pending = bytes(self.pending), None
            upstream.out += chunk(pending) if self.chunked else (pending,)
            self.client.update_reading()
        if self.last:
            upstream.out.append(self.last)

    def send(self, data: bytes) -> None:
        """Pass on some of the body."""
        self.expects = False
        if self.copy is not None:
            self.copy.add(data)
        if self.done:
            return
        upstream = self.upstream
        if upstream is not None:
            if self.chunked:
                upstream.out += chunk(data)
            else:
                upstream.out.append(data)
            return
        if self.error is not None:
            return  # it waits for its turn to be told
        if self.pending is None:
            self.pending = bytearray()
        self.pending += data
        if self.pod is None:
            try:
                self.throttler.hold(self, len(data), self.client.door.clock.monotonic())
            except QueueFullError as error:
                self._give_up(error)
                return
        if self.full:
            self.client.update_reading()

    def end(self, trailers: list[bytes] | None) -> None:
        """All of the request has come."""
        self.request_done = True
        copy = self.copy
        if copy is not None:
            copy.filled(trailers)
            if not copy.behind:
                self.copy = None
                copy.go(self.session)
        if not self.chunked or self.done:
            return
        last = last_chunk(trailers or [])
        if self.upstream is not None:
            self.upstream.out.append(last)
        else:
            self.last = last

    def copy_on(self) -> None:
        """Its turn has come, and so its copy's."""
        copy = self.copy
        if copy is not None:
            copy.behind = False
            if self.request_done:
                self.copy = None
                copy.go(self.session)

    # --- the answer --------------------------------------------------------------------------------------------

    def interim(self, status: int, lines: list[bytes]) -> None:
        """Pass on a 1xx answer, where the client can understand it."""
        if self._telling is not None:
            return
        if status == 100:
            if self.expects:
                self.expects = False
                self.client.out.append(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif not self.http10:
            self.client.out.append(b"".join((STATUS_LINES[status], *lines, CRLF)))

    def respond(self, status: int, lines: list[bytes], rare: dict[bytes, bytes] | None, *, sized: bool) -> None:
        """Write the head of the answer. `sized`: among the lines is a Content-Length."""
        if self._telling is not None:
            self.responded, self.status = True, status
            self._telling.answered(status, lines, self._cold_start() if self.cold else b"")
            return
        if rare is not None:
            dropped = nominated(rare.get(b"connection", b""))
            if dropped:
                lines = without(lines, dropped)
        if self.head_only or status in NO_BODY:
            framing = b""
            lines = _bodiless(status, lines)
        elif sized:
            framing = b""
        elif self.http10:
            framing = b""
            self.keep_alive = False  # the end of the connection is the end of the body
        else:
            self.framed = True
            framing = b"Transfer-Encoding: chunked\r\n"
        if self.cold:
            framing += self._cold_start()
        # Who waits for a 100 and gets this instead will not send the body: what it sends next cannot be told.
        if self.upgrade or self.expects or self.client.door.draining or not self.keep_alive:
            self.keep_alive = False
            framing += b"Connection: close\r\n"
        elif self.http10:
            framing += b"Connection: keep-alive\r\n"
        self.responded = True
        self.status = status
        self.client.out.append(b"".join((STATUS_LINES[status], *lines, self.echo, framing, CRLF)))

    def switch(self, lines: list[bytes], protocol: bytes) -> None:
        """Write the head of a 101: from now on both sides speak something else."""
        self.responded = self.tunnel = True
        self.status = 101
        upgrade = (b"Connection: Upgrade\r\nUpgrade: ", protocol, b"\r\n\r\n")
        self.client.out.append(b"".join((STATUS_LINES[101], *lines, self.echo, *upgrade)))

    def complete(self, trailers: list[bytes] | None) -> None:
        """All of the answer has come, and the pod is free; the upstream is the caller's again."""
        self.upstream = None
        if self.framed:
            self.client.out.append(last_chunk(trailers or []))
        self.client.flush()
        self._end(self.status)
        self.client.finished(self)

    def broken(self, error: TorporError) -> None:
        """The pod failed, or was too slow. A half answer ends in a closed connection, never in a false end."""
        if self.done:
            return
        self.throttler.counters.upstream_errors += 1
        self.spoiled(error)

    def spoiled(self, error: Exception) -> None:
        """It cannot go on."""
        if self.done:
            return
        if self.responded:
            self._end(self.status)
            self.client.break_off(self)
        else:
            self.refused(error)

    def _cold_start(self) -> bytes:
        pod = self.pod
        now_s = self.client.door.clock.monotonic()
        stages = None if pod is None else pod.stages
        return coldstart.header(self.granted_s - self.arrived_s, now_s - self.granted_s, stages)

    # --- the client, and time ----------------------------------------------------------------------------------

    def abandon(self) -> None:
        """The client is gone: the place in the queue, the slot and the pod's time are somebody else's, at once."""
        if self.done:
            return
        if self.tunnel:
            self._end(self.status)
            return
        self.throttler.counters.disconnects += 1
        self._end(self.status or 499)

    def tunnel_closed(self) -> None:
        """The pod's side of a tunnel is gone."""
        self.upstream = None
        if not self.done:
            self._end(self.status)

    def watch(self, now_s: float) -> None:
        """Compare with what the revision allows; the time in the queue is not counted."""
        if self.done or (self.asked is not None and self.expired(now_s)):
            return
        if not self.responded and not self._silent:
            self._tell(now_s)
        if self.upstream is None:
            return
        if self.moved or self.client.write_paused:
            self.moved = False
            self.quiet_since_s = now_s
        what = overdue(
            self.throttler.terms.limits,
            age_s=now_s - self.granted_s,
            quiet_s=now_s - self.quiet_since_s,
            begun=self.responded,
            endless=self.tunnel,
        )
        if what is not None:
            self._late(what)

    def failure(self, error: Exception, *, close: bool) -> bytes:
        """Return what the client is sent where there is no answer."""
        if self._telling is not None:
            return self._telling.failure(error)
        return answers.write(error, close=close, head_only=self.head_only, echo=self.echo)[1]

    # --- news while it waits -----------------------------------------------------------------------------------

    def _tell(self, now_s: float) -> None:
        """Tell a client that asked for events how far its wait is, once that is longer than a moment."""
        if self._telling is None:
            if self.upstream is not None or now_s - self.arrived_s < self.client.door.waiting.told_after_s:
                return
            self._silent = not self._may_be_told()
            if self._silent:
                return
            self.head = events.without_encodings(self.head)
            self._telling = Telling(self)
        self._telling.watch(now_s, self.stage())

    def _may_be_told(self) -> bool:
        # Who waits for a 100 has not sent its body, and would not after a 200.
        return not (self.head_only or self.upgrade or self.expects) and events.wants_events(self.head)

    # --- the client's own deadline -----------------------------------------------------------------------------

    def expired(self, now_s: float) -> bool:
        """End it if the time that its client gave it is over; tell whether it has ended."""
        deadline_s = self._deadline_s()
        if self.done or deadline_s is None or now_s < deadline_s:
            return self.done
        given = f"the {deadline_s - self.arrived_s:g} s that the request gave itself"
        if self.pod is None:
            self._give_up(DeadlineError(f"no pod of {'/'.join(self.throttler.key)} had room within {given}"))
        else:
            self.spoiled(DeadlineError(f"pod {self.pod.at.pod} did not finish its answer within {given}"))
        return True

    def _deadline_s(self) -> float | None:
        """Return when it is, on the door's clock."""
        asked = self.asked
        return None if asked is None or asked.deadline_s is None else self.arrived_s + asked.deadline_s

    def _set_timer(self, delay_s: float) -> None:
        """Look at the deadline exactly when it passes: it may be shorter than the watch's pause."""
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._look_at_deadline)

    def _look_at_deadline(self) -> None:
        self.expired(self.client.door.clock.monotonic())

    def _head_with_deadline(self) -> bytes:
        """Return the head with how much time is left now: the pod may have others to ask, and may be the second."""
        deadline_s = self._deadline_s()
        if deadline_s is None:
            return self.head
        left_s = deadline_s - self.client.door.clock.monotonic()
        return b"".join((self.head[:-2], deadline_line(left_s), CRLF))

    def _give_up(self, error: TorporError) -> None:
        """Leave the queue."""
        self.throttler.cancel(self, self.client.door.clock.monotonic())
        self.refused(error)

    def _late(self, what: str) -> None:
        name = "" if self.pod is None else self.pod.at.pod
        self.broken(DeadlineError(f"pod {name} of {'/'.join(self.throttler.key)} {what}"))


def _bodiless(status: int, lines: list[bytes]) -> list[bytes]:
    """Return the lines of an answer that has no body; of HEAD's a length speaks of another's."""
    return without(lines, (b"content-length",)) if status == 204 else lines


def status_of(error: Exception) -> int:
    """Return the status that an error is answered with."""
    return answer(error).status

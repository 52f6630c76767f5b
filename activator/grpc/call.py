"""One call by HTTP/2 from its arrival to its last byte: the queue, the slot, the pod, the answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes

from activator.access import credentials
from activator.access.grant import Grant
from activator.access.guard import Guard
from activator.grpc import asleep, fields, status, timeouts
from activator.grpc.asker import Asker
from activator.grpc.connection import Headers, Stream
from activator.routing.match import TAG, tagged
from activator.throttle import coldstart
from activator.throttle.affinity import point
from activator.throttle.line import Client, Priority, Ticket
from activator.throttle.overdue import overdue
from activator.throttle.pod import Pod
from activator.throttle.throttler import Throttler
from activator.waiting.asked import PRIORITY
from activator.waiting.asked import read as asked_for
from torpor.errors import DeadlineError, TooLargeError, TorporError, UpstreamError
from torpor.web.status import answer

if TYPE_CHECKING:
    from activator.grpc.client import ClientLine

_ASKED = frozenset({PRIORITY, TAG})
_GRPC = ((b":status", b"200"), (b"content-type", b"application/grpc"))
CANCELLED = 4
"""First digit of 499, which is what a client that went away stands for."""


class Call:
    """A request and its answer; implements `Waiter` and `Asker`.

    Its life is an Exchange's: in the queue (no pod); on its way to a pod that is being connected to (a pod, no
    upstream); with a pod; `done`. The slot comes with the pod, and goes back on every way to `done`.
    """

    __slots__ = (
        "_body",
        "_deadline",
        "_digit",
        "_grant",
        "_head",
        "_name",
        "_priority",
        "_received",
        "_size",
        "_timeout_s",
        "_uncredited",
        "_upload_done",
        "_upload_trailers",
        "arrived_s",
        "cold",
        "done",
        "granted_s",
        "grpc",
        "line",
        "moved",
        "pod",
        "quiet_since_s",
        "refused_since_s",
        "responded",
        "session",
        "stream",
        "throttler",
        "upstream",
    )

    throttler: Throttler
    """Its revision's; unset until it is known."""
    stream: Stream[Call]
    granted_s: float
    quiet_since_s: float

    def __init__(self, line: ClientLine, now_s: float) -> None:
        self.line = line
        self.arrived_s = now_s
        self.grpc = True
        self.session: int | None = None
        self.cold = self.done = self.responded = self.moved = False
        self.pod: Pod | None = None
        self.upstream: Stream[Asker] | None = None
        self.refused_since_s: float | None = None
        self._grant: Grant | None = None
        """By which it was let in, where not everybody is."""
        self._head: Headers = []
        self._name = b""
        """Its id, as the pod hears it, and as every answer has it."""
        self._priority = Priority.INTERACTIVE
        self._timeout_s: float | None = None
        self._deadline: asyncio.TimerHandle | None = None
        # The request's body: what came before there was a pod. After that it is kept while it is small and there is no
        # answer, for a pod may say that it has not looked at it.
        self._body: bytearray | None = bytearray()
        self._size = self._uncredited = self._received = 0
        self._upload_done = False
        self._upload_trailers: Headers | None = None
        self._digit = 0

    # --- the queue and the slot --------------------------------------------------------------------------------

    def begin(self, headers: Headers) -> None:
        """Find out where it goes, and take a slot or a place in the queue."""
        line = self.line
        door = line.door
        self._name = line.identity(self.stream.number)
        try:
            head = fields.read(headers, door.limits.head_bytes)
            self.grpc = head.grpc
            name = self._name = fields.id_of(head, self._name)
            entry, target = door.router.find(head.authority, head.path)
            grant = None if entry.guard is None else self._admit(entry.guard, head, target)
            more: Headers = []
            if head.rare.keys() & _ASKED:
                asked, lines = asked_for(head.rare)
                self._priority = asked.priority
                more += fields.pairs_of(lines)
                if TAG in head.rare:
                    entry, lines = tagged(entry, head.rare[TAG])
                    more += fields.pairs_of(lines)
            if grant is not None:
                more = self._told_of(grant, more)
            throttler = door.lead(entry)
        except TorporError as error:
            self.grpc = self.grpc and _is_grpc(headers)
            self._turn_away(error)
            return
        full = None if grant is None else grant.enter()
        if full is not None:
            self._turn_away(full)
            return
        self._grant = grant
        self.throttler = throttler
        self._head = fields.for_pod(head, target, line.peer, line.scheme, name, believed=line.believed) + more
        timeout_s = self._timeout_s = head.timeout_s
        if timeout_s is not None:
            if timeout_s <= 0:
                self.refused(self._late())
                return
            self._deadline = asyncio.get_running_loop().call_later(timeout_s, self._expired)
        self.cold = not throttler.pods
        if self.cold and self._answered_asleep(target, head):
            return
        self._enter(throttler, self.arrived_s)

    def _answered_asleep(self, target: bytes, head: fields.Head) -> bool:
        """Answer who only wants to know how a revision is that sleeps; tell whether that was so."""
        agent = next((value for name, value in head.others if name == b"user-agent"), b"")
        said = asleep.answer(self.throttler.terms.asleep, target, agent) if head.grpc else None
        if said is None:
            return False
        state = b"waking" if self.throttler.waking else b"asleep"
        self._end(2)
        self.stream.headers([*_GRPC, (b"torpor-state", state), (fields.REQUEST_ID, self._name)])
        self.stream.write(b"\0" + len(said).to_bytes(4, "big") + said)
        self.stream.finish([(b"grpc-status", b"0")])
        return True

    def _admit(self, guard: Guard, head: fields.Head, target: bytes) -> Grant:
        """Let the call in, or raise why not; its pod is not shown the credential."""
        clock = self.line.door.clock
        grant = guard.admit(head.method, target, credentials.of(head.others), clock.monotonic(), clock.wall())
        if grant.stripped:
            head.others = [pair for pair in head.others if pair[0] != grant.stripped]
        return grant

    def _told_of(self, grant: Grant, more: Headers) -> Headers:
        """Return what else the pod is told, who asks included."""
        if grant.caller.batch:
            self._priority = Priority.BATCH
            more = [*(pair for pair in more if pair[0] != PRIORITY), (PRIORITY, b"batch")]
        return more + fields.pairs_of(grant.caller.mark)

    def ticket(self) -> Ticket:
        """Say what counts in the queue."""
        credential = next((value for name, value in self._head if name == b"authorization"), b"")
        grant = self._grant
        client = (
            Client(grant.caller.id) if grant is not None and grant.caller.id else Client(self.line.peer, credential)
        )
        timeout_s = self._timeout_s
        deadline_s = None if timeout_s is None else self.arrived_s + timeout_s
        return Ticket(client, self._priority, self._size, deadline_s)

    def granted(self, pod: Pod, now_s: float) -> None:
        """Go on after the queue."""
        self.throttler.counters.waits.add(now_s - self.arrived_s)
        self._go(pod, now_s)

    def sent_on(self, throttler: Throttler, now_s: float) -> None:
        """Wait for the revision that a route leads to, which led nowhere when the call came."""
        self.throttler = throttler
        self._enter(throttler, now_s)

    def refused(self, error: Exception) -> None:
        """Give up without a slot."""
        self._end(answer(error).status // 100)
        self._tell(error)

    def _enter(self, throttler: Throttler, now_s: float) -> None:
        if throttler.sessions is not None:
            lines = b"".join(b"\r\n%b: %b" % pair for pair in self._head)
            name = throttler.sessions.named_in(lines)
            self.session = None if name is None else point(name)
        try:
            pod = throttler.enter(self, now_s)
        except TorporError as error:
            self.refused(error)
            return
        if pod is not None:
            self._go(pod, now_s)

    def _go(self, pod: Pod, now_s: float) -> None:
        self.pod = pod
        self.granted_s = self.quiet_since_s = now_s
        self.line.lines.ask(pod, self)

    def _turn_away(self, error: Exception) -> None:
        """Refuse what goes nowhere."""
        self.done = True
        self.line.door.codes[answer(error).status // 100] += 1
        self._tell(error)

    def _end(self, digit: int) -> None:
        """Be done; what is held goes back."""
        self.done = True
        self._body = None
        if self._deadline is not None:
            self._deadline.cancel()
        now_s = self.line.door.clock.monotonic()
        upstream = self.upstream
        if upstream is not None and not (upstream.closed and upstream.peer_done):
            upstream.reset(ErrorCodes.CANCEL)
        if self._grant is not None:
            self._grant.leave()
        counters = self.throttler.counters
        counters.codes[digit] += 1
        counters.durations.add(now_s - self.arrived_s)
        if self.pod is not None:
            self.throttler.release(self.pod, now_s)
        else:
            self.throttler.cancel(self, now_s)

    # --- from the client ---------------------------------------------------------------------------------------

    def upload(self, data: bytes) -> None:
        """Some of the request's body."""
        if self.done:
            self.stream.credit(len(data))  # nobody wants it, and nobody shall wait for it
            return
        self._received += len(data)
        limit = self.line.door.limits.body_bytes
        if limit is not None and self._received > limit:
            self._spoiled(TooLargeError(f"the body is over the limit of {limit} bytes"))
            return
        self._uncredited += len(data)
        if self.pod is None:
            try:
                self.throttler.hold(self, len(data), self.line.door.clock.monotonic())
            except TorporError as error:
                self.refused(error)
                return
        if self._body is not None:
            self._body += data  # one piece: many small ones cost more than they hold
            self._size += len(data)
            if self.upstream is not None and self._size > self.line.door.limits.buffered_bytes:
                self._body = None
        if self.upstream is not None:
            self.upstream.write(data)

    def upload_ended(self, trailers: Headers | None) -> None:
        """All of the request has come."""
        if self._upload_done:
            return
        self._upload_done = True
        self._upload_trailers = trailers
        if self.upstream is not None and not self.done:
            self.upstream.finish(trailers)

    def sent(self, size: int) -> None:
        """So much of the answer has left for the client."""
        self.moved = True
        if self.upstream is not None:
            self.upstream.credit(size)

    def abandon(self) -> None:
        """The client is gone: the place in the queue, the slot and the pod's time are somebody else's, at once."""
        if self.done:
            return
        self.throttler.counters.disconnects += 1
        self._end(self._digit or CANCELLED)

    # --- from the pod ------------------------------------------------------------------------------------------

    def attached(self, stream: Stream[Asker]) -> None:
        """Send the request."""
        now_s = self.line.door.clock.monotonic()
        timeout_s, left_s = self._timeout_s, None
        if timeout_s is not None:
            left_s = self.arrived_s + timeout_s - now_s
            if left_s <= 0:
                stream.reset(ErrorCodes.CANCEL)  # before its first frame: it leaves no trace
                self._spoiled(self._late())
                return
        self.upstream = stream
        head = self._head if left_s is None else [*self._head, (b"grpc-timeout", timeouts.write(left_s))]
        body = bytes(self._body or b"")
        stream.headers(head, end=self._upload_done and not body and self._upload_trailers is None)
        stream.write(body)
        if self._upload_done:
            stream.finish(self._upload_trailers)

    def unreachable(self, pod: Pod, why: str, limit_s: float, *, eject: bool = True) -> None:
        """The pod could not be connected to, so nothing was sent: try another, or the same again in a moment."""
        if self.done:
            return  # the slot is back already
        now_s = self.line.door.clock.monotonic()
        if self.refused_since_s is None:
            self.refused_since_s = now_s
        if now_s - self.refused_since_s > limit_s:
            said = f"pod {pod.at.pod} is said to be ready, but takes no connections: {why}"
            self.broken(UpstreamError(said))
            return
        self.pod = self.upstream = None
        self.throttler.retry(self, pod, now_s, eject=eject)

    def unprocessed(self, pod: Pod, why: str) -> None:
        """The pod has not looked at it: send it again, if all of it is still here."""
        if self.done:
            return
        if self._body is None or self.responded:
            self.broken(UpstreamError(f"pod {pod.at.pod} {why}, and the call is too long to be sent once more"))
        else:
            # A pod that leaves, or has streams enough, is well. Only who hears it again lets it alone, and does so once
            # for all its calls: they were many on one connection.
            again = self.refused_since_s is not None and not pod.ejected
            self.unreachable(pod, why, self.line.lines.refused_s, eject=again)

    def uploaded(self, size: int) -> None:
        """So much of the request has left for the pod."""
        # What is sent twice was paid for the first time.
        size = min(size, self._uncredited)
        self._uncredited -= size
        self.stream.credit(size)

    def interim(self, headers: Headers) -> None:
        self.stream.headers(headers)

    def answered(self, headers: Headers, *, end: bool) -> None:
        self.moved = True
        # A pod may say another id, or the same.
        headers = [pair for pair in headers if pair[0] != fields.REQUEST_ID]
        headers.append((fields.REQUEST_ID, self._name))
        if self.cold:
            headers.append(self._cold_start())
        if self._grant is not None:
            headers += fields.pairs_of(self._grant.lines)
        self.responded = True
        self._body = None
        self._digit = _digit(headers, grpc=self.grpc and end)
        self.stream.headers(headers, end=end)

    def downloaded(self, data: bytes) -> None:
        self.moved = True
        self.stream.write(data)

    def answer_ended(self, trailers: Headers | None) -> None:
        if self.done:
            return
        self.stream.finish(trailers)
        if trailers is not None and self.grpc:
            self._digit = _digit(trailers, grpc=True)
        self._end(self._digit)

    def broken(self, error: TorporError) -> None:
        """The pod failed, or was too slow."""
        if self.done:
            return
        self.throttler.counters.upstream_errors += 1
        self._spoiled(error)

    def _spoiled(self, error: Exception) -> None:
        """It cannot go on."""
        self._end(answer(error).status // 100)
        self._tell(error)

    def _cold_start(self) -> tuple[bytes, bytes]:
        pod = self.pod
        now_s = self.line.door.clock.monotonic()
        stages = None if pod is None else pod.stages
        said = coldstart.header(self.granted_s - self.arrived_s, now_s - self.granted_s, stages)
        name, _, value = said.partition(b":")
        return name.lower(), value.strip()

    # --- errors, and time --------------------------------------------------------------------------------------

    def _tell(self, error: Exception) -> None:
        """Say what went wrong, in the client's language. A half answer never looks whole."""
        stream = self.stream
        if self.grpc and self.responded:
            stream.finish(status.trailers(error))
        elif self.responded:
            stream.reset(ErrorCodes.INTERNAL_ERROR)
        elif self.grpc:
            stream.headers([*_GRPC, (fields.REQUEST_ID, self._name), *status.trailers(error)], end=True)
        else:
            said = answer(error)
            head = [
                (b":status", b"%d" % said.status),
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(said.body)),
                (fields.REQUEST_ID, self._name),
            ]
            if said.retry_after_s is not None:
                head.append((b"retry-after", b"%d" % said.retry_after_s))
            head += status.headers_of(said)
            stream.headers(head)
            stream.write(said.body)
            stream.finish()

    def _expired(self) -> None:
        """The client's deadline has passed: whoever waits is not sent, whoever was sent is called back."""
        if not self.done:
            self._spoiled(self._late())

    def _late(self) -> DeadlineError:
        waited = "while it waited for a pod" if self.pod is None else "before the pod had answered"
        return DeadlineError(f"the call's own deadline of {self._timeout_s:g} s passed {waited}")

    def watch(self, now_s: float) -> None:
        """Compare with what the revision allows; the time in the queue is not counted."""
        if self.done or self.upstream is None:
            return
        if self.moved or self.stream.queued:
            self.moved = False
            self.quiet_since_s = now_s
        what = overdue(
            self.throttler.terms.limits,
            age_s=now_s - self.granted_s,
            quiet_s=now_s - self.quiet_since_s,
            begun=self.responded,
        )
        if what is not None:
            self._slow(what)

    def _slow(self, what: str) -> None:
        name = "" if self.pod is None else self.pod.at.pod
        self.broken(DeadlineError(f"pod {name} of {'/'.join(self.throttler.key)} {what}"))


def _is_grpc(headers: Headers) -> bool:
    return any(name == b"content-type" and value.startswith(b"application/grpc") for name, value in headers)


def _digit(headers: Headers, *, grpc: bool) -> int:
    """Return the first digit of the status, for the counters."""
    wanted = b"grpc-status" if grpc else b":status"
    for name, value in headers:
        if name == wanted:
            return status.status_class(value) if grpc else int(value[:1])
    return 5 if grpc else 0

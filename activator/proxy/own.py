"""Requests that the door answers itself: those whose answer is kept for later, and those that come back for it.

`Prefer: respond-async` (RFC 7240) is answered 202 with the place of the answer, below a path that is the door's on
every service. The request itself goes on as any other, with a recorder in the place of its client.
"""

from __future__ import annotations

import asyncio
import functools
import math

import orjson

from activator.proxy import answers
from activator.proxy.exchange import INCOMPLETE, Client, Exchange
from activator.proxy.headers import nominated, without
from activator.throttle.line import Ticket
from activator.waiting.shelf import Deferred
from torpor.errors import MethodError, NotFoundError, TooLargeError, TorporError, UnavailableError, UpstreamError

PATH = b"/.torpor/"
REQUESTS = PATH + b"requests/"

JSON = b"Content-Type: application/json\r\n"
_SAME = ("asked", "chunked", "echo", "expects", "grant", "http10", "keep_alive")


class Own(Exchange):
    """Never reaches a queue or a pod."""

    __slots__ = ()

    def __init__(self, like: Exchange) -> None:
        super().__init__(like.client, head_only=like.head_only)
        for name in _SAME:
            setattr(self, name, getattr(like, name))

    @property
    def full(self) -> bool:
        return False

    def send(self, data: bytes) -> None:
        """Its body means nothing."""

    def end(self, trailers: list[bytes] | None) -> None:
        del trailers
        self.request_done = True

    def spoiled(self, error: Exception) -> None:
        if not self.done:
            self.done = True
            self.client.fail(self, error)

    def abandon(self) -> None:
        self.done = True

    def watch(self, now_s: float) -> None:
        """There is nothing to wait for but the client."""

    def _say(self, status: int, lines: bytes, body: bytes) -> None:
        self.done = True
        self.client.door.codes[status // 100] += 1
        write = functools.partial(answers.compose, status, lines, body, head_only=self.head_only)
        self.client.reply(self, write)


class Polled(Own):
    """Somebody comes back for an answer."""

    __slots__ = ("_method", "_namespace", "_path")

    def __init__(self, like: Exchange, method: bytes, target: bytes, namespace: str) -> None:
        super().__init__(like)
        self._method = method
        self._path = target.partition(b"?")[0]
        self._namespace = namespace

    def start(self) -> None:
        door = self.client.door
        self.arrived_s = door.clock.monotonic()
        id_ = self._path.removeprefix(REQUESTS).decode("latin-1") if self._path.startswith(REQUESTS) else ""
        deferred = door.shelf.find(self._namespace, id_, None if self.grant is None else self.grant.owner)
        if deferred is None:
            what = "no such request: its time is over, it was cancelled, or the activator was restarted"
            self._refuse(NotFoundError(what))
        elif self._method == b"DELETE":
            door.shelf.drop(deferred)
            self._say(204, self.echo, b"")
        elif self._method in {b"GET", b"HEAD"}:
            self._show(deferred)
        else:
            what = self._method.decode("latin-1")
            error = MethodError(f"{what} does nothing here: GET looks, DELETE cancels")
            self._refuse(error, b"Allow: GET, HEAD, DELETE\r\n")

    def _show(self, deferred: Deferred) -> None:
        if deferred.running is not None:
            self._say(202, state_of(deferred, self.arrived_s) + self.echo, document_of(deferred, self.arrived_s))
        elif deferred.error is not None:
            said = answers.parts(deferred.error)
            self._say(said.status, said.lines + DONE + self.echo, said.body)
        else:
            self._say(deferred.status, deferred.lines + DONE + self.echo, bytes(deferred.body))

    def _refuse(self, error: TorporError, lines: bytes = b"") -> None:
        said = answers.parts(error)
        self._say(said.status, said.lines + lines + self.echo, said.body)


class Later(Own):
    """A request whose client will come back: taken in whole, then let go."""

    __slots__ = ("_deferred", "_prefix", "_size", "_started")

    def __init__(self, like: Exchange, prefix: bytes) -> None:
        super().__init__(like)
        self.throttler, self.copy = like.throttler, like.copy
        self.head = like.head.replace(b"\r\nExpect: 100-continue\r\n", b"\r\n", 1) if like.expects else like.head
        self._prefix = prefix
        """Of the path by which the client reaches the service."""
        self._deferred: Deferred | None = None
        self._started = False
        self._size = 0

    def start(self) -> None:
        self.arrived_s = self.client.door.clock.monotonic()
        self._started = True
        if self.grant is not None and self.error is None:
            self.error = self.grant.enter()
        if self.error is not None:
            self.done = True
            self._forget()
            self.client.fail(self, self.error)
            return
        if self.expects and not self.request_done:
            self.client.out.append(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.client.flush()
        self.expects = False
        if self.request_done:
            self._let_go()

    def send(self, data: bytes) -> None:
        if self.done or self.error is not None:
            return
        self._size += len(data)
        limit = self.client.door.shelf.limits.deferred_body_bytes
        if self._size > limit:
            what = f"the body is over the limit of {limit} bytes for requests that are answered later"
            self._refuse(TooLargeError(f"{what}; ask without Prefer: respond-async"))
            return
        try:
            self._place().keep(len(data))
        except UnavailableError as error:
            self._refuse(error)
            return
        super(Own, self).send(data)

    def end(self, trailers: list[bytes] | None) -> None:
        super(Own, self).end(trailers)
        if self._started and not self.done:
            self._let_go()

    def spoiled(self, error: Exception) -> None:
        self._forget()
        super().spoiled(error)

    def abandon(self) -> None:
        if not self.done:
            self._forget()
        self.done = True

    def dropped(self) -> None:
        self._forget()
        super().dropped()

    def _let_go(self) -> None:
        """All of the request is here: let it go, and say where its answer will be."""
        door, now_s = self.client.door, self.client.door.clock.monotonic()
        if door.draining:
            self._refuse(UnavailableError("this activator is ending and keeps no answers any more; try again"))
            return
        try:
            deferred = self._place()
            deferred.keep(len(self.head))
        except UnavailableError as error:
            self._refuse(error)
            return
        run = Run(self, deferred)
        deferred.running = run
        run.start()
        if run.upstream is not None:
            run.upstream.flush()
        if deferred.error is not None:  # it is not even tried
            self._refuse(deferred.error)
            return
        location = b"Location: %b%b%b\r\n" % (self._prefix, REQUESTS, deferred.id.encode())
        lines = b"Preference-Applied: respond-async\r\n" + location + state_of(deferred, now_s) + self.echo
        self._say(202, lines, document_of(deferred, now_s))

    def _place(self) -> Deferred:
        if self._deferred is None:
            shelf, now_s = self.client.door.shelf, self.client.door.clock.monotonic()
            self._deferred = shelf.open(self.throttler.key[0], now_s)
            self._deferred.owner = None if self.grant is None else self.grant.owner
        return self._deferred

    def _refuse(self, error: Exception) -> None:
        self.pending = None
        self._forget()
        if self._started:
            self.done = True
            self.client.fail(self, error)
        else:
            self.error = error  # for when its turn has come

    def _forget(self) -> None:
        if self.copy is not None:
            self.copy.drop(INCOMPLETE)
        if self.grant is not None:
            self.grant.leave()
        deferred, self._deferred = self._deferred, None
        if deferred is not None:
            self.client.door.shelf.drop(deferred)


class Run(Exchange):
    """The request on its way to a pod, with nobody who listens."""

    __slots__ = ("_deferred",)

    def __init__(self, like: Later, deferred: Deferred) -> None:
        super().__init__(Recorder(like.client, deferred), head_only=like.head_only)
        self.throttler, self.head, self.asked, self.chunked = like.throttler, like.head, like.asked, like.chunked
        self.pending, self.last = like.pending, like.last
        self.request_done = True
        self.grant = like.grant  # which has its place already
        self._deferred = deferred
        like.pending = None

    def respond(self, status: int, lines: list[bytes], rare: dict[bytes, bytes] | None, *, sized: bool) -> None:
        """Keep the head of the answer; its framing is made when somebody comes for it."""
        del sized
        dropped = nominated((rare or {}).get(b"connection", b"")) | {b"content-length"}
        self.responded = True
        self.status = self._deferred.status = status
        cold = self._cold_start() if self.cold else b""
        self._deferred.lines = b"".join((*without(lines, dropped), self.echo, cold))

    def ticket(self) -> Ticket:
        """As any other's, but its bytes are counted where its answer will be."""
        return super().ticket()._replace(size=0)

    def interim(self, status: int, lines: list[bytes]) -> None:
        """Nobody listens yet, and what is kept is the answer alone."""

    def _answered_asleep(self) -> bool:
        return False

    def _may_be_told(self) -> bool:
        return False


class Recorder:
    """Stands in for the client: keeps the answer."""

    write_paused = False

    def __init__(self, client: Client, deferred: Deferred) -> None:
        self.door = client.door
        self.peer = client.peer
        self.transport = client.transport
        self.out: list[bytes] = []
        self._deferred = deferred
        self._size = 0
        self._overflown: Exception | None = None

    def flush(self) -> None:
        """Keep what is in `out`."""
        data = b"".join(self.out)
        self.out.clear()
        if not data or self._overflown is not None:
            return
        limit = self.door.shelf.limits.deferred_answer_bytes
        self._size += len(data)
        if self._size > limit:
            what = f"the answer is over the limit of {limit} bytes for those that are kept"
            self._overflow(UnavailableError(f"{what}; ask without Prefer: respond-async"))
            return
        try:
            self._deferred.keep(len(data))
        except UnavailableError as error:
            self._overflow(error)
            return
        self._deferred.body += data

    def _overflow(self, error: UnavailableError) -> None:
        self._overflown = error
        # Not from within: the pod's connection is in the middle of handing this over.
        asyncio.get_running_loop().call_soon(self._give_up, error)

    def fail(self, exchange: Exchange, error: Exception) -> None:
        """There is no answer."""
        del exchange
        self._end(error)

    def finished(self, exchange: Exchange) -> None:
        """The answer is complete."""
        del exchange
        self._end(self._overflown)

    def break_off(self, exchange: Exchange) -> None:
        """The rest of the answer will not come."""
        del exchange
        self._end(self._overflown or UpstreamError("the pod broke off its answer"))

    def reply(self, exchange: Exchange, write: object) -> None:
        """Nothing is answered before a pod is asked."""
        raise NotImplementedError

    def update_reading(self) -> None:
        """All of the request has come."""

    def take_early(self) -> bytes:
        return b""

    def connection_lost(self, exc: Exception | None) -> None:
        """Its client may come and go."""

    def _give_up(self, error: Exception) -> None:
        running = self._deferred.running
        if isinstance(running, Exchange):
            running.spoiled(error)

    def _end(self, error: Exception | None) -> None:
        self._deferred.end(error, self.door.clock.monotonic())


DONE = b"Torpor-Async: done\r\n"


def state_of(deferred: Deferred, now_s: float) -> bytes:
    """Return the lines about a request that is not done, or has just been begun."""
    run = deferred.running
    if not isinstance(run, Exchange) or run.pod is not None:
        return b"Torpor-Async: running\r\nRetry-After: 1\r\n" + JSON
    seconds = max(1, math.ceil(run.throttler.retry_after_s(now_s) or 1.0))
    return b"Torpor-Async: waiting\r\nRetry-After: %d\r\n%b" % (seconds, JSON)


def document_of(deferred: Deferred, now_s: float) -> bytes:
    """Return what is told of a request that is not done."""
    run = deferred.running
    stage = None if run is None else run.stage()
    waiting = isinstance(run, Exchange) and run.pod is None
    document: dict[str, object] = {"id": deferred.id, "state": "waiting" if waiting else "running"}
    if stage is not None:
        document["stage"] = stage.name
        if stage.percent is not None:
            document["percent"] = stage.percent
    document["seconds"] = round(now_s - deferred.since_s, 3)
    return orjson.dumps(document)


def later(exchange: Exchange, url: bytes, target: bytes) -> Exchange:
    """Return what becomes of a request whose client asked for something: the same, if it does not come back."""
    if exchange.asked is None or not exchange.asked.later or exchange.head_only or exchange.upgrade:
        return exchange
    # What precedes the target in the path by which the client reaches the service: /serving/NAMESPACE/NAME.
    prefix = b"" if url == target else b"/".join(url.split(b"/", 4)[:4])
    return Later(exchange, prefix)

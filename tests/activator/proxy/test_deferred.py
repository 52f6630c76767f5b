"""`Prefer: respond-async`: the answer is kept until its client comes back for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from activator.settings import Deferring
from activator.waiting.stages import Stage
from tests.activator.proxy.doorway import Doorway, doorway
from tests.activator.proxy.pods import OK, Behave, Line, Pod, answering, pod
from tests.activator.proxy.wire import Answer, Wire, get, post, wire
from tests.support.clock import FakeClock
from tests.support.until import until

LATER = "Prefer: respond-async"
LIMITS = Deferring(deferred_requests=3, deferred_bytes=40_000, deferred_body_bytes=20_000, deferred_answer_bytes=10_000)


class Scene:
    """A door with a service at zero, a client, and a pod that may come."""

    def __init__(self, door: Doorway, clock: FakeClock, made: Pod, client: Wire) -> None:
        self.door = door
        self.clock = clock
        self.pod = made
        self.client = client

    def wake(self) -> None:
        self.door.scale("app", self.pod.port)

    async def defer(self, request: bytes | None = None) -> str:
        """Send a request whose answer is wanted later; returns where it will be."""
        accepted = await self.client.ask(request or post(b"hello", LATER, path="/v2/models/m/infer"))
        assert accepted.status == 202, accepted
        location = accepted.header(b"location")
        assert location is not None
        return location.decode()

    async def look(self, location: str, method: str = "GET") -> Answer:
        return await self.client.ask(get(location, method=method), method=method)

    async def done(self, location: str) -> Answer:
        """Come back until it is done."""
        async with asyncio.timeout(5):
            while True:
                answer = await self.look(location)
                if answer.header(b"torpor-async") == b"done":
                    return answer
                await self.door.watched()


@contextlib.asynccontextmanager
async def scene(behave: Behave, **spec: int) -> AsyncIterator[Scene]:
    clock = FakeClock()
    async with (
        pod(behave) as made,
        doorway(clock=clock, deferring=LIMITS) as door,
        wire(door.port) as client,
    ):
        door.deploy("app", **({"concurrency": 1} | spec))
        yield Scene(door, clock, made, client)


def document_of(answer: Answer) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(answer.body)
    return said


async def test_a_request_is_taken_in_waits_runs_and_its_answer_is_there() -> None:
    """The client may close in between: the address of the answer is all it needs."""
    gate = asyncio.Event()

    async def slow(line: Line) -> None:
        while await line.request() is not None:
            await gate.wait()
            await line.send(b"HTTP/1.1 201 Created\r\nX-Model: m\r\nTransfer-Encoding: chunked\r\n\r\n")
            await line.send(b"2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n")

    async with scene(slow) as made:
        async with wire(made.door.port) as client:
            request = post(b"hello", "Prefer: respond-async, wait=5", "Authorization: Bearer x", path="/v1/x?y")
            accepted = await client.ask(request)
        assert (accepted.status, accepted.header(b"preference-applied")) == (202, b"respond-async")
        assert accepted.header(b"torpor-async") == b"waiting"
        assert accepted.header(b"retry-after") == b"1"
        location = (accepted.header(b"location") or b"").decode()
        assert location.startswith("/.torpor/requests/")
        made.door.stage = Stage("fetch", 42)
        made.clock.advance(7)
        waiting = await made.look(location)
        assert (waiting.status, waiting.header(b"torpor-async")) == (202, b"waiting")
        said = document_of(waiting)
        assert said == {
            "id": location.rpartition("/")[2],
            "state": "waiting",
            "stage": "fetch",
            "percent": 42,
            "seconds": 7.0,
        }
        made.wake()
        await until(lambda: made.pod.seen)
        running = await made.look(location)
        assert (running.status, running.header(b"torpor-async")) == (202, b"running")
        assert document_of(running)["stage"] == "answer"
        gate.set()
        for _ in range(2):  # it may be read again
            answer = await made.done(location)
            assert (answer.status, answer.body, answer.header(b"x-model")) == (201, b"hi!", b"m")
            assert answer.header(b"content-length") == b"3"
            assert answer.header(b"torpor-cold-start") is not None
        request_ = made.pod.request
        assert (request_.target, request_.body) == (b"/v1/x?y", b"hello")
        assert request_.header(b"prefer") == b"wait=5"


async def test_only_who_has_the_address_reads_the_answer() -> None:
    """Another service's host in another namespace does not lead there either."""
    async with scene(answering(OK)) as made:
        location = await made.defer()
        made.wake()
        await made.done(location)
        for wrong in (location[:-1], location + "x", "/.torpor/requests/", "/.torpor/", "/.torpor/else"):
            assert (await made.look(wrong)).status == 404
        assert (await made.look(location + "?x=y")).status == 200
        answer = await made.client.ask(get(location, host="nobody.default.example.test"))
        assert answer.status == 404


async def test_the_path_form_has_its_addresses_below_its_own() -> None:
    """Clients that cannot choose the host come back by the same way."""
    async with scene(answering(OK)) as made:
        request = get("/serving/default/app/x", LATER, host="localhost")
        accepted = await made.client.ask(request)
        location = (accepted.header(b"location") or b"").decode()
        assert location.startswith("/serving/default/app/.torpor/requests/")
        made.wake()
        await until(lambda: made.pod.seen)
        await made.door.watched()
        assert (await made.client.ask(get(location, host="localhost"))).body == b"ok"
        assert made.pod.request.target == b"/x"


async def test_paths_that_begin_with_a_dot_are_the_users() -> None:
    """Only one name is the door's."""
    async with scene(answering(OK)) as made:
        made.wake()
        for path in ("/.well-known/x", "/.torpor", "/.torporx/requests/1", "/x/.torpor/requests/1"):
            assert (await made.look(path)).body == b"ok"


async def test_a_request_is_cancelled() -> None:
    """In the queue it never reaches a pod; at the pod that one sees nobody who listens."""

    async def silent(line: Line) -> None:
        await line.request()
        await line.ended()

    async with scene(silent) as made:
        queued = await made.defer()
        assert made.door.throttler().queued == 1
        cancelled = await made.look(queued, "DELETE")
        assert (cancelled.status, cancelled.body) == (204, b"")
        assert made.door.throttler().queued == 0
        assert (await made.look(queued)).status == 404
        made.wake()
        running = await made.defer()
        await until(lambda: made.pod.seen)
        assert (await made.look(running, "POST")).status == 405
        assert (await made.look(running, "DELETE")).status == 204
        await until(lambda: made.pod.open == 0)
        assert made.door.throttler().in_flight == 0


async def test_a_request_that_fails_later_is_an_error_then() -> None:
    """With the status that it would have had."""

    async def dies(line: Line) -> None:
        await line.request()

    async with scene(dies) as made:
        location = await made.defer()
        made.wake()
        answer = await made.done(location)
        assert (answer.status, answer.reason) == (502, "UpstreamFailed")
        late = await made.defer(post(b"x", LATER, "Torpor-Deadline: 5"))
        made.door.scale("app")
        await made.done(late)


async def test_a_pod_that_dies_within_its_answer_is_an_error() -> None:
    """Half an answer is none."""

    async def dies(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhi")

    async with scene(dies) as made:
        location = await made.defer()
        made.wake()
        assert (await made.done(location)).status == 502


async def test_a_deadline_passes_without_anybody_there() -> None:
    """The request's own, and the revision's."""
    async with scene(answering(OK)) as made:
        location = await made.defer(post(b"x", LATER, "Torpor-Deadline: 50ms"))
        other = await made.defer(post(b"x", LATER))
        made.clock.advance(1)
        assert (await made.done(location)).status == 504
        made.clock.advance(300)
        assert (await made.done(other)).status == 504
        assert made.door.throttler().queued == 0


async def test_what_is_refused_at_once_is_refused_at_once() -> None:
    """There is nothing to come back for."""
    async with scene(answering(OK)) as made:
        made.door.throttler().set_failure("fetch: no such bucket", made.clock.monotonic())
        answer = await made.client.ask(post(b"x", LATER))
        assert (answer.status, answer.reason) == (503, "ModelLoadFailed")
        assert len(made.door.door.shelf) == 0
        unknown = await made.client.ask(get("/", LATER, host="nobody.example.test"))
        assert unknown.status == 404
        assert (await made.client.ask(post(b"x", LATER, "Torpor-Priority: no"))).status == 400


async def test_there_is_room_for_so_many() -> None:
    """Over that it is 503, also for what was done and not fetched; and room again when its time is over."""
    async with scene(answering(OK), concurrency=0) as made:
        made.wake()
        locations = [await made.defer() for _ in range(3)]
        for location in locations:
            await made.done(location)
        answer = await made.client.ask(post(b"x", LATER))
        assert (answer.status, answer.reason) == (503, "Unavailable")
        assert 599 <= int(answer.header(b"retry-after") or 0) <= 600
        assert "respond-async" in json.loads(answer.body)["error"]
        made.clock.advance(601)
        await made.door.watched()
        assert (await made.look(locations[0])).status == 404
        await made.defer()


@pytest.mark.parametrize(
    ("size", "status", "reason"),
    [
        pytest.param(20_000, 202, "", id="as much as one may"),
        pytest.param(20_001, 413, "TooLarge", id="more than one may"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_has_its_limit(size: int, status: int, reason: str, *, chunked: bool) -> None:
    """It is kept in memory until it is sent."""
    body = b"x" * size
    request = post(body, LATER)
    if chunked:
        request = get("/", LATER, "Transfer-Encoding: chunked", method="POST")
        request += b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9000], body[9000:])) + b"0\r\n\r\n"
    async with scene(answering(OK)) as made:
        answer = await made.client.ask(request)
        assert answer.status == status
        if reason:
            assert answer.reason == reason
            assert made.door.door.shelf.held == 0
        else:
            made.wake()
            await made.done((answer.header(b"location") or b"").decode())
            assert made.pod.request.body == body


async def test_all_bodies_have_one_limit_together() -> None:
    """Whoever brings too much is told; it takes nothing with it."""
    async with scene(answering(OK)) as made:
        await made.defer(post(b"x" * 20_000, LATER))
        answer = await made.client.ask(post(b"x" * 20_000, LATER))
        assert (answer.status, answer.reason) == (503, "Unavailable")
        assert made.door.door.shelf.held < 21_000
        assert made.door.throttler().queued == 1


@pytest.mark.parametrize("size", [10_001, 200_000])
async def test_an_answer_has_its_limit(size: int) -> None:
    """What cannot be kept is an error, and the pod is stopped in the middle."""
    async with scene(answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)) as made:
        location = await made.defer()
        made.wake()
        answer = await made.done(location)
        assert (answer.status, answer.reason) == (503, "Unavailable")
        assert "over the limit of 10000 bytes" in json.loads(answer.body)["error"]
        assert made.door.door.shelf.held < 1000
        await until(lambda: made.door.throttler().in_flight == 0)


async def test_a_body_that_does_not_come_is_given_up() -> None:
    """A client that leaves before all of its request is here has asked nothing."""
    async with scene(answering(OK)) as made:
        async with wire(made.door.port) as client:
            await client.send(post(b"x" * 5000, LATER)[:-1])
            await until(lambda: len(made.door.door.shelf) == 1)
        await until(lambda: len(made.door.door.shelf) == 0)
        assert made.door.throttler().queued == 0


async def test_a_client_that_waits_for_a_100_gets_it() -> None:
    """From the door, for there is no pod to ask; the pod is not asked for another."""
    async with scene(answering(OK)) as made:
        request = post(b"hello", LATER, "Expect: 100-continue")
        await made.client.send(request[:-5])
        assert (await made.client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await made.client.send(b"hello")
        accepted = await made.client.answer()
        assert accepted.status == 202
        made.wake()
        await made.done((accepted.header(b"location") or b"").decode())
        assert made.pod.request.header(b"expect") is None


async def test_requests_that_were_sent_ahead_are_answered_in_order() -> None:
    """202 for each, on the same connection."""
    async with scene(answering(OK)) as made:
        await made.client.send(post(b"a", LATER, path="/1") + post(b"b", LATER, path="/2"))
        accepted = [await made.client.answer() for _ in range(2)]
        assert [each.status for each in accepted] == [202, 202]
        made.wake()
        for each in accepted:
            await made.done((each.header(b"location") or b"").decode())
        assert [request.body for request in made.pod.seen] == [b"a", b"b"]


async def test_head_and_tunnels_are_answered_as_ever() -> None:
    """A preference is one that may be ignored."""
    async with scene(answering(OK.replace(b"ok", b""))) as made:
        made.wake()
        answer = await made.client.ask(get("/", LATER, method="HEAD"), method="HEAD")
        assert (answer.status, answer.header(b"preference-applied")) == (200, None)


async def test_head_looks_without_reading() -> None:
    """It is a way to ask whether it is done."""
    async with scene(answering(OK)) as made:
        location = await made.defer()
        assert (await made.look(location, "HEAD")).header(b"torpor-async") == b"waiting"
        made.wake()
        await made.done(location)
        looked = await made.look(location, "HEAD")
        assert (looked.status, looked.header(b"content-length"), looked.body) == (200, b"2", b"")


async def test_a_client_that_leaves_before_its_turn() -> None:
    """Its request was taken in behind another's, and is not tried: the place for its answer is free again."""
    async with scene(answering(OK)) as now:
        for _ in range(LIMITS.deferred_requests + 1):
            async with wire(now.door.port) as client:
                await client.send(get(), post(b"hello", LATER))
                await until(lambda: now.door.throttler().queued == 1)
            await until(lambda: now.door.throttler().queued == 0)
        assert len(now.door.door.shelf) == now.door.door.shelf.held == 0
        await now.defer()


async def test_a_pod_that_breaks_off_the_answer_before() -> None:
    """What came behind is not tried, and has no place any more."""

    async def half(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    async with scene(half) as now:
        await now.client.send(get(), post(b"hello", LATER))
        await until(lambda: now.door.throttler().queued == 1)
        now.wake()
        assert (await now.client.rest()).endswith(b"half")
        assert len(now.door.door.shelf) == now.door.door.shelf.held == 0


async def test_an_answer_that_is_the_last_before_one_that_is_deferred() -> None:
    """The first request's answer ends the connection; the other has no place any more."""

    async def closing(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with scene(closing) as now:
        await now.client.send(get(), post(b"hello", LATER))
        await until(lambda: now.door.throttler().queued == 1)
        now.door.door.draining = True  # so that no answer is followed by another
        now.wake()
        assert (await now.client.rest()).endswith(b"ok")
        assert len(now.door.door.shelf) == now.door.door.shelf.held == 0


async def test_what_a_pod_says_before_its_answer_is_not_kept() -> None:
    """Nobody listens to early hints, and they are no part of the answer."""

    async def hinting(line: Line) -> None:
        while await line.request() is not None:
            await line.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", OK)

    async with scene(hinting) as now:
        location = await now.defer()
        now.wake()
        answer = await now.done(location)
        assert (answer.status, answer.body) == (200, b"ok")


async def test_a_body_is_counted_once() -> None:
    """On the shelf, and not in the queue as well."""
    async with scene(answering(OK)) as now:
        await now.defer()
        assert now.door.throttler().queued == 1
        assert now.door.throttler().held == now.door.budget.held == 0
        assert now.door.door.shelf.held > 0

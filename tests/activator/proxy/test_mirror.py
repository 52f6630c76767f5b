"""Copies go to another revision, and the original knows nothing of them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from activator.export import DoorCollector
from activator.proxy import mirror
from activator.proxy.exchange import Exchange
from activator.settings import ClientLimits
from tests.activator.proxy.doorway import NAMESPACE, Doorway, doorway
from tests.activator.proxy.pods import OK, Behave, Line, Pod, answering, pod
from tests.activator.proxy.wire import get, post, wire
from tests.support.ports import free_ports
from tests.support.until import until
from torpor.errors import TorporError, UnavailableError

SHADOW = (NAMESPACE, "shadow")


@contextlib.asynccontextmanager
async def mirrored(
    shadow: Behave | None, *, how: str = "shadow=100", concurrency: int = 0, original: Behave | None = None
) -> AsyncIterator[tuple[Doorway, Pod, Pod | None]]:
    """A door with a service, and a revision `shadow` that gets copies; None: it has no pod."""
    async with contextlib.AsyncExitStack() as stack:
        app = await stack.enter_async_context(pod(original or answering(OK)))
        copied = None if shadow is None else await stack.enter_async_context(pod(shadow))
        door = await stack.enter_async_context(doorway())
        door.deploy("app", app.port)
        door.revise("shadow", concurrency=concurrency)
        door.scale("shadow", *([] if copied is None else [copied.port]))
        door.route("app", {"app": 100}, annotations={"torpor.dev/mirror": how})
        yield door, app, copied


def counts(door: Doorway) -> dict[str, int]:
    """How many copies ended how."""
    return {result: count for (revision, result), count in door.door.mirroring.counts.items() if revision == SHADOW}


def held(door: Doorway) -> tuple[int, int, int]:
    """What copies cost at the moment: bytes, slots, places in the queue."""
    throttler = door.throttler("shadow")
    return door.door.mirroring.held, throttler.in_flight, throttler.queued


async def ask(door: Doorway, *data: bytes) -> int:
    async with wire(door.port) as client:
        return (await client.ask(*data)).status


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        pytest.param(get("/v1/x?y=1", "X-Mine: 1"), b"", id="no body"),
        pytest.param(post(b"hello"), b"hello", id="known length"),
        pytest.param(
            get("/", "Transfer-Encoding: chunked", method="POST") + b"2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 7\r\n\r\n",
            b"hello",
            id="chunked, with a trailer",
        ),
        pytest.param(post(b"hello", "Expect: 100-continue"), b"hello", id="with Expect, which the copy has not"),
    ],
)
async def test_a_copy_is_the_request_once_more(raw: bytes, body: bytes) -> None:
    """With the same id, so that both are found in logs, and a mark that it is a copy."""
    async with mirrored(answering(OK)) as (door, app, shadow):
        assert shadow is not None
        async with wire(door.port) as client:
            assert (await client.ask(raw)).body == b"ok"
        await until(lambda: counts(door) == {"answered": 1})
        copy, original = shadow.request, app.request
        assert (copy.method, copy.target, copy.body) == (original.method, original.target, body)
        assert copy.trailers == original.trailers
        marks = [(b"torpor-mirrored", b"true")]
        assert sorted(copy.headers) == sorted(marks + [each for each in original.headers if each[0] != b"expect"])
        assert held(door) == (0, 0, 0)


async def test_the_share_is_exact() -> None:
    """A quarter is every fourth request; copies are not among the answers that clients got."""
    async with mirrored(answering(OK), how="shadow=25") as (door, app, shadow):
        assert shadow is not None
        async with wire(door.port) as client:
            for _ in range(40):
                await client.ask(get())
        await until(lambda: counts(door) == {"answered": 10})
        assert (len(app.seen), len(shadow.seen)) == (40, 10)
        assert sum(door.throttler("app").counters.codes) == 40
        assert sum(door.throttler("shadow").counters.codes) == 0
        registry = CollectorRegistry()
        registry.register(DoorCollector(door.door))
        shown = 'torpor_activator_mirrored_total{namespace="default",result="answered",revision="shadow"} 10.0'
        assert shown in generate_latest(registry).decode()


async def never(line: Line) -> None:
    await line.request()
    await line.ended()


async def test_a_mirror_that_never_answers_delays_nobody_and_costs_what_is_bounded() -> None:
    """A thousand originals are answered; of their copies so many are kept as may be, the others are counted."""
    async with mirrored(never, concurrency=1) as (door, app, shadow):
        assert shadow is not None
        async with wire(door.port) as client:
            for _ in range(1000):
                assert (await client.ask(post(b"x" * 1000))).status == 200
        assert len(app.seen) == 1000
        lane = door.door.mirroring._lanes[SHADOW]
        assert len(lane.copies) == mirror.COPIES
        assert counts(door) == {"no_room": 1000 - mirror.COPIES}
        assert held(door)[0] < mirror.COPIES * 2000
        await until(lambda: len(shadow.seen) == 1)
        assert held(door)[1:] == (1, 0)


async def test_bytes_are_bounded_over_all_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever comes first, the number or the bytes."""
    monkeypatch.setattr(mirror, "HELD_BYTES", 100_000)
    async with mirrored(never, concurrency=1) as (door, app, _):
        async with wire(door.port) as client:
            for _ in range(20):
                assert (await client.ask(post(b"x" * 10_000))).status == 200
        assert len(app.seen) == 20
        assert 80_000 < held(door)[0] <= 100_000
        assert counts(door)["no_room"] == 20 - len(door.door.mirroring._lanes[SHADOW].copies)


async def test_a_body_over_the_limit_is_not_copied() -> None:
    """The original has all of it; nothing of it is kept."""
    body = b"x" * (mirror.BODY_BYTES + 1)
    async with mirrored(answering(OK)) as (door, app, shadow):
        assert shadow is not None
        assert await ask(door, post(body)) == 200
        assert app.request.body == body
        assert counts(door) == {"too_large": 1}
        assert await ask(door, post(body[: mirror.BODY_BYTES // 2])) == 200
        await until(lambda: counts(door) == {"too_large": 1, "answered": 1})
        assert len(shadow.request.body) == mirror.BODY_BYTES // 2
        assert held(door) == (0, 0, 0)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        pytest.param(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "failed", id="an error"),
        pytest.param(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered", id="its own refusal"),
        pytest.param(b"nonsense\r\n\r\n", "failed", id="no HTTP"),
        pytest.param(OK.replace(b"ok", b"x" * 2), "answered", id="an answer"),
    ],
)
async def test_how_a_copy_ends_is_counted_and_does_not_matter(answer: bytes, result: str) -> None:
    """The original has its own pod's answer."""
    async with mirrored(answering(answer)) as (door, _, _):
        async with wire(door.port) as client:
            assert (await client.ask(get())).body == b"ok"
        await until(lambda: counts(door) == {result: 1})
        assert held(door) == (0, 0, 0)


async def test_a_mirror_that_refuses_connections_is_no_reason_to_try_again() -> None:
    """Nor to keep its pod from those who are waited for."""
    async with mirrored(None) as (door, _, _):
        door.scale("shadow", *free_ports(1))
        assert await ask(door, get()) == 200
        await until(lambda: counts(door) == {"failed": 1})
        assert held(door) == (0, 0, 0)
        assert door.throttler("shadow").counters.retries == 0
        assert not any(each.ejected for each in door.throttler("shadow").pods)


async def test_a_sleeping_mirror_is_left_asleep() -> None:
    """Nobody is poked."""
    async with mirrored(None) as (door, _, _):
        assert await ask(door, post(b"hello")) == 200
        assert counts(door) == {"asleep": 1}
        assert SHADOW not in door.poked
        assert held(door) == (0, 0, 0)


async def test_a_mirror_that_is_to_be_woken_is_woken_by_one_copy() -> None:
    """One waits in the queue as demand, the others beside it; all are sent when a pod comes."""
    async with mirrored(None, how="shadow=100; wake") as (door, _, _), pod(answering(OK)) as late:
        for _ in range(5):
            assert await ask(door, post(b"hello")) == 200
        assert SHADOW in door.poked
        assert held(door)[1:] == (0, 1)
        door.scale("shadow", late.port)
        await until(lambda: counts(door) == {"answered": 5})
        assert [each.body for each in late.seen] == [b"hello"] * 5
        assert held(door) == (0, 0, 0)


async def test_a_mirror_that_will_not_start_takes_all_its_copies_with_it() -> None:
    """What it says about its start is nothing to the original's client."""
    async with mirrored(None, how="shadow=100; wake") as (door, _, _):
        for _ in range(5):
            assert await ask(door, get()) == 200
        door.throttler("shadow").set_failure("out of memory", door.door.clock.monotonic())
        assert counts(door) == {"failed": 5}
        assert held(door) == (0, 0, 0)


async def test_who_is_waited_for_goes_first() -> None:
    """Of requests for the mirror's own revision none waits behind a copy that waits itself."""
    busy, seen = asyncio.Event(), []

    async def behave(line: Line) -> None:
        while (request := await line.request()) is not None:
            seen.append(request.header(b"torpor-mirrored"))
            if len(seen) == 1:
                await busy.wait()
            await line.send(OK)

    async with mirrored(behave, concurrency=1) as (door, _, _):
        door.route("shadow", {"shadow": 100})
        for _ in range(3):
            assert await ask(door, get()) == 200
        asked = asyncio.create_task(ask(door, get(host="shadow.default.example.test")))
        await until(lambda: door.throttler("shadow").queued == 1)
        busy.set()
        assert await asked == 200
        await until(lambda: counts(door) == {"answered": 3})
        assert seen == [b"true", None, b"true", b"true"]


async def test_an_original_that_is_broken_off_has_no_copy() -> None:
    """Half a request is none."""

    async def reads_its_head(line: Line) -> None:
        await line.head()
        await line.ended()

    async with mirrored(answering(OK), original=reads_its_head) as (door, _, shadow):
        assert shadow is not None
        async with wire(door.port) as client:
            await client.send(get("/", "Content-Length: 10", method="POST"), b"half")
            await until(lambda: held(door)[0] > 0)
        await until(lambda: counts(door) == {"incomplete": 1})
        assert (held(door), shadow.seen) == ((0, 0, 0), [])


async def test_what_leads_to_the_mirror_itself_is_not_copied() -> None:
    """A canary that is mirrored to as well gets each request once."""
    async with mirrored(answering(OK)) as (door, app, shadow):
        assert shadow is not None
        door.route("app", {"app": 50, "shadow": 50}, annotations={"torpor.dev/mirror": "shadow=100"})
        for _ in range(10):
            assert await ask(door, get()) == 200
        await until(lambda: counts(door) == {"answered": 5})
        marks = Counter(each.header(b"torpor-mirrored") for each in shadow.seen)
        assert (len(app.seen), marks) == (5, {b"true": 5, None: 5})


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("shadow", id="no share"),
        pytest.param("shadow=0", id="nothing"),
        pytest.param("shadow=101", id="more than all"),
        pytest.param("shadow=10; always", id="an unknown word"),
    ],
)
async def test_an_annotation_that_says_nothing_copies_nothing(how: str, caplog: pytest.LogCaptureFixture) -> None:
    """The route works, and the log says what is wrong."""
    async with mirrored(answering(OK), how=how) as (door, app, shadow):
        assert shadow is not None
        assert await ask(door, get()) == 200
        assert (len(app.seen), shadow.seen, counts(door)) == (1, [], {})
        assert "is not mirrored" in caplog.text


async def test_copies_do_not_outlive_the_door() -> None:
    """Who drains waits for clients alone."""
    async with mirrored(never) as (door, _, shadow):
        assert shadow is not None
        for _ in range(3):
            assert await ask(door, get()) == 200
        await until(lambda: len(shadow.seen) == 3)
        assert await door.server.drain(30) == 0
        assert counts(door) == {"failed": 3}
        assert held(door) == (0, 0, 0)


async def test_a_copy_that_waits_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured of it by then says nothing of the present."""
    monkeypatch.setattr(mirror, "WAIT_S", 0.0)
    async with mirrored(never, concurrency=1) as (door, _, shadow):
        assert shadow is not None
        for _ in range(3):
            assert await ask(door, get()) == 200
        await until(lambda: counts(door) == {"no_room": 2})
        await until(lambda: len(shadow.seen) == 1)


def test_the_limits_are_within_those_of_a_client() -> None:
    """One copy is never too large for all of them."""
    assert ClientLimits().head_bytes + mirror.BODY_BYTES < mirror.HELD_BYTES


def alive(door: Doorway) -> int:
    """How many copies are not done."""
    return sum(len(lane.copies) for lane in door.door.mirroring._lanes.values())


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(get("/second", "Content-Length: 10", method="POST") + b"half", id="half of it came"),
        pytest.param(get("/second"), id="all of it came"),
    ],
)
async def test_a_request_whose_turn_does_not_come_is_not_copied(behind: bytes) -> None:
    """Its client leaves while the one before it waits."""
    async with mirrored(answering(OK)) as (door, _, shadow):
        assert shadow is not None
        door.scale("app")
        async with wire(door.port) as client:
            await client.send(get("/first"), behind)
            await until(lambda: door.throttler("app").queued == 1 and counts(door).get("answered") == 1)
            assert alive(door) == 1
        await until(lambda: door.throttler("app").queued == 0)
        assert (alive(door), held(door)) == (0, (0, 0, 0))
        assert counts(door) == {"answered": 1, "incomplete": 1}
        assert [each.target for each in shadow.seen] == [b"/first"]


async def test_requests_after_the_last_are_not_copied() -> None:
    """Of those that are sent ahead so many are served as may be, and no others are sent anywhere."""
    async with (
        pod(answering(OK)) as app,
        pod(answering(OK)) as shadow,
        doorway(client=ClientLimits(pipelined=2)) as door,
    ):
        door.deploy("app")
        door.revise("shadow")
        door.scale("shadow", shadow.port)
        door.route("app", {"app": 100}, annotations={"torpor.dev/mirror": "shadow=100"})
        async with wire(door.port) as client:
            await client.send(*(get(f"/{number}") for number in range(20)))
            await until(lambda: counts(door).get("incomplete") == 17)
            door.scale("app", app.port)
            await client.rest()
        await until(lambda: counts(door) == {"incomplete": 17, "answered": 3})
        assert {each.target for each in shadow.seen} == {each.target for each in app.seen}
        assert len(app.seen) == 3


async def test_a_request_that_is_not_let_in_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller has too many in flight: it is refused when its turn has come, after it was read."""

    class Full:
        """Fits what a request asks of its `activator.access.grant.Grant`."""

        def enter(self) -> TorporError:
            return UnavailableError("too many at once")

    start = Exchange.start

    def refused(exchange: Exchange) -> None:
        exchange.grant = Full()  # type: ignore[assignment]
        start(exchange)

    async with mirrored(answering(OK)) as (door, app, shadow):
        assert shadow is not None
        monkeypatch.setattr(Exchange, "start", refused)
        assert await ask(door, get()) == 503
        assert counts(door) == {"incomplete": 1}
        assert not app.seen
        assert not shadow.seen
        assert held(door) == (0, 0, 0)


async def test_what_cannot_be_read_is_not_copied() -> None:
    """The request waits for its turn, to be refused; its copy is given up at once."""
    async with mirrored(answering(OK)) as (door, app, shadow):
        assert shadow is not None
        door.scale("app")
        async with wire(door.port) as client:
            await client.send(
                get("/first"), get("/", "Transfer-Encoding: chunked", method="POST") + b"2\r\nhe\r\nzz\r\n"
            )
            await until(lambda: counts(door) == {"answered": 1, "incomplete": 1})
            door.scale("app", app.port)
            assert (await client.answer()).status == 200
            assert (await client.answer()).status == 400
        assert len(shadow.seen) == 1


async def test_a_copy_of_who_asks_for_news_is_not_told_any() -> None:
    """It waits for its revision to wake as any other, and is served."""
    async with mirrored(None, how="shadow=100; wake") as (door, _, none):
        assert none is None
        async with pod(answering(OK)) as shadow:
            assert await ask(door, get("/", "Accept: text/event-stream")) == 200
            (copy,) = door.door.mirroring._lanes[SHADOW].copies
            copy.watch(copy.arrived_s + 60)
            door.scale("shadow", shadow.port)
            await until(lambda: counts(door) == {"answered": 1})
            assert len(shadow.seen) == 1


async def test_a_copy_belongs_to_the_session_of_its_original() -> None:
    """Requests of one session are copied to one pod."""
    async with contextlib.AsyncExitStack() as stack:
        door, _, first = await stack.enter_async_context(mirrored(answering(OK)))
        second = await stack.enter_async_context(pod(answering(OK)))
        assert first is not None
        door.revise("shadow", annotations={"torpor.dev/session-affinity": "header=X-Session"})
        door.scale("shadow", first.port, second.port)
        async with wire(door.port) as client:
            for _ in range(20):
                await client.ask(get("/", "X-Session: mine"))
        await until(lambda: counts(door) == {"answered": 20})
        assert {len(first.seen), len(second.seen)} == {0, 20}


async def test_when_no_copy_is_left_slots_are_not_offered_any_more() -> None:
    async with mirrored(answering(OK), concurrency=1) as (door, _, shadow):
        assert shadow is not None
        async with wire(door.port) as client:
            await client.send(*(get() for _ in range(10)))
            await until(lambda: counts(door) == {"answered": 10})
        await until(lambda: SHADOW not in door.door.mirroring._lanes)
        assert door.throttler("shadow").unwanted is None


async def test_a_body_in_small_chunks_costs_its_copy_what_its_bytes_do() -> None:
    """And not a multiple, while it comes."""
    async with mirrored(answering(OK)) as (door, _, _), wire(door.port) as client:
        await client.send(get("/", "Transfer-Encoding: chunked", method="POST"), b"2\r\nxx\r\n" * 1000)
        await until(lambda: door.door.mirroring.held > 2000)
        [copy] = door.door.mirroring._lanes[SHADOW].copies
        await until(lambda: len(copy._body) == 2000)
        assert sys.getsizeof(copy._body) < 4000
        await client.send(b"0\r\n\r\n")
        assert (await client.answer()).status == 200
        await until(lambda: counts(door) == {"answered": 1})

"""Over real sockets: who comes with the same name is served by the same pod."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator

import pytest

from tests.activator.proxy.doorway import Doorway, doorway
from tests.activator.proxy.pods import OK, Pod, answering, pod
from tests.activator.proxy.wire import Answer, get, wire
from tests.support.ports import free_ports
from tests.support.until import until

COOKIE = re.compile(rb"sid=([A-Za-z0-9_-]{16}); Path=/; HttpOnly; SameSite=Lax\Z")


@contextlib.asynccontextmanager
async def fleet(affinity: str, count: int = 4, answer: bytes = OK) -> AsyncIterator[tuple[Doorway, list[Pod]]]:
    """A service with so many pods."""
    async with contextlib.AsyncExitStack() as stack:
        door = await stack.enter_async_context(doorway())
        pods = [await stack.enter_async_context(pod(answering(answer))) for _ in range(count)]
        door.revise("app", annotations={"torpor.dev/session-affinity": affinity})
        door.route("app", {"app": 100})
        door.scale("app", *(each.port for each in pods))
        yield door, pods


async def ask(door: Doorway, *lines: str) -> Answer:
    """Ask on a connection of one's own."""
    async with wire(door.port) as client:
        return await client.ask(get("/", *lines))


def served(pods: list[Pod]) -> list[int]:
    """How many requests each pod had since the last time."""
    counts = [len(each.seen) for each in pods]
    for each in pods:
        each.seen.clear()
    return counts


async def test_a_header_names_a_session() -> None:
    """Ten clients with one name: one pod; with names of their own: several. No cookie is set."""
    async with fleet("header=X-Session-Id") as (door, pods):
        for _ in range(10):
            answer = await ask(door, "x-session-id: me")
            assert answer.header(b"set-cookie") is None
        assert sorted(served(pods)) == [0, 0, 0, 10]
        for number in range(40):
            await ask(door, f"X-Session-Id: {number}")
        assert all(served(pods))


async def test_who_has_no_cookie_is_given_one_and_is_at_home_from_then_on() -> None:
    """The pod that served the first request serves those that come with the cookie."""
    async with fleet("cookie=sid") as (door, pods):
        for _ in range(10):
            found = COOKIE.match((await ask(door, "Cookie: other=1")).header(b"set-cookie") or b"")
            assert found
            first = served(pods)
            for _ in range(3):
                again = await ask(door, f"Cookie: other=1; sid={found[1].decode()}")
                assert again.header(b"set-cookie") is None
            assert served(pods) == [3 * each for each in first]


async def test_a_cookie_that_came_over_tls_stays_there() -> None:
    """Here TLS has ended before us, and the proxy where it did says so; a stranger's word would not count."""
    async with fleet("cookie=sid", 1) as (door, _):
        cookie = (await ask(door, "X-Forwarded-Proto: https")).header(b"set-cookie")
        assert cookie is not None
        assert cookie.endswith(b"; SameSite=Lax; Secure")


async def test_the_pod_s_own_cookies_are_left_alone() -> None:
    """Ours is one more."""
    theirs = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: mine=1\r\n\r\n")
    async with fleet("cookie=sid", 1, theirs) as (door, _):
        cookies = [value for name, value in (await ask(door)).headers if name == b"set-cookie"]
        assert cookies[0] == b"mine=1"
        assert COOKIE.match(cookies[1])


async def test_a_client_that_waits_gets_its_cookie_once() -> None:
    """With the answer, and so when it is known that there is one."""
    async with fleet("cookie=sid", 0) as (door, _), wire(door.port) as client, pod(answering(OK)) as late:
        await client.send(get())
        await until(lambda: door.throttler().queued == 1)
        door.scale("app", late.port)
        assert COOKIE.match((await client.answer()).header(b"set-cookie") or b"")


async def test_sessions_of_a_pod_that_takes_no_connections_are_served_by_others() -> None:
    """Each request is sent once, and the dead pod is not tried with each of them."""
    async with fleet("header=X-Session-Id", 2) as (door, pods):
        (dead,) = free_ports(1)
        door.scale("app", dead, *(each.port for each in pods))
        for number in range(30):
            assert (await ask(door, f"X-Session-Id: {number}")).status == 200
        assert sum(served(pods)) == 30
        assert 1 <= door.throttler().counters.retries < 10


async def test_an_annotation_that_says_nothing_leaves_all_else_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    """The revision's concurrency holds."""
    async with fleet("X-Session-Id") as (door, _):
        door.revise("app", concurrency=3, annotations={"torpor.dev/session-affinity": "X-Session-Id"})
        assert "use header=NAME or cookie=NAME" in caplog.text
        assert door.throttler().terms.limits.concurrency == 3
        assert door.throttler().sessions is None
        assert (await ask(door)).header(b"set-cookie") is None

"""What the door does with a policy: whom the pod sees, what a refusal costs, and who needs no credential."""

from __future__ import annotations

import asyncio

import pytest

from tests.activator.access.gate import (
    BOB,
    ELSEWHERE,
    ENTRIES,
    GOOD,
    POLICY,
    UNKNOWN,
    WRONG,
    ask,
    bearer,
    entry,
    gate,
    scene,
)
from tests.activator.access.issuing import Idp
from tests.activator.grpc.doorway import call, channel
from tests.activator.grpc.pods import pod as call_pod
from tests.activator.proxy.pods import OK, Line
from tests.activator.proxy.wire import get, post, wire
from tests.support.until import until

LATER = "Prefer: respond-async"


@pytest.mark.parametrize(
    ("policy", "lines", "seen"),
    [
        pytest.param(POLICY, [bearer(GOOD)], {"torpor-caller": "key:alice"}, id="the-key-is-ours"),
        pytest.param(POLICY, [f"X-API-Key: {GOOD}"], {"torpor-caller": "key:alice"}, id="and-so-is-the-header"),
        pytest.param(
            POLICY,
            [f"X-API-Key: {GOOD}", "Authorization: Basic YTpi"],
            {"torpor-caller": "key:alice", "authorization": "Basic YTpi"},
            id="what-else-is-shown-is-the-pods",
        ),
        pytest.param(
            f"{POLICY}; forward",
            [bearer(GOOD)],
            {"torpor-caller": "key:alice", "authorization": f"Bearer {GOOD}"},
            id="forward",
        ),
        pytest.param(f"{POLICY}; anonymous=all", ["Torpor-Caller: key:root"], {}, id="nobody-says-himself-who-he-is"),
        pytest.param(
            f"{POLICY}; anonymous=all",
            [bearer("a-session-of-the-applications")],
            {"authorization": "Bearer a-session-of-the-applications"},
            id="what-is-no-key-is-the-pods-where-all-may-call",
        ),
        pytest.param("anonymous=all", [f"X-API-Key: {GOOD}"], {"x-api-key": GOOD}, id="no-keys-no-credentials"),
        pytest.param(None, ["Torpor-Caller: key:root"], {}, id="nor-without-a-policy"),
    ],
)
async def test_what_the_pod_sees(policy: str | None, lines: list[str], seen: dict[str, str]) -> None:
    """It is told who asks, and not by what that was proven."""
    async with scene(policy) as (made, behind):
        assert (await ask(made, get("/", *lines))).status == 200
        names = {b"torpor-caller", b"authorization", b"x-api-key"}
        assert {k.decode(): v.decode() for k, v in behind.request.headers if k in names} == seen


async def test_what_the_pod_of_a_call_sees() -> None:
    """Likewise by gRPC."""
    async with gate() as made, call_pod() as behind:
        made.keys(ENTRIES | {"bobb1234": entry(BOB, name="bob", priority="batch")})
        made.door.port_name = "h2c"
        made.door.revise("app")
        made.door.scale("app", behind.port)
        made.route("app", POLICY)
        async with channel(made.grpc_port) as client:
            await call(client, "Echo", metadata=[("x-api-key", GOOD), ("torpor-caller", "key:root")])
            urgent = [("authorization", f"Bearer {BOB}"), ("torpor-priority", "interactive")]
            await call(client, "Echo", metadata=urgent)
    (_, alice), (_, bob) = behind.seen
    assert (alice["torpor-caller"], alice.get("torpor-priority")) == ("key:alice", None)
    assert (bob["torpor-caller"], bob["torpor-priority"]) == ("key:bob", "batch")
    assert not {"x-api-key", "authorization"} & (alice.keys() | bob.keys())


async def test_the_subject_of_a_token_is_the_caller() -> None:
    """As a header can have it: what is no ASCII, or would end the line, is written as %XX."""
    idp = Idp()
    async with scene("jwt=idp") as (made, behind):
        made.issuer(idp.config())
        assert (await ask(made, get("/", bearer(idp.token(sub="bö b\r\nX: y"))))).status == 200
        assert behind.request.header(b"torpor-caller") == b"jwt:b%C3%B6%20b%0D%0AX:%20y"


async def test_a_tunnel() -> None:
    """A websocket with a key goes through."""

    async def switch(line: Line) -> None:
        await line.head()
        await line.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi")
        await line.ended()

    async with scene(behave=switch) as (made, _), wire(made.port) as client:
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13")
        await client.send(get("/", *upgrade, f"X-API-Key: {GOOD}"))
        assert b" 101 " in await client.until(b"hi")


@pytest.mark.parametrize("lines", [[], [bearer(WRONG)], [bearer(ELSEWHERE)]], ids=["none", "wrong", "not-here"])
async def test_who_is_turned_away_wakes_nobody(lines: list[str]) -> None:
    """No pod is started, no place in the queue taken, and nothing of the body kept, however it comes."""
    async with scene() as (made, _):
        made.door.scale("app")
        for more, body in (
            (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n"),
            (["Content-Length: 1000000"], b"x" * 60_000),
            (["Content-Length: 1000000", "Expect: 100-continue"], b""),
            (["Content-Length: 1000", LATER], b"x" * 500),
            (["Content-Length: 5", "Accept: text/event-stream"], b"hello"),
        ):
            async with wire(made.port) as client:
                await client.send(get("/v2/models/m/infer", *lines, *more, method="POST"), body)
                answer = await client.answer()
                assert answer.status in {401, 403}
                assert answer.interim == []  # a body that nobody wants is not asked for
                throttler = made.door.throttler()
                assert (throttler.queued, made.door.budget.held, len(made.door.door.shelf)) == (0, 0, 0)
        assert made.door.poked == []


async def test_pipelined_refusals_keep_nothing() -> None:
    """A refusal that waits for the answer before it drops its body too, and what comes after is served."""
    release = asyncio.Event()

    async def slow(line: Line) -> None:
        while await line.request() is not None:
            await release.wait()
            await line.send(OK)

    async with scene(behave=slow) as (made, behind), wire(made.port) as client:
        good = get("/", bearer(GOOD))
        await client.send(good, post(b"x" * 50_000), good)
        await until(lambda: len(behind.seen) == 1)
        assert made.door.budget.held == 0
        release.set()
        assert [(await client.answer()).status for _ in range(3)] == [200, 401, 200]


async def test_an_unknown_service_s_body_is_dropped_too() -> None:
    """Likewise what has no service at all, while it waits for its turn."""
    release = asyncio.Event()

    async def slow(line: Line) -> None:
        while await line.request() is not None:
            await release.wait()
            await line.send(OK)

    async with scene(None, behave=slow) as (made, behind), wire(made.port) as client:
        nobody = get("/", "Content-Length: 5", host="nobody.example.test", method="POST")
        await client.send(get(), nobody, b"hello", get())
        await until(lambda: len(behind.seen) == 1)
        release.set()
        assert [(await client.answer()).status for _ in range(3)] == [200, 404, 200]


async def test_a_refused_connection_goes_on() -> None:
    """A refusal ends no connection: the next request on it may have the right key."""
    async with scene() as (made, _), wire(made.port) as client:
        for _ in range(3):
            assert (await client.ask(post(b"hello"))).status == 401
            assert (await client.ask(get("/", bearer(GOOD)))).status == 200


async def test_wrong_and_unknown_look_alike() -> None:
    """Whether there is a key of an id cannot be told from the answer."""
    async with scene() as (made, _):
        answers = [await ask(made, get("/", bearer(key), "X-Request-Id: same")) for key in (WRONG, UNKNOWN, "tk_no")]
    headers = [[pair for pair in answer.headers if pair[0] != b"date"] for answer in answers]
    assert headers[0] == headers[1] == headers[2]
    assert answers[0].body == answers[1].body == answers[2].body


@pytest.mark.parametrize(
    ("words", "method", "path", "passes"),
    [
        pytest.param("health", "GET", "/v2/health/live", True, id="health"),
        pytest.param("health", "HEAD", "/v2/health/ready", True, id="health-by-head"),
        pytest.param("health", "GET", "/v2/health/ready?x=1", True, id="with-a-query"),
        pytest.param("health", "GET", "/v2/models/m/ready", True, id="a-models"),
        pytest.param("health", "GET", "/v1/models/m", True, id="v1"),
        pytest.param("health", "POST", "/v2/health/live", False, id="another-method"),
        pytest.param("health", "GET", "/v2/models/m", False, id="metadata-is-another-word"),
        pytest.param("metadata", "GET", "/v2/models/m/versions/1", True, id="metadata"),
        pytest.param("metadata", "GET", "/v2/health/live", False, id="which-has-no-health"),
        pytest.param("health,metadata", "GET", "/v2", True, id="both"),
        pytest.param("health", "POST", "/v2/models/m/infer", False, id="inference"),
        pytest.param("health", "GET", "/v1/models/m:predict", False, id="v1-inference"),
        pytest.param("health", "GET", "/v1/models/..", False, id="up"),
        pytest.param("health", "GET", "/v2/models/../ready", False, id="up-in-the-middle"),
        pytest.param("health", "GET", "/v1/models/a%2F..%2F..%2Fsecret", False, id="up-in-disguise"),
        pytest.param("health", "GET", "/v2/health/live/../../models/m/infer", False, id="beyond"),
        pytest.param("health", "GET", "//v2/health/live", False, id="two-slashes"),
        pytest.param("health", "GET", "/v2/health/live/", False, id="a-slash-at-the-end"),
        pytest.param("health", "GET", "/V2/health/live", False, id="capitals"),
        pytest.param("all", "DELETE", "/anything", True, id="all"),
    ],
)
async def test_anonymous(words: str, method: str, path: str, passes: bool) -> None:  # noqa: FBT001
    """Only what is meant, as it is written; a wrong key is told even there."""
    async with scene(f"{POLICY}; anonymous={words}") as (made, _):
        assert (await ask(made, get(path, method=method), method)).status == (200 if passes else 401)
        assert (await ask(made, get(path, bearer(WRONG), method=method), method)).status == 401
        by_path = get(f"/serving/default/app{path}", host="127.0.0.1", method=method)
        assert (await ask(made, by_path, method)).status == (200 if passes else 401)

"""Key sets from a real server on loopback: fetched, kept fresh, rotated, and given up when they are too old."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from activator.access import jwks
from activator.access.jwks import Fetcher
from activator.access.tokens import Issuer
from tests.activator.access.gate import ask, bearer, scene
from tests.activator.access.issuing import AUDIENCE, ISSUER, Idp, KeyServer, key_server
from tests.activator.proxy.wire import get
from tests.support.clock import FakeClock
from tests.support.until import until
from torpor.aio.backoff import Backoff
from torpor.errors import TorporError
from torpor.spec.issuers import IssuerSpec

KEY = ("default", "idp")
NOW_S = 1_800_000_000.0
QUICK = Backoff(first_s=0.01, limit_s=0.02)


class Followed:
    """An issuer whose keys are fetched."""

    def __init__(self, server: KeyServer, clock: FakeClock) -> None:
        self.server = server
        self.clock = clock
        self.told: list[str] = []
        self.fetcher = Fetcher(clock, lambda _, why: self.told.append(why), QUICK)
        self.issuer = Issuer(IssuerSpec(ISSUER, (AUDIENCE,), jwks_url=server.url))

    def passes(self, token: str) -> bool:
        try:
            self.issuer.verify(token.encode(), NOW_S)
        except TorporError:
            return False
        return True


@contextlib.asynccontextmanager
async def followed(idp: Idp) -> AsyncIterator[Followed]:
    async with key_server() as server:
        server.body = idp.jwks()
        made = Followed(server, FakeClock())
        made.fetcher.follow(KEY, made.issuer)
        try:
            await until(lambda: made.issuer.ready)
            yield made
        finally:
            await made.fetcher.close()


async def test_keys_are_fetched_before_anybody_asks() -> None:
    """When an issuer is made known; and then they are known."""
    idp = Idp()
    async with followed(idp) as made:
        assert made.passes(idp.token())
        assert made.told == [""]
        assert made.server.asked == 1


async def test_a_new_key_is_fetched_when_a_token_has_it() -> None:
    """Soon, and not again for tokens that are made up."""
    idp = Idp("old")
    async with followed(idp) as made:
        idp.add("new")
        made.server.body = idp.jwks()
        assert not made.passes(idp.token("new"))
        assert not made.fetcher.wanted(KEY)  # there was a look a moment ago
        made.clock.advance(jwks.AGAIN_S)
        assert made.fetcher.wanted(KEY)
        await until(lambda: made.passes(idp.token("new")))
        assert made.passes(idp.token("old"))
        for _ in range(50):
            made.fetcher.wanted(KEY)
        await asyncio.sleep(0)
        assert made.server.asked == 2


async def test_a_key_that_is_gone_is_gone() -> None:
    """With it the tokens that were found good."""
    idp = Idp("old", "new")
    async with followed(idp) as made:
        assert made.passes(idp.token("old"))
        kept = {kid: key for kid, key in idp.keys.items() if kid == "new"}
        old = idp.token("old")
        idp.keys = kept
        made.server.body = idp.jwks()
        made.clock.advance(jwks.AGAIN_S)
        made.fetcher.wanted(KEY)
        await until(lambda: not made.passes(old))
        assert made.passes(idp.token("new"))


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param({"status": 500}, id="500"),
        pytest.param({"status": 302, "headers": {"Location": "/elsewhere"}}, id="a-redirect"),
        pytest.param({"body": "<html>"}, id="no-json"),
        pytest.param({"body": '{"keys": []}'}, id="no-keys"),
        pytest.param({"body": json.dumps({"keys": ["x" * 300_000]})}, id="too-long"),
    ],
)
async def test_what_there_is_is_used_for_a_while(trouble: dict[str, object]) -> None:
    """While the issuer cannot be asked, its last keys are good; an hour after they were to be renewed they are not."""
    idp = Idp()
    async with followed(idp) as made:
        for name, value in trouble.items():
            setattr(made.server, name, value)
        made.clock.advance(jwks.FRESH_S + jwks.STALE_S - 1)
        asked = made.server.asked
        assert made.fetcher.wanted(KEY)
        await until(lambda: made.server.asked > asked + 1)  # again and again
        assert made.passes(idp.token())
        assert "cannot be fetched" in made.told[-1]
        made.clock.advance(2)
        await until(lambda: not made.passes(idp.token()))
        made.server.status, made.server.body, made.server.headers = 200, idp.jwks(), {}
        await until(lambda: made.passes(idp.token()))
        assert made.told[-1] == ""


@pytest.mark.parametrize(
    ("header", "fresh_s"),
    [(None, 300), ("max-age=120", 120), ("public, max-age=120, x", 120), ("max-age=1", 60), ("max-age=999999", 3600)],
)
async def test_how_long_a_set_is_fresh(header: str | None, fresh_s: float) -> None:
    """As its server says, within bounds."""
    async with key_server() as server:
        server.body = Idp().jwks()
        server.headers = {} if header is None else {"Cache-Control": header}
        made = Followed(server, FakeClock())
        try:
            assert (await made.fetcher._get(server.url))[1] == fresh_s
        finally:
            await made.fetcher.close()


async def test_through_the_door() -> None:
    """Tokens with keys that are being fetched are told to come back, and then they pass; strangers' never do."""
    clock = FakeClock()
    idp, stranger = Idp("one"), Idp("one")
    async with key_server() as server, scene("jwt=idp", clock=clock) as (made, behind):
        server.status = 503
        made.issuer(idp.config(jwks_url=server.url))
        await until(lambda: server.asked)
        early = await ask(made, get("/", bearer(idp.token())))
        assert (early.status, early.header(b"retry-after")) == (503, b"1")
        assert (await ask(made, get())).status == 401
        made.locks.look()
        await until(lambda: made.locks._sources.unreadable)
        made.locks.look()
        assert any("cannot be fetched from" in said for *_, said in made.events.said)
        server.status, server.body = 200, idp.jwks()

        async def status_of(token: str) -> int:
            return (await ask(made, get("/", bearer(token)))).status

        issuer = made.locks._sources.issuers[KEY]
        await until(lambda: issuer.ready)
        assert await status_of(idp.token()) == 200
        assert await status_of(stranger.token()) == 401
        assert await status_of(idp.token("unheard-of")) == 401  # there was a look a moment ago
        idp.add("two")
        server.body = idp.jwks()
        clock.advance(jwks.AGAIN_S)
        assert await status_of(idp.token("two")) == 503
        await until(lambda: (keys := issuer._keys) is not None and len(keys) == 2)
        assert await status_of(idp.token("two")) == 200
        made.issuer(None)
        assert await status_of(idp.token()) == 503
        assert len(behind.seen) == 2


async def test_two_issuers_of_one_service() -> None:
    """Each token is looked at by its own issuer; quotas are each subject's."""
    ours, theirs = Idp("one"), Idp("one")
    async with scene("jwt=ours,theirs", clock=FakeClock()) as (made, _):
        made.issuer(ours.config(rate="1/h"), "ours")
        made.issuer(theirs.config(issuer="https://their.example.test"), "theirs")

        async def status_of(token: str) -> int:
            return (await ask(made, get("/", bearer(token)))).status

        assert await status_of(theirs.token(iss="https://their.example.test")) == 200
        assert await status_of(theirs.token()) == 401
        assert [await status_of(ours.token(sub=sub)) for sub in ("a", "b", "a", "b", "c")] == [200, 200, 429, 429, 200]
        made.issuer(ours.config(rate="1/h", claims="tier=gold"), "ours")
        assert [await status_of(ours.token(sub="d", tier=tier)) for tier in ("gold", "lead")] == [200, 403]

"""Policies and what they name, as they come and go; and what people are told of them."""

from __future__ import annotations

import pytest

from tests.activator.access.gate import (
    ELSEWHERE,
    ENTRIES,
    GOOD,
    ID,
    POLICY,
    WRONG,
    bearer,
    entry,
    scene,
)
from tests.activator.access.issuing import Idp
from tests.activator.proxy.wire import get, wire
from tests.support.until import until


async def test_keys_come_and_go() -> None:
    """A Secret's change holds for the next request, on connections that there are too."""
    async with scene() as (made, _), wire(made.port) as client:
        for entries, status in (
            ({}, 401),
            (ENTRIES, 200),
            ({ID: entry(WRONG)}, 401),
            ({ID: entry(GOOD, services="other")}, 403),
            (ENTRIES, 200),
            (None, 503),  # the Secret is gone: nobody passes
            ({}, 401),
            (ENTRIES, 200),
        ):
            made.keys(entries)
            assert (await client.ask(get("/", bearer(GOOD)))).status == status
            assert (await client.ask(get())).status == 401


async def test_policies_come_and_go() -> None:
    """The Route's own policy counts, else its Namespace's; one that cannot be read lets nobody in."""
    async with scene(None) as (made, _), wire(made.port) as client:

        async def statuses() -> list[int]:
            return [(await client.ask(get("/", *lines))).status for lines in ((), (bearer(GOOD),))]

        assert await statuses() == [200, 200]
        made.namespace(POLICY)
        assert await statuses() == [401, 200]
        made.route("app", "anonymous=all")
        assert await statuses() == [200, 200]
        made.route("app", None)
        assert await statuses() == [401, 200]
        for broken in ("", "keys=", "keys=A_b", "key=keys", "rate=5/s", "keys=keys; rate=fast", "anonymous=some"):
            made.route("app", broken)
            assert await statuses() == [503, 503], broken
        made.route("app", "keys=nobody-made-this")
        assert await statuses() == [401, 503]
        made.route("app", None)
        made.namespace("keys=keys; nonsense")
        assert await statuses() == [503, 503]
        made.namespace(None)
        assert await statuses() == [200, 200]


async def test_tags_have_the_lock_of_their_route() -> None:
    """Also one that came later, and one that is known by its host already."""
    async with scene(None) as (made, behind), wire(made.port) as client:
        made.route("app", None, tags={"try": "app"})
        tagged = get("/", host="try-app.default.example.test")
        assert (await client.ask(tagged)).status == 200
        made.route("app", POLICY, tags={"try": "app", "new": "app"})
        for request in (tagged, get("/", "Knative-Serving-Tag: try"), get("/", host="new-app.default.example.test")):
            assert (await client.ask(request)).status == 401
        assert len(behind.seen) == 1


async def test_a_revision_with_two_routes_has_two_locks() -> None:
    """A lock is a name's, so each name needs one; a Namespace's is before all of them."""
    async with scene() as (made, behind), wire(made.port) as client:
        made.door.revise("other")
        made.door.scale("other", behind.port)
        made.route("other", None)
        other = get("/", host="other.default.example.test")
        assert (await client.ask(other)).status == 200
        made.namespace("keys=keys")
        assert (await client.ask(other)).status == 401
        assert (await client.ask(get("/", bearer(ELSEWHERE), host="other.default.example.test"))).status == 200


async def test_people_are_told() -> None:
    """What keeps callers out is an event of the Route and of what it is made for, told once, and so is its end."""
    async with scene(None) as (made, _):
        made.route("app", "keys=gone; jwt=idp", owner="app")
        made.locks.look()
        made.locks.look()
        kinds = [(type_, reason) for _, type_, reason, _ in made.events.said]
        assert kinds == [("Warning", "AccessPolicyUnusable")] * 2
        assert "Secret gone with its keys is not there" in made.events.said[0][3]
        assert "ConfigMap idp about an issuer: it is not there" in made.events.said[0][3]
        made.events.said.clear()
        made.keys({}, "gone")
        made.issuer({"issuer": "x"})
        made.locks.look()
        [(_, _, _, said), _] = made.events.said
        assert "data[audience]" in said
        made.events.said.clear()
        made.issuer(Idp().config())
        made.locks.look()
        assert [(type_, reason) for _, type_, reason, _ in made.events.said] == [("Normal", "AccessPolicyUsable")] * 2
        made.events.said.clear()
        made.keys({"abcd": "sha256:no"}, "gone")
        made.locks.look()
        assert "data[abcd]" in made.events.said[0][3]
        made.events.said.clear()
        made.route("app", "anonymous=health")
        made.locks.look()
        assert "say who may call" in made.events.said[0][3]
        made.unroute("app")
        assert not list(made.locks)


async def test_missing_is_told_when_it_has_been_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look is taken by a timer, so that a manifest may have its objects in any order."""
    monkeypatch.setattr("activator.access.locks.SETTLE_S", 0.02)
    async with scene("keys=gone") as (made, _):
        await until(lambda: made.events.said)
        assert "Secret gone" in made.events.said[0][3]

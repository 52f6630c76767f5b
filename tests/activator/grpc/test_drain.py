"""Leaving in order: clients are told, calls in flight are finished, nothing is lost."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from tests.activator.grpc.doorway import call, channel, grpc_doorway, served
from tests.activator.grpc.pods import pod
from tests.activator.grpc.raw import raw
from tests.support.until import until


async def _answer(awaitable: grpc.aio.UnaryUnaryCall) -> bytes:
    return await awaitable


async def test_drain() -> None:
    """The call in flight gets its whole answer, idle clients a goodbye, new ones no connection."""
    async with served() as (door, made, client), raw(door.server.ports[-1]) as idle:
        await idle.until(lambda: idle.settings)
        busy = asyncio.ensure_future(_answer(call(client, "Hold")))
        await until(lambda: made.now == 1)
        port = door.server.ports[-1]
        draining = asyncio.create_task(door.server.drain(5))
        await idle.until(lambda: False)
        assert idle.goaways[0] == (2**31 - 1, 0)
        assert idle.goaways[-1] == (0, 0)
        with pytest.raises(ConnectionRefusedError):
            async with raw(port):
                pass
        made.go_on.set()
        assert await busy == b"hello"
        assert await draining == 0


async def test_a_call_that_was_on_its_way() -> None:
    """Between the first goodbye and the last it is still taken; after that it is refused, to be sent again."""
    async with served() as (door, made, _), raw(door.server.ports[-1]) as client:
        holds = await client.ask("Hold", b"")
        await until(lambda: made.now == 1)
        (connection,) = [each for each in door.door.connections if each.streams]
        connection.drain()
        await client.until(lambda: client.goaways)
        taken = await client.ask("Echo", b"")
        assert (await client.answer(taken)).trailers["grpc-status"] == "0"
        await client.until(lambda: len(client.goaways) == 2)
        assert client.goaways[-1] == (taken, 0)
        refused = await client.answer(await client.ask("Echo", b""))
        assert refused.reset == 7
        made.go_on.set()
        assert (await client.answer(holds)).trailers["grpc-status"] == "0"
        await client.until(lambda: False)
        assert client.closed


async def test_calls_that_wait_are_served_if_a_pod_comes() -> None:
    """The queue is emptied, not dropped."""
    async with pod() as made, grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app")
        waits = asyncio.ensure_future(_answer(call(client, "Echo")))
        await until(lambda: door.throttler().queued == 1)
        draining = asyncio.create_task(door.server.drain(5))
        await door.watched()
        door.scale("app", made.port)
        assert await waits == b"hello"
        assert await draining == 0


async def test_no_call_is_lost_while_one_door_leaves_and_another_is_there() -> None:
    """An official client that calls all the time goes from one to the other without an error."""
    async with pod() as made, grpc_doorway() as (old, port), grpc_doorway() as (new, other):
        for door in (old, new):
            door.deploy("app", made.port)
        done = 0
        options = [("grpc.default_authority", "app.default.example.test"), ("grpc.use_local_subchannel_pool", 1)]
        target = f"ipv4:127.0.0.1:{port},127.0.0.1:{other}"
        async with grpc.aio.insecure_channel(target, options=options) as client:

            async def ask() -> None:
                nonlocal done
                for _ in range(200):
                    assert await call(client, "Echo") == b"hello"
                    done += 1

            asking = [asyncio.create_task(ask()) for _ in range(4)]
            await until(lambda: done > 100)
            assert await old.server.drain(10) == 0
            await asyncio.gather(*asking)
        assert len(made.seen) == 800

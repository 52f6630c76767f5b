"""What nobody sees of a key, and what a policy costs where there is none."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import sys

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from activator.export import DoorCollector
from activator.settings import ClientLimits
from tests.activator.access.gate import (
    ELSEWHERE,
    ENTRIES,
    EXPIRED,
    GOOD,
    POLICY,
    SECRETS,
    UNKNOWN,
    WRONG,
    Gate,
    ask,
    bearer,
    entry,
    gate,
    scene,
)
from tests.activator.access.issuing import Idp
from tests.activator.grpc.doorway import call, channel, code_of
from tests.activator.proxy.wire import get, wire


async def test_keys_are_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Neither in logs, nor in events, errors, metrics, nor in what is kept of the service."""
    caplog.set_level(logging.DEBUG)
    idp = Idp()
    tokens = [idp.token(), idp.token(exp=1), idp.unsigned(), idp.confused(), idp.token(aud="x"), idp.token(kid="new")]
    shown = [GOOD, WRONG, UNKNOWN, ELSEWHERE, EXPIRED, *tokens]
    said: list[bytes] = []
    async with scene(f"{POLICY}; jwt=idp; rate=1000/s") as (made, behind):
        made.issuer(idp.config())
        # An owner who put the keys themselves into the Secret, by name and by value.
        made.keys(ENTRIES | {GOOD: entry(GOOD), "oops": WRONG, "oops2": f"sha256:{'0' * 64}; name={UNKNOWN}"})
        made.locks.look()
        for credential in shown:
            for line in (bearer(credential), f"X-API-Key: {credential}", f"Authorization: {credential}"):
                answer = await ask(made, get("/", line))
                said += [answer.body, *(value for _, value in answer.headers)]
            async with wire(made.port) as client:
                await client.send(get("/", bearer(credential)).replace(b"\r\n\r\n", b"\r\nbad header\r\n\r\n"))
                said.append(await client.rest())
        async with channel(made.grpc_port) as client:
            for credential in shown:
                metadata = [("authorization", f"Bearer {credential}")]
                code, details = await code_of(call(client, "Echo", metadata=metadata))
                said.append(f"{code} {details}".encode())
        registry = CollectorRegistry()
        registry.register(DoorCollector(made.door.door))
        metrics = generate_latest(registry)
        assert b'torpor_activator_access_total{namespace="default",result="unauthorized",route="app"}' in metrics
        pods_saw = b"".join(bytes(line.raw) for line in behind.lines)
        everything = [*said, metrics, pods_saw, json.dumps(made.events.said).encode(), caplog.text.encode()]
    assert made.events.said
    signatures = filter(None, (token.rpartition(".")[2] for token in tokens))
    secrets = [each.encode() for each in (*SECRETS, *signatures)]
    for text in everything:
        assert not [secret for secret in secrets if secret in text]


async def test_a_refusal_does_less_than_an_answer() -> None:
    """Counted, not timed: it makes no exchange with a pod, allocates less, and calls fewer functions."""

    async def calls(made: Gate, request: bytes) -> int:
        count = 0

        def note(_frame: object, event: str, _arg: object) -> None:
            nonlocal count
            count += event in {"call", "c_call"}

        async with wire(made.port) as client:
            await client.ask(request, method="HEAD")  # the connection, and what is remembered
            gc.collect()
            sys.setprofile(note)
            try:
                for _ in range(20):
                    client.writer.write(request)
                    await client.reader.readuntil(b"\r\n\r\n")
                    await asyncio.sleep(0)
            finally:
                sys.setprofile(None)
        return count

    async with scene() as (made, _):
        served = await calls(made, get("/", bearer(GOOD), method="HEAD"))
        for lines in ([], [bearer(WRONG)], [bearer("nonsense")]):
            assert await calls(made, get("/", *lines, method="HEAD")) < served


async def test_a_door_without_policies_asks_nobody() -> None:
    """Where there is no policy there is no guard: one test for None is all that a request pays."""
    async with scene(None) as (made, _):
        assert (await ask(made, get("/", bearer(WRONG)))).status == 200
        assert not list(made.locks)
        assert all(each.guard is None for each in made.door.door.router.table.by_host.values())


async def test_limits_hold_a_bounded_number_of_connections() -> None:
    """A refused client that goes on sending is cut off as any other."""
    async with gate(ClientLimits(linger_bytes=1000, linger_s=0.2)) as made:
        made.keys({})
        made.door.revise("app")
        made.route("app", POLICY)
        async with wire(made.port) as client:
            await client.send(get("/", "Content-Length: 100000", method="POST"), b"x" * 100)
            assert (await client.answer()).status == 401
            with contextlib.suppress(ConnectionError):
                await client.send(b"x" * 50_000)
            assert await client.ends()

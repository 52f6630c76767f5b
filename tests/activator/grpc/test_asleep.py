"""Calls that only ask how a model is are answered without waking it, where its owner wants that."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2

from activator.grpc import asleep
from tests.activator.grpc.doorway import channel, grpc_doorway
from tests.activator.grpc.raw import raw
from tests.support.until import until
from torpor.protocol.grpc.messages import METHODS
from torpor.spec import names
from torpor.spec.waiting import NOTHING_ASLEEP, Asleep

CHECK = asleep.CHECK.decode()
HEALTH = {names.ANSWER_WHILE_ASLEEP: "health"}
NOBODY_WAITS = (0, 0)


async def test_health_of_a_sleeping_service() -> None:
    """By the official messages: it does not serve, and is not woken."""
    async with grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app")
        door.revise("app", annotations=HEALTH)
        check = client.unary_unary(
            CHECK,
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        call = check(health_pb2.HealthCheckRequest(service="any"))
        assert (await call).status == health_pb2.HealthCheckResponse.NOT_SERVING
        said = dict(await call.initial_metadata())
        assert said["torpor-state"] == "asleep"
        assert said["x-request-id"]
        assert (door.throttler().queued, door.poked) == (0, [])


@pytest.mark.parametrize(
    ("method", "field", "value"),
    [("ServerLive", "live", True), ("ServerReady", "ready", False), ("ModelReady", "ready", False)],
)
async def test_the_inference_protocol_asks_the_same(method: str, field: str, value: bool) -> None:  # noqa: FBT001  # a row
    """Alive, and not ready, as `/v2/health/live` and `/v2/health/ready` say."""
    async with grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app")
        door.revise("app", annotations=HEALTH)
        call = client.unary_unary(f"/inference.GRPCInferenceService/{method}")(b"")
        assert getattr(METHODS[method].response.FromString(await call), field) is value
        assert door.poked == []


async def test_a_service_that_is_being_woken_says_so() -> None:
    """Others wait for it already."""
    async with grpc_doorway() as (door, port), raw(port) as client:
        door.deploy("app")
        door.revise("app", annotations=HEALTH)
        await client.ask("Echo", b"")
        await until(lambda: door.throttler().queued == 1)
        fields = (("content-type", "application/grpc"), ("te", "trailers"))
        answer = await client.answer(await client.open(*fields, target=CHECK, end=True))
        assert (answer.headers["torpor-state"], answer.trailers["grpc-status"]) == ("waking", "0")


async def test_without_the_annotation_a_check_wakes() -> None:
    """As any other call."""
    async with grpc_doorway() as (door, port), channel(port) as client:
        door.deploy("app")
        call = client.unary_unary(CHECK)(b"")
        asking = asyncio.ensure_future(call.code())
        await until(lambda: door.throttler().queued == 1)
        assert door.poked == [("default", "app")]
        call.cancel()
        assert await asking is grpc.StatusCode.CANCELLED


@pytest.mark.parametrize(
    ("asked", "path", "agent", "says"),
    [
        pytest.param(Asleep(health=True), asleep.CHECK, b"grpc-python/1", asleep.NOT_SERVING, id="a check"),
        pytest.param(NOTHING_ASLEEP, asleep.CHECK, b"grpc-python/1", None, id="nobody wants that"),
        pytest.param(NOTHING_ASLEEP, asleep.CHECK, b"kube-probe/1.33 grpc-go/1.7", asleep.SERVING, id="Kubernetes"),
        pytest.param(Asleep(health=True), b"/grpc.health.v1.Health/Watch", b"", None, id="a stream"),
        pytest.param(NOTHING_ASLEEP, b"/a.B/C", b"kube-probe/1.33", None, id="a probe of something else"),
        pytest.param(Asleep(metadata=True), asleep.CHECK, b"", None, id="metadata alone"),
    ],
)
def test_who_is_answered(asked: Asleep, path: bytes, agent: bytes, says: bytes | None) -> None:
    """What nobody has asked for wakes the model."""
    assert asleep.answer(asked, path, agent) == says

"""Streams: what becomes of them when their model fails, their client leaves, or their server ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from predictor.loading.held import Held
from tests.predictor.endpoints.pod import Gate, Pod, running
from tests.predictor.endpoints.test_generate import Speller
from tests.predictor.grpc.calls import channel, message, stream, text
from tests.support.triton import sync as triton
from tests.support.until import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_bytes_that_are_no_message_are_an_error_like_any_other(pod: Pod) -> None:
    """The stream goes on."""
    async with channel(pod.port) as client:
        told = [each async for each in stream(client, b"\xff\xff", message(id="2"))]
    assert told[0].error_message.startswith("message: '2 bytes' is not allowed")
    assert (told[1].error_message, told[1].infer_response.id) == ("", "2")


async def test_a_model_that_crashes_is_told_of_in_the_log(pod: Pod, caplog: pytest.LogCaptureFixture) -> None:
    """The client hears of a log, and there is something in it."""

    def crash() -> None:
        raise RuntimeError("a secret")

    pod.model.before = crash
    async with channel(pod.port) as client:
        (told,) = [each async for each in stream(client, message(id="9"))]
    assert (told.error_message, told.infer_response.id) == (
        "internal error; the log of the service says more",
        "9",
    )
    assert [str(each.exc_info[1]) for each in caplog.records if each.exc_info] == ["a secret"]
    assert pod.counters.codes["grpc", 5] == 1


async def test_a_client_that_reads_no_further_and_leaves(pod: Pod) -> None:
    """The model is closed in the middle, and nothing of the call is left."""
    model = Speller()
    pod.served.hold(Held(model))
    async with channel(pod.port) as client:
        call = stream(client, text(b"a" * 60_000))
        assert (await call.read()).infer_response.outputs[0].name == "text_output"
        call.cancel()
        await until(lambda: pod.counters.in_flight == 0)
    assert await asyncio.to_thread(model.closed.wait, 10)
    assert model.made < 60_000
    assert pod.counters.codes["grpc", 4] == 1


async def watched(client: grpc.aio.Channel) -> Any:
    call = health_pb2_grpc.HealthStub(client).Watch(health_pb2.HealthCheckRequest())
    assert (await call.read()).status == health_pb2.HealthCheckResponse.SERVING
    return call


async def watched_in_vain(client: grpc.aio.Channel) -> Any:
    call = health_pb2_grpc.HealthStub(client).Watch(health_pb2.HealthCheckRequest(service="x"))
    assert (await call.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    return call


async def inferring(client: grpc.aio.Channel) -> Any:
    call = stream(client)
    await call.write(message().SerializeToString())
    assert (await call.read()).error_message == ""
    return call


async def reflecting(client: grpc.aio.Channel) -> Any:
    call = reflection_pb2_grpc.ServerReflectionStub(client).ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    names = {each.name for each in (await call.read()).list_services_response.service}
    assert names == {
        "inference.GRPCInferenceService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol="inference.GRPCInferenceService"))
    assert (await call.read()).file_descriptor_response.file_descriptor_proto
    return call


@pytest.mark.parametrize(
    ("begun", "code", "last"),
    [
        pytest.param(watched, "OK", health_pb2.HealthCheckResponse.NOT_SERVING, id="a watch of health"),
        pytest.param(watched_in_vain, "OK", None, id="a watch of what is not there"),
        pytest.param(inferring, "UNAVAILABLE", None, id="inference between two requests"),
        pytest.param(reflecting, "UNAVAILABLE", None, id="reflection between two requests"),
    ],
)
async def test_a_stream_that_asks_nothing_does_not_hold_up_the_end(
    begun: Callable[[grpc.aio.Channel], Awaitable[Any]], code: str, last: int | None
) -> None:
    """It ends at once, not when the grace is over; a watch says last that nobody is served."""
    async with running() as pod, channel(pod.port) as client:
        call = await begun(client)
        pod.models.is_ending = True
        async with asyncio.timeout(2):  # the grace is 5 s
            await pod.end()
        if last is not None:
            assert (await call.read()).status == last
        assert (await call.code()).name == code
        assert ("this server is ending" in await call.details()) == (code == "UNAVAILABLE")


async def test_what_a_stream_has_asked_is_answered_at_the_end() -> None:
    """And what comes after it is not taken."""
    gate = Gate()
    async with running() as pod, channel(pod.port) as client:
        pod.model.before = gate
        call = stream(client)
        await call.write(message(id="1").SerializeToString())
        await gate.someone_waits()
        await call.write(message(id="2").SerializeToString())
        ending = asyncio.create_task(pod.end())
        await until(lambda: pod.beside.is_ending)
        gate.opened.set()
        assert (await call.read()).infer_response.id == "1"
        assert await call.code() == grpc.StatusCode.UNAVAILABLE
        await ending
        assert not gate.reached.acquire(blocking=False)


async def test_tritons_client_with_threads_streams(pod: Pod) -> None:
    """The one that most people have: answers come to its callback, in order, and as many as it asked for."""
    pod.served.hold(Held(Speller()))

    def asked() -> list[Any]:
        told: SimpleQueue[Any] = SimpleQueue()
        with triton.InferenceServerClient(f"127.0.0.1:{pod.port}") as client:
            assert client.is_model_ready("m")
            client.start_stream(lambda result, error: told.put(error or result))
            for word in (b"ab", b"c"):
                given = triton.InferInput("text_input", [1], "BYTES")
                given.set_data_from_numpy(np.array([word], object))
                client.async_stream_infer("m", [given], request_id=word.decode(), enable_empty_final_response=True)
            client.stop_stream()
        return [told.get_nowait().get_response() for _ in range(told.qsize())]

    told = await asyncio.to_thread(asked)
    assert [(each.id, each.parameters["triton_final_response"].bool_param) for each in told] == [
        ("ab", False),
        ("ab", False),
        ("ab", True),
        ("c", False),
        ("c", True),
    ]

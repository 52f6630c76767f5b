"""V2 over gRPC by Triton's own client, one test for each statement of the protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.utils import InferenceServerException

from predictor.loading.held import Held
from tests.predictor.endpoints.pod import Gate, Pod, running
from tests.predictor.endpoints.test_generate import Speller
from tests.support.triton import aio as triton
from tests.support.triton import service_pb2
from tests.support.until import until
from torpor.errors import LoadError

pytestmark = pytest.mark.asyncio(loop_scope="module")


def x(values: list[list[float]] | None = None) -> triton.InferInput:
    array = np.array(values or [[1, 2]], np.float64)
    found = triton.InferInput("x", array.shape, "FP64")
    found.set_data_from_numpy(array)
    return found


async def test_server_and_model_are_live_ready_and_described(client: Any, pod: Pod) -> None:
    """By every method that asks without computing."""
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("m")
    assert await client.is_model_ready("m", "1")
    server = await client.get_server_metadata()
    assert (server.name, "binary_tensor_data" in server.extensions) == ("torpor", True)
    model = await client.get_model_metadata("m", as_json=True)
    assert model["inputs"] == [{"name": "x", "datatype": "FP64", "shape": ["-1", "2"]}]
    assert (model["versions"], model["platform"]) == (["1"], "test_doubler")
    config = await client.get_model_config("m")
    assert (config.config.name, list(config.config.input[0].dims)) == ("m", [-1, 2])
    assert config.config.input[0].data_type == 12  # TYPE_FP64


async def test_a_model_that_made_room_is_back_for_a_request(client: Any, pod: Pod) -> None:
    """Until then it is ready for one, and describes itself."""
    await pod.served.make_room("n").closed()
    assert await client.is_server_ready()
    assert await client.is_model_ready("m")
    model = await client.get_model_metadata("m", as_json=True)
    assert (model["versions"], model["platform"]) == (["1"], "test_doubler")
    assert (await client.get_model_config("m")).config.name == "m"
    index = await client.get_model_repository_index(as_json=True)
    assert index["models"][0]["reason"] == "evicted to make room for n"
    assert (await client.infer("m", [x()])).as_numpy("double").tolist() == [[2, 4]]
    assert pod.served.state == "READY"


async def test_raw_in_raw_out(client: Any, pod: Pod) -> None:
    """All outputs, or those that are asked for, in that order; the id comes back."""
    result = await client.infer("m", [x([[1, 2], [3, 4]])], request_id="7")
    assert result.as_numpy("double").tolist() == [[2, 4], [6, 8]]
    assert result.as_numpy("negative").tolist() == [[-1, -2], [-3, -4]]
    assert (result.get_response().id, result.get_response().model_version) == ("7", "1")
    assert len(result.get_response().raw_output_contents) == 2
    result = await client.infer("m", [x()], outputs=[triton.InferRequestedOutput("negative")])
    assert [each.name for each in result.get_response().outputs] == ["negative"]


async def test_contents_in_contents_out(pod: Pod) -> None:
    """As KServe's client may send them: who sends no raw bytes gets none."""
    request = service_pb2.ModelInferRequest(model_name="m")
    request.inputs.add(name="x", datatype="FP64", shape=[1, 2]).contents.fp64_contents.extend([1, 2])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{pod.port}") as channel:
        response = await asked(channel, "ModelInfer", request, service_pb2.ModelInferResponse)
    assert list(response.outputs[0].contents.fp64_contents) == [2, 4]
    assert not response.raw_output_contents


async def test_the_best_classes(client: Any, pod: Pod) -> None:
    """Triton's classification extension."""
    outputs = [triton.InferRequestedOutput("double", class_count=1)]
    result = await client.infer("m", [x()], outputs=outputs)
    assert result.as_numpy("double").tolist() == [[b"4.000000:1"]]


async def test_statistics(client: Any, pod: Pod) -> None:
    """Of one model or of all, as over HTTP."""
    before = (await client.get_inference_statistics("m")).model_stats[0].inference_count
    await client.infer("m", [x([[1, 2], [3, 4]])])
    (found,) = (await client.get_inference_statistics()).model_stats
    assert found.inference_count == before + 2
    assert found.inference_stats.success.ns > 0
    assert pod.counters.codes["grpc", 2] == 1


async def test_the_repository(client: Any, pod: Pod) -> None:
    """Index, unload, load."""
    (entry,) = (await client.get_model_repository_index()).models
    assert (entry.name, entry.version, entry.state) == ("m", "1", "READY")
    await client.unload_model("m")
    assert not await client.is_model_ready("m")
    await client.load_model("m")
    assert await client.is_model_ready("m")


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        pytest.param(("get_model_metadata", "n"), "NOT_FOUND", "'n' is not here", id="another model"),
        pytest.param(("get_model_metadata", "m", "2"), "NOT_FOUND", "no version '2'", id="another version"),
        pytest.param(("infer", "n", [x()]), "NOT_FOUND", "'n' is not here", id="infer with another model"),
        pytest.param(("load_model", "m", None, "{}"), "UNIMPLEMENTED", "parameters.config", id="a configuration"),
        pytest.param(("unload_model", "n"), "NOT_FOUND", "'n' is not here", id="unload another model"),
    ],
)
async def test_what_is_wrong_is_told(client: Any, pod: Pod, call: tuple[Any, ...], code: str, says: str) -> None:
    """With gRPC's own codes."""
    name, *arguments = call
    keywords = {"config": arguments.pop()} if name == "load_model" else {}
    with pytest.raises(InferenceServerException) as raised:
        await getattr(client, name)(*[each for each in arguments if each is not None], **keywords)
    assert raised.value.status() == f"StatusCode.{code}"
    assert says in raised.value.message()


def request(**changes: Any) -> Any:
    entry = {"name": "x", "datatype": "FP64", "shape": [1, 2]} | changes.pop("input", {})
    found = service_pb2.ModelInferRequest(model_name="m", inputs=[entry])
    if "raw" in changes:
        found.raw_input_contents.extend(changes["raw"])
    for each in changes.get("outputs", ()):
        found.outputs.add(**each)
    return found


@pytest.mark.parametrize(
    ("asked_", "says"),
    [
        pytest.param(service_pb2.ModelInferRequest(model_name="m"), "inputs: [] is not allowed", id="no inputs"),
        pytest.param(request(raw=[bytes(15)]), "16 bytes, and there are 15", id="too few bytes"),
        pytest.param(request(raw=[bytes(16), b""]), "raw_input_contents: '2 entries'", id="raw for nobody"),
        pytest.param(
            request(input={"contents": {"fp64_contents": [1, 2]}}, raw=[bytes(16)]), "inputs[0].contents", id="both"
        ),
        pytest.param(
            request(input={"contents": {"fp32_contents": [1, 2]}}), "FP64 is sent in fp64_contents", id="another field"
        ),
        pytest.param(request(input={"contents": {"fp64_contents": [1]}}), "2 elements, and data has 1", id="too few"),
        pytest.param(request(input={"datatype": "FP16"}), "raw_input_contents", id="a datatype without contents"),
        pytest.param(request(input={"datatype": "FLOAT"}), "use one of BOOL", id="a datatype that is none"),
        pytest.param(request(input={"shape": [-1, 2]}, raw=[bytes(16)]), "shape: [-1, 2]", id="a negative length"),
        pytest.param(request(input={"shape": [2**31 - 1] * 3}, raw=[b""]), "2**63 or more", id="an overflow"),
        pytest.param(request(input={"shape": [1] * 40}, raw=[bytes(8)]), "at most 32", id="many dimensions"),
        pytest.param(request(input={"name": ""}, raw=[bytes(16)]), "inputs[0].name", id="no name"),
        pytest.param(
            request(input={"datatype": "INT8", "contents": {"int_contents": [1, 200]}}),
            "-128 to 127",
            id="out of range",
        ),
        pytest.param(request(raw=[bytes(16)], outputs=[{"name": "triple"}]), "use one of double", id="an output"),
        pytest.param(
            request(raw=[bytes(16)], outputs=[{"name": "double"}] * 2), "outputs[1].name", id="an output twice"
        ),
        pytest.param(
            request(
                raw=[bytes(16)], outputs=[{"name": "double", "parameters": {"classification": {"int64_param": -1}}}]
            ),
            "classification: -1",
            id="classes",
        ),
    ],
)
async def test_a_request_that_is_none_is_told(pod: Pod, asked_: Any, says: str) -> None:
    """INVALID_ARGUMENT, naming field, value and what is allowed."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{pod.port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await asked(channel, "ModelInfer", asked_, service_pb2.ModelInferResponse)
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert says in (raised.value.details() or "")


async def test_shared_memory_is_not_there(client: Any, pod: Pod) -> None:
    """Neither to register, nor to name (CVE-2025-23319)."""
    with pytest.raises(InferenceServerException, match="shared memory is not offered"):
        await client.get_system_shared_memory_status()
    given = x()
    given.set_shared_memory("region", 16)
    with pytest.raises(InferenceServerException, match="shared memory is not offered"):
        await client.infer("m", [given])


async def test_a_message_over_the_limit(client: Any, pod: Pod) -> None:
    """RESOURCE_EXHAUSTED, and the connection goes on."""
    with pytest.raises(InferenceServerException) as raised:
        await client.infer("m", [x([[1, 2]] * 10_000)])
    assert raised.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
    assert (await client.infer("m", [x()])).as_numpy("double").tolist() == [[2, 4]]


async def test_a_stream_answers_each_in_its_order(client: Any, pod: Pod) -> None:
    """What is wrong is an answer too, and the stream goes on."""

    async def requests() -> AsyncIterator[dict[str, Any]]:
        for number, name in enumerate(("m", "n", "m")):
            yield {"model_name": name, "inputs": [x([[number, 0]])], "request_id": str(number)}

    told = [each async for each in client.stream_infer(requests())]
    assert [error is None for _, error in told] == [True, False, True]
    assert "'n' is not here" in told[1][1].message()
    assert [result.as_numpy("double")[0, 0] for result, error in told if error is None] == [0, 4]


@pytest.mark.parametrize("wants_final", [True, False])
async def test_a_model_that_streams_gives_many_answers(pod: Pod, *, wants_final: bool) -> None:
    """Decoupled, as Triton has it; who asks is told which is the last."""
    pod.served.hold(Held(Speller()))
    asking = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b"\x03\0\0\0abc"])
    asking.inputs.add(name="text_input", datatype="BYTES", shape=[1])
    asking.parameters["triton_enable_empty_final_response"].bool_param = wants_final
    async with grpc.aio.insecure_channel(f"127.0.0.1:{pod.port}") as channel:
        call = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
        )
        told = [each.infer_response async for each in call(iter([asking]))]
    assert [each.raw_output_contents[0][4:] for each in told if each.raw_output_contents] == [b"a", b"b", b"c"]
    finals = [each.parameters["triton_final_response"].bool_param for each in told if each.parameters]
    assert finals == ([False, False, False, True] if wants_final else [])


async def test_health_follows_the_model(loading: Pod) -> None:
    """grpc.health.v1: of the server, and of the service; another is NOT_FOUND."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{loading.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "inference.GRPCInferenceService"):
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status == 2
        watched = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watched.read()).status == 2
        loading.loaded()
        assert (await watched.read()).status == 1
        watched.cancel()
        with pytest.raises(grpc.aio.AioRpcError, match="is not here"):
            await stub.Check(health_pb2.HealthCheckRequest(service="x"))


async def test_while_it_loads_and_when_it_failed(client: Any, loading: Pod) -> None:
    """UNAVAILABLE, with the reason."""
    assert not await client.is_server_ready()
    with pytest.raises(InferenceServerException, match="is loading") as raised:
        await client.infer("m", [x()])
    assert raised.value.status() == "StatusCode.UNAVAILABLE"
    loading.progress.failed(LoadError("fetch", "no such bucket"))
    with pytest.raises(InferenceServerException, match="no such bucket"):
        await client.get_model_metadata("m")


async def test_calls_in_flight_are_answered_at_the_end() -> None:
    """SIGTERM takes nobody's answer away, and nothing new comes in."""
    gate = Gate()
    async with triton_of(running()) as (pod, client):
        pod.model.before = gate
        flying = asyncio.create_task(client.infer("m", [x()]))
        await gate.someone_waits()
        ending = asyncio.create_task(pod.end())
        await until(lambda: pod.beside.is_ending)
        with pytest.raises(InferenceServerException):
            await client.infer("m", [x()])
        gate.opened.set()
        assert (await flying).as_numpy("double").tolist() == [[2, 4]]
        await ending


async def test_a_call_that_is_given_up_leaves_the_queue() -> None:
    """By its deadline, or by cancelling: what has not begun is not computed."""
    gate = Gate()
    async with triton_of(running(threads=1)) as (pod, client):
        pod.model.before = gate
        first = asyncio.create_task(client.infer("m", [x()]))
        await gate.someone_waits()
        with pytest.raises(InferenceServerException) as raised:
            await client.infer("m", [x()], client_timeout=0.2)
        assert raised.value.status() == "StatusCode.DEADLINE_EXCEEDED"
        await until(lambda: pod.counters.in_flight == 1)
        gate.opened.set()
        await first
        assert not gate.reached.acquire(blocking=False)


@contextlib.asynccontextmanager
async def triton_of(server: AbstractAsyncContextManager[Pod]) -> AsyncIterator[tuple[Pod, Any]]:
    async with server as pod, triton.InferenceServerClient(f"127.0.0.1:{pod.port}") as client:
        yield pod, client


async def asked(channel: grpc.aio.Channel, method: str, message: Any, kind: Any) -> Any:
    call = channel.unary_unary(
        f"/inference.GRPCInferenceService/{method}",
        request_serializer=type(message).SerializeToString,
        response_deserializer=kind.FromString,
    )
    return await call(message, timeout=20)

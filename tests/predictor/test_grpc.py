"""gRPC of the whole process: official clients on its two ports, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import orjson
import pytest

from tests.predictor.grpc.calls import channel, message, stream
from tests.predictor.process import Predictor, started
from tests.support.models import save_python_model
from tests.support.ports import free_ports
from tests.support.triton import sync as triton

pytestmark = pytest.mark.slow

DOUBLES = """
class Model:
    inputs = [("x", "FP64", [-1, 2])]
    outputs = [("y", "FP64", [-1, 2])]

    def infer(self, inputs):
        return {"y": inputs["x"] * 2}
"""


@pytest.fixture
async def predictor(tmp_path: Path) -> AsyncIterator[tuple[Predictor, int]]:
    """A process that is ready, and its port for gRPC alone."""
    model = save_python_model(tmp_path / "model", DOUBLES)
    (grpc_port,) = free_ports(1)
    async with started(tmp_path, f"file://{model}", TORPOR_PREDICTOR_GRPC_PORT=str(grpc_port)) as found:
        await found.get("/readyz")
        yield found, grpc_port


def doubled(port: int) -> list[Any]:
    """What Triton's client with threads is answered."""
    given = triton.InferInput("x", [1, 2], "FP64")
    given.set_data_from_numpy(np.array([[1.5, 2]]))
    with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        assert client.get_model_metadata("m").inputs[0].datatype == "FP64"
        answer: list[Any] = client.infer("m", [given], client_timeout=30).as_numpy("y").tolist()
        return answer


async def test_both_ports_answer_and_a_stream_does_not_hold_up_the_end(predictor: tuple[Predictor, int]) -> None:
    """SIGTERM ends the stream between two requests with UNAVAILABLE, and the process with 0 and no word of trouble."""
    process, grpc_port = predictor
    for port in (process.port, grpc_port):
        assert await asyncio.to_thread(doubled, port) == [[3, 4]]
    async with channel(process.port) as one, channel(grpc_port) as other:
        calls = [stream(each) for each in (one, other)]
        for call in calls:
            await call.write(message().SerializeToString())
            assert (await call.read()).error_message == ""
        status, log = await process.stop()
        assert [await call.code() for call in calls] == [grpc.StatusCode.UNAVAILABLE] * 2
    assert status == 0, log
    assert {orjson.loads(line)["level"] for line in log.splitlines()} == {"info"}


async def test_a_grpc_port_that_is_taken_ends_the_process(tmp_path: Path, predictor: tuple[Predictor, int]) -> None:
    """With the name of the setting."""
    model = save_python_model(tmp_path / "model", DOUBLES)
    async with started(tmp_path, f"file://{model}", TORPOR_PREDICTOR_GRPC_PORT=str(predictor[1])) as second:
        status, log = await second.ended()
    assert status == 1
    assert f"TORPOR_PREDICTOR_GRPC_PORT: {predictor[1]} is not allowed" in log


@pytest.mark.e2e  # importing the SDK alone takes five seconds
async def test_the_kserve_sdk(predictor: tuple[Predictor, int]) -> None:
    """Its client for gRPC, which sends contents where there are some and raw bytes where there are none."""
    from kserve import InferenceGRPCClient, InferInput, InferRequest

    process, _ = predictor
    async with InferenceGRPCClient(f"127.0.0.1:{process.port}") as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("m")
        given = InferInput("x", [1, 2], "FP64")
        given.set_data_from_numpy(np.array([[1.5, 2]]), binary_data=False)
        result = await client.infer(InferRequest("m", [given], request_id="seven"))
        assert (result.id, result.outputs[0].as_numpy().tolist()) == ("seven", [[3, 4]])

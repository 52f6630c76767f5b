"""Triton's own HTTP clients against the predictor: every call that they have and that applies."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import tritonclient.http as sync
import tritonclient.http.aio as aio
from tritonclient.utils import InferenceServerException

from predictor.loading.held import Held
from predictor.model import Signature, TensorSpec
from tests.predictor.endpoints.pod import Doubler, Pod
from torpor.protocol.tensors import DATATYPES, Tensor

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # The client's is_… methods give back no connection.
    pytest.mark.filterwarnings("ignore:.*Connection.__del__:pytest.PytestUnraisableExceptionWarning"),
]


@pytest_asyncio.fixture(loop_scope="module")
async def client(pod: Pod) -> AsyncIterator[aio.InferenceServerClient]:
    async with aio.InferenceServerClient(f"127.0.0.1:{pod.port}") as found:
        yield found
    gc.collect()  # what it has lost is found here, and not in another module's tests


class Echo(Doubler):
    """Gives back what it gets."""

    def infer(self, inputs: Any) -> Any:
        return [Tensor(f"{each.name}-back", each.array) for each in inputs]


def x(array: Any, *, binary: bool = True, name: str = "x", datatype: str = "FP64") -> aio.InferInput:
    found = aio.InferInput(name, array.shape, datatype)
    found.set_data_from_numpy(array, binary_data=binary)
    return found


ONE = np.array([[1.0, 2.0]])


async def test_all_that_asks_without_computing(client: Any, pod: Pod) -> None:
    """Live, ready, metadata, configuration, statistics, repository."""
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("m")
    assert await client.is_model_ready("m", "1")
    assert not await client.is_model_ready("n")
    assert (await client.get_server_metadata())["name"] == "torpor"
    assert (await client.get_model_metadata("m"))["inputs"] == [{"name": "x", "datatype": "FP64", "shape": [-1, 2]}]
    assert (await client.get_model_config("m"))["max_batch_size"] == 0
    assert (await client.get_inference_statistics("m"))["model_stats"][0]["name"] == "m"
    assert (await client.get_inference_statistics())["model_stats"][0]["name"] == "m"
    assert (await client.get_model_repository_index())[0]["state"] == "READY"
    await client.unload_model("m")
    assert not await client.is_model_ready("m")
    await client.load_model("m")
    assert await client.is_model_ready("m")


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
async def test_infer(client: Any, pod: Pod, *, binary_in: bool, binary_out: bool) -> None:
    """JSON and binary, each way."""
    outputs = [aio.InferRequestedOutput(name, binary_data=binary_out) for name in ("negative", "double")]
    result = await client.infer("m", [x(ONE, binary=binary_in)], outputs=outputs, request_id="7")
    assert (result.get_response()["id"], result.get_response()["model_version"]) == ("7", "1")
    assert result.as_numpy("double").tolist() == [[2, 4]]
    assert result.as_numpy("negative").tolist() == [[-1, -2]]
    everything = await client.infer("m", [x(ONE, binary=binary_in)])
    assert [each["name"] for each in everything.get_response()["outputs"]] == ["double", "negative"]


@pytest.mark.parametrize("datatype", DATATYPES)
async def test_every_datatype(client: Any, pod: Pod, datatype: str) -> None:
    """There and back in binary, an empty one too."""
    pod.served.hold(Held(Echo(signature=Signature("test_echo", (TensorSpec("x", datatype, (-1,)),), ()))))
    if datatype == "BYTES":
        array: Any = np.array([b"a", b"\xff\x00", b""], object)
    else:
        array = np.array([1, 0, 1]).astype(DATATYPES[datatype])
    result = await client.infer("m", [x(array, datatype=datatype)])
    assert result.as_numpy("x-back").tolist() == array.tolist()
    empty = await client.infer("m", [x(array[:0], datatype=datatype)])
    assert empty.get_response()["outputs"][0]["shape"] == [0]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
async def test_compressed_requests(client: Any, pod: Pod, algorithm: str) -> None:
    """By both algorithms that the client has."""
    result = await client.infer("m", [x(ONE)], request_compression_algorithm=algorithm)
    assert result.as_numpy("double").tolist() == [[2, 4]]


async def test_classes(client: Any, pod: Pod) -> None:
    """The client's class_count."""
    result = await client.infer("m", [x(ONE)], outputs=[aio.InferRequestedOutput("double", class_count=2)])
    assert result.as_numpy("double").tolist() == [[b"4.000000:1", b"2.000000:0"]]


async def test_parameters_reach_a_model_that_takes_them(client: Any, pod: Pod) -> None:
    """And are no error to one that does not."""
    result = await client.infer("m", [x(ONE)], parameters={"colour": "blue"})
    assert result.as_numpy("double").tolist() == [[2, 4]]


@pytest.mark.parametrize(
    ("ask", "status", "says"),
    [
        pytest.param(lambda c: c.get_model_metadata("n"), "404", "'n' is not here", id="another model"),
        pytest.param(lambda c: c.infer("m", [x(ONE)], model_version="9"), "404", "no version '9'", id="a version"),
        pytest.param(
            lambda c: c.infer("m", [x(ONE)], outputs=[aio.InferRequestedOutput("y")]),
            "400",
            "use one of",
            id="an output",
        ),
        pytest.param(lambda c: c.load_model("m", config="{}"), "501", "parameters.config", id="a configuration"),
        pytest.param(lambda c: c.get_log_settings(), "404", "nothing is served", id="what is not offered"),
    ],
)
async def test_errors_are_the_clients_own(
    client: Any, pod: Pod, ask: Callable[[Any], Any], status: str, says: str
) -> None:
    """With message and status."""
    with pytest.raises(InferenceServerException) as raised:
        await ask(client)
    assert says in raised.value.message()
    assert raised.value.status() in {status, None}


async def test_the_client_that_blocks(pod: Pod) -> None:
    """And its async_infer, which runs greenlets."""

    def ask() -> list[Any]:
        client = sync.InferenceServerClient(f"127.0.0.1:{pod.port}", concurrency=2)
        try:
            given = sync.InferInput("x", ONE.shape, "FP64")
            given.set_data_from_numpy(ONE)
            first = client.infer("m", [given])
            later = [client.async_infer("m", [given]) for _ in range(4)]
            return [
                first.as_numpy("double").tolist(),
                *(each.get_result().as_numpy("double").tolist() for each in later),
            ]
        finally:
            client.close()

    assert await asyncio.to_thread(ask) == [[[2, 4]]] * 5

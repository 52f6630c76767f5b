"""V2 over gRPC, what test_service leaves: datatypes, order, compression and parameters, by Triton's client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from predictor.loading.held import Held
from predictor.model import Signature, TensorSpec
from tests.predictor.endpoints.pod import Doubler, Pod
from tests.support.triton import aio as triton
from torpor.protocol.tensors import DATATYPES, Tensor

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Echo(Doubler):
    """Gives back what it gets, and what it is told beside."""

    def infer_with(self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]) -> Sequence[Tensor]:
        told = [Tensor(name, np.array([str(each)], object)) for name, each in sorted(parameters.items())]
        return [*(Tensor(f"{each.name}-back", each.array) for each in inputs), *told]

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        return self.infer_with(inputs, {})

    def predict_with(self, instances: Sequence[Any], parameters: Mapping[str, Any]) -> Sequence[Any]:
        raise AssertionError("nobody asks by V1")


def echoing(pod: Pod, *datatypes: str) -> None:
    specs = tuple(TensorSpec(f"x{index}", each, (-1,)) for index, each in enumerate(datatypes))
    pod.served.hold(Held(Echo(signature=Signature("test_echo", specs, ()))))


def tensor(array: Any, datatype: str, index: int = 0) -> triton.InferInput:
    found = triton.InferInput(f"x{index}", array.shape, datatype)
    found.set_data_from_numpy(array)
    return found


def sample(datatype: str) -> Any:
    if datatype == "BYTES":
        return np.array([b"a", b"\xff\x00", b""], object)
    return np.array([1, 0, 1]).astype(DATATYPES[datatype])


@pytest.mark.parametrize("datatype", DATATYPES)
async def test_every_datatype(client: Any, pod: Pod, datatype: str) -> None:
    """There and back, an empty one too."""
    echoing(pod, datatype)
    array = sample(datatype)
    for each in (array, array[:0]):
        result = await client.infer("m", [tensor(each, datatype)])
        assert result.as_numpy("x0-back").tolist() == each.tolist()
        assert result.get_response().outputs[0].datatype == datatype


async def test_raw_contents_are_in_the_order_of_the_inputs(client: Any, pod: Pod) -> None:
    """And those of the answer in that of its outputs, of whatever sizes."""
    datatypes = list(DATATYPES)
    echoing(pod, *datatypes)
    result = await client.infer("m", [tensor(sample(each), each, index) for index, each in enumerate(datatypes)])
    for index, each in enumerate(datatypes):
        assert result.as_numpy(f"x{index}-back").tolist() == sample(each).tolist()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
async def test_messages_may_be_compressed(client: Any, pod: Pod, algorithm: str) -> None:
    """By both algorithms that the client has."""
    echoing(pod, "FP32")
    array = np.ones(10_000, np.float32)
    result = await client.infer("m", [tensor(array, "FP32")], compression_algorithm=algorithm)
    assert result.as_numpy("x0-back").tolist() == array.tolist()


async def test_parameters_reach_a_model_that_takes_them(client: Any, pod: Pod) -> None:
    """Texts, whole numbers, fractions and truth values."""
    echoing(pod, "FP32")
    given = {"colour": "blue", "count": 3, "share": 0.5, "sure": True}
    result = await client.infer("m", [tensor(sample("FP32"), "FP32")], parameters=given)
    assert {name: result.as_numpy(name).tolist() for name in given} == {
        name: [str(each).encode()] for name, each in given.items()
    }


async def test_no_id_is_an_empty_one(client: Any, pod: Pod) -> None:
    """As protobuf has it."""
    echoing(pod, "FP32")
    response = (await client.infer("m", [tensor(sample("FP32"), "FP32")])).get_response()
    assert (response.id, response.model_name, response.model_version) == ("", "m", "1")

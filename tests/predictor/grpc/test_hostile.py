"""Clients that mean no good, or do not know better: each is told what was wrong, and the next is served."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from tests.predictor.endpoints.pod import LIMIT, Pod
from tests.predictor.grpc.calls import PATH, channel, infer, message

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "é" * (LIMIT // 5)
"""In metadata each of them takes six bytes; clients take 8 KiB, and fail at more."""
GZIP = {"compression": grpc.Compression.Gzip}


@pytest.mark.parametrize(
    ("asked", "options", "code", "says"),
    [
        pytest.param(b"\xff\xff\xff", {}, "INVALID_ARGUMENT", "message: '3 bytes'", id="no message"),
        pytest.param(b"\x3a\x7f", {}, "INVALID_ARGUMENT", "as protobuf has it", id="a message cut short"),
        pytest.param(b"", {}, "NOT_FOUND", "model '' is not here", id="nothing at all"),
        pytest.param(message(model_name=LONG), {}, "NOT_FOUND", "model 'éééé", id="a long name"),
        pytest.param(
            message(outputs=[{"name": LONG}]), {}, "INVALID_ARGUMENT", "outputs[0].name", id="a long output's name"
        ),
        pytest.param(message(bytes(LIMIT)), {}, "RESOURCE_EXHAUSTED", "larger than max", id="a large message"),
        pytest.param(message(bytes(90_000_000)), GZIP, "RESOURCE_EXHAUSTED", "larger than max", id="a bomb"),
    ],
)
async def test_what_cannot_be_asked(pod: Pod, asked: Any, options: Any, code: str, says: str) -> None:
    """And who asks properly on the same connection is answered."""
    async with channel(pod.port) as client:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await infer(client, asked, **options)
        assert raised.value.code().name == code
        assert says in raised.value.details()
        assert (await infer(client, message(id="7"), **GZIP)).id == "7"


async def test_an_answer_over_the_limit(pod: Pod) -> None:
    """What fits on the way in may not fit on the way out."""
    rows = LIMIT * 3 // 4 // 16
    asked = message(bytes(rows * 16))
    asked.inputs[0].shape[0] = rows  # and of each there are two outputs
    async with channel(pod.port) as client:
        with pytest.raises(grpc.aio.AioRpcError, match="Sent message larger than max") as raised:
            await infer(client, asked)
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_words_that_are_no_text_are_told_all_the_same(pod: Pod) -> None:
    """A model's error may hold halves of characters; these have no bytes."""

    def refuse() -> None:
        from torpor.errors import InvalidInputError

        raise InvalidInputError("x", 1, "\ud800 is no character")

    pod.model.before = refuse
    async with channel(pod.port) as client:
        with pytest.raises(grpc.aio.AioRpcError, match="is no character") as raised:
            await infer(client, message())
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("name", "says"),
    [
        pytest.param("TraceSetting", "the operator's", id="tracing"),
        pytest.param("LogSettings", "the operator's", id="logging"),
        pytest.param("SystemSharedMemoryRegister", "send the tensors", id="shared memory"),
        pytest.param("CudaSharedMemoryStatus", "send the tensors", id="shared memory of a GPU"),
        pytest.param("Anything", "Method not found", id="a method that nobody has"),
    ],
)
async def test_methods_that_are_not_offered(pod: Pod, name: str, says: str) -> None:
    """UNIMPLEMENTED, and why."""
    async with channel(pod.port) as client:
        with pytest.raises(grpc.aio.AioRpcError, match=says) as raised:
            await client.unary_unary(f"{PATH}{name}")(b"", timeout=20)
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED

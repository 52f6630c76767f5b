"""Triton's generate extension: flat JSON in and out, one answer or a stream."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pytest

from predictor.loading.held import Held
from predictor.model import Signature, TensorSpec
from tests.predictor.endpoints.pod import Doubler, Gate, Pod
from tests.support.until import until
from torpor.errors import InvalidInputError
from torpor.protocol.tensors import Tensor

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONCE, STREAM = "/v2/models/m/generate", "/v2/models/m/generate_stream"


SIGNATURE = Signature(
    "test_speller",
    (TensorSpec("text_input", "BYTES", (1,)), TensorSpec("times", "INT32", (1, -1))),
    (TensorSpec("text_output", "BYTES", (1,)),),
)


@dataclass(slots=True)
class Speller(Doubler):
    """Gives a text letter by letter; `fail_at` says at which it fails."""

    signature: Signature = SIGNATURE
    streams: bool = True
    closed: threading.Event = field(default_factory=threading.Event)
    made: int = 0

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        return (Tensor("text_output", np.array([_text(inputs).upper()], object)),)

    def stream(
        self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]
    ) -> Generator[Sequence[Tensor], None, None]:
        try:
            for index, letter in enumerate(_text(inputs)):
                self.before()
                if index == parameters.get("fail_at"):
                    raise InvalidInputError("parameters.fail_at", index, "the test wants it so")
                self.made += 1
                yield (Tensor("text_output", np.array([letter], object)),)
        finally:
            self.closed.set()


def _text(inputs: Sequence[Tensor]) -> str:
    (text,) = inputs[0].array.tolist()
    return text.decode() if isinstance(text, bytes) else str(text)


@pytest.fixture
def speller(pod: Pod) -> Speller:
    model = Speller()
    pod.served.hold(Held(model))
    return model


def events(text: str) -> list[Any]:
    return [orjson.loads(each.removeprefix("data: ")) for each in text.split("\n\n") if each]


async def test_one_answer(pod: Pod, speller: Speller) -> None:
    """Scalars become tensors, tensors of one element scalars; the id comes back."""
    answer = await pod.http.post(ONCE, json={"text_input": "ab", "id": "7", "whatever": 1})
    assert answer.json() == {"model_name": "m", "model_version": "1", "id": "7", "text_output": "AB"}


async def test_a_stream(pod: Pod, speller: Speller) -> None:
    """One event for each answer, as soon as there is one; the model's own `finally` runs."""
    answer = await pod.http.post(STREAM, json={"parameters": {"text_input": "abc"}})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [each["text_output"] for each in events(answer.text)] == ["a", "b", "c"]
    assert speller.closed.is_set()
    assert pod.served.statistics.success.count > 0


async def test_a_model_that_does_not_stream_gives_one_event(pod: Pod, speller: Speller) -> None:
    """So clients need not know which they talk to."""
    pod.served.hold(Held(Speller(streams=False)))
    answer = await pod.http.post(STREAM, json={"text_input": "abc"})
    assert [each["text_output"] for each in events(answer.text)] == ["ABC"]


async def test_an_error_before_the_first_event_is_a_status(pod: Pod, speller: Speller) -> None:
    """As anywhere; after it, an event says what happened."""
    answer = await pod.http.post(STREAM, json={"text_input": "abc", "fail_at": 0})
    assert (answer.status_code, answer.json()["reason"]) == (400, "InvalidInput")
    answer = await pod.http.post(STREAM, json={"text_input": "abc", "fail_at": 2})
    *told, last = events(answer.text)
    assert ([each["text_output"] for each in told], list(last)) == (["a", "b"], ["error"])
    assert "fail_at: 2" in last["error"]


async def test_a_client_that_leaves_ends_the_stream(pod: Pod, speller: Speller) -> None:
    """The model is not asked for what nobody reads."""
    gate = Gate()
    speller.before = gate
    _, writer = await pod.connect()
    body = orjson.dumps({"text_input": "a" * 1000})
    head = f"POST {STREAM} HTTP/1.1\r\nHost: m\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await gate.someone_waits()
    writer.close()
    await writer.wait_closed()
    gate.opened.set()
    assert await asyncio.to_thread(speller.closed.wait, 10)
    await until(lambda: pod.counters.in_flight == 0)
    assert speller.made < 1000


async def test_a_reader_that_does_not_read_holds_the_model_up(pod: Pod, speller: Speller) -> None:
    """A few steps and the buffers of the sockets are all that is made ahead."""
    _, writer = await pod.connect()
    body = orjson.dumps({"text_input": "a" * 90_000})
    head = f"POST {STREAM} HTTP/1.1\r\nHost: m\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(head.encode() + body)
    await until(lambda: speller.made > 16)
    writer.close()
    assert await asyncio.to_thread(speller.closed.wait, 10)
    await until(lambda: pod.counters.in_flight == 0)
    assert speller.made < 90_000


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param({}, "give the inputs of this model: text_input, times", id="no input"),
        pytest.param({"text_input": 7}, "text_input.data[0]: 7 is not allowed; BYTES takes texts", id="a number"),
        pytest.param({"text_input": "a", "times": [2**40]}, "times.data[0]", id="out of range"),
        pytest.param({"text_input": "a", "id": 7}, "id: 7", id="an id that is a number"),
        pytest.param({"text_input": "a", "parameters": 1}, "parameters: 1", id="parameters that are none"),
        pytest.param({"text_input": [["a"]]}, "text_input.data", id="lists in lists"),
    ],
)
@pytest.mark.parametrize("path", [ONCE, STREAM])
async def test_what_is_wrong_is_named(pod: Pod, speller: Speller, path: str, body: object, says: str) -> None:
    """In both forms alike."""
    answer = await pod.http.post(path, json=body)
    assert (answer.status_code, answer.json()["reason"]) == (400, "InvalidInput")
    assert says in answer.json()["error"]

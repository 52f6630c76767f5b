"""Each method of a model as a message: what the server asks, what the process computes, what the server makes of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, cast

from predictor.model import (
    Explains,
    HandlerAnswer,
    HandlerRequest,
    Handles,
    HandlesInParts,
    Model,
    Streams,
    TakesParameters,
)
from predictor.processes.messages import GarbledError, Message
from torpor.protocol.tensors import Tensor

PREDICT, EXPLAIN, INFER, HANDLE = "predict", "explain", "infer", "handle"
STREAM, PARTS = "stream", "parts"
DONE, ITEM, END, STOP = "done", "item", "end", "stop"
"""An answer; one of several, what comes after the last; that no more are wanted."""

_OCTETS = (bytes, bytearray, memoryview)


def predict(instances: Sequence[Any], parameters: Mapping[str, Any] | None = None) -> Message:
    return Message(PREDICT, {"instances": instances, "parameters": parameters})


def explain(instances: Sequence[Any]) -> Message:
    return Message(EXPLAIN, {"instances": instances})


def infer(inputs: Sequence[Tensor], parameters: Mapping[str, Any] | None = None) -> Message:
    return Message(INFER, {"parameters": parameters}, inputs)


def stream(inputs: Sequence[Tensor], parameters: Mapping[str, Any]) -> Message:
    return Message(STREAM, {"parameters": parameters}, inputs)


def handle(requests: Sequence[HandlerRequest], *, explain: bool, kind: str = HANDLE) -> Message:
    octets: list[bytes] = []
    told = []
    for each in requests:
        parts = []
        for name, part in each.parts.items():
            if isinstance(part, _OCTETS):
                parts.append((name, True, isinstance(part, bytearray)))
                octets.append(cast("bytes", part))
            else:
                parts.append((name, False, part))
        told.append({"parts": parts, "headers": dict(each.headers), "id": each.id})
    return Message(kind, {"requests": told, "explain": explain}, octets=octets)


def tensors(message: Message) -> Sequence[Tensor]:
    return message.tensors


def rows(message: Message) -> Sequence[Any]:
    """Return the JSON-like answers; raises GarbledError."""
    if not isinstance(message.value, list):
        raise GarbledError(f"{type(message.value).__name__} where there must be a list")
    return message.value


def handled(message: Message) -> Sequence[HandlerAnswer]:
    """Return whole answers; raises GarbledError."""
    answers = []
    if not isinstance(message.value, list) or len(message.value) != len(message.octets):
        raise GarbledError("answers without bodies")
    for said, body in zip(message.value, message.octets, strict=True):
        match said:
            case [str(media_type), int(status), list(headers)]:
                pairs = tuple([(str(name), str(value)) for name, value in headers])
                answers.append(HandlerAnswer(body, media_type, status, pairs))
            case _:
                raise GarbledError(f"no answer: {said}")
    return answers


def compute(model: Model, message: Message) -> Message:
    """Return the answer of the model that is here; raises what it raises."""
    return _COMPUTED[message.kind](model, message)


def steps(model: Model, message: Message) -> Generator[Message, None, None]:
    """Give one answer after the other, of kinds that have several."""
    if message.kind == STREAM:
        answers = cast("Streams", model).stream(message.tensors, message.value["parameters"])
        yield from _given(answers, lambda tensors: Message(ITEM, None, tensors))
        return
    (request,) = _requests(message)
    parts = cast("HandlesInParts", model).handle_in_parts(request, explain=message.value["explain"])
    yield from _given(parts, lambda part: _handled(ITEM, [part]))


def _given(answers: Generator[Any, None, None], told: Callable[[Any], Message]) -> Generator[Message, None, None]:
    try:
        for each in answers:
            yield told(each)
    finally:
        answers.close()


def _predict(model: Model, message: Message) -> Message:
    instances, parameters = message.value["instances"], message.value["parameters"]
    if parameters is None:
        return Message(DONE, model.predict(instances))
    return Message(DONE, cast("TakesParameters", model).predict_with(instances, parameters))


def _explain(model: Model, message: Message) -> Message:
    return Message(DONE, cast("Explains", model).explain(message.value["instances"]))


def _infer(model: Model, message: Message) -> Message:
    parameters = message.value["parameters"]
    if parameters is None:
        return Message(DONE, None, model.infer(message.tensors))
    return Message(DONE, None, cast("TakesParameters", model).infer_with(message.tensors, parameters))


def _handle(model: Model, message: Message) -> Message:
    explain = message.value["explain"]
    return _handled(DONE, cast("Handles", model).handle(_requests(message), explain=explain))


def _handled(kind: str, answers: Sequence[HandlerAnswer]) -> Message:
    said = [(each.media_type, each.status, each.headers) for each in answers]
    return Message(kind, said, octets=[each.body for each in answers])


def _requests(message: Message) -> list[HandlerRequest]:
    octets = iter(message.octets)
    found = []
    for each in message.value["requests"]:
        parts = {
            name: (bytearray(next(octets)) if value else next(octets)) if is_octets else value
            for name, is_octets, value in each["parts"]
        }
        found.append(HandlerRequest(parts, each["headers"], each["id"]))
    return found


_COMPUTED: Mapping[str, Callable[[Model, Message], Message]] = {
    PREDICT: _predict,
    EXPLAIN: _explain,
    INFER: _infer,
    HANDLE: _handle,
}

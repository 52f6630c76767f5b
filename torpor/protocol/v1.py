"""KServe's V1 protocol: `{"instances": […]}` in, `{"predictions": […]}` out, as TensorFlow Serving began it.

KServe takes `inputs` for `instances` too; so do we.
NaN and the infinities are no JSON; in predictions, whose form is the model's own, they become null.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from torpor.errors import InvalidInputError
from torpor.protocol.document import brief, parameters, read_object

# Class labels are often numbers, and become keys.
_OPTIONS = orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """What is asked of a model."""

    instances: list[Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Hints; a model that knows none of them leaves them unread."""


def decode(body: bytes | bytearray | memoryview) -> PredictRequest:
    """Read a request; raises InvalidInputError."""
    return read(read_object(body))


def read(document: Mapping[str, Any]) -> PredictRequest:
    """Return the request that a JSON object is; raises InvalidInputError."""
    if "inputs" in document and "instances" in document:
        raise InvalidInputError("inputs", brief(document["inputs"]), "use instances or inputs, not both")
    field_name = "inputs" if "inputs" in document else "instances"
    instances = document.get(field_name)
    if not isinstance(instances, list) or not instances:
        raise InvalidInputError(field_name, brief(instances), "use a list of at least one instance")
    return PredictRequest(instances, parameters("", document))


def encode(predictions: Sequence[Any], key: str = "predictions") -> bytes:
    """Write an answer, under `key`; raises TypeError where the model gave what is no JSON."""
    answer = {key: predictions}
    with contextlib.suppress(orjson.JSONEncodeError):
        return orjson.dumps(answer, default=_plain, option=_OPTIONS | orjson.OPT_SERIALIZE_NUMPY)
    try:
        # Arrays in the other byte order, or of times, orjson refuses; as lists they are numbers and texts.
        return orjson.dumps(answer, default=_plain, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        raise TypeError(f"{key}: cannot be written as JSON: {error}") from error


def _plain(value: Any) -> Any:
    """Return what orjson knows for what it does not: arrays that are strided or of objects, tensors, scalars."""
    if not hasattr(value, "tolist"):
        raise TypeError(f"{type(value).__name__} is no JSON")
    return value.tolist()

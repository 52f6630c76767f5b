"""Triton's generate extension: flat JSON in and out, each key a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from torpor.errors import InvalidInputError
from torpor.protocol.binary import Buffer
from torpor.protocol.document import brief, parameters, read_object
from torpor.protocol.elements import read_elements, write_elements
from torpor.protocol.inference import InferRequest
from torpor.protocol.tensors import Tensor

Spec = tuple[str, str, tuple[int, ...]]
"""Name, datatype and shape of an input; -1 is any length."""


def decode(body: Buffer, inputs: Sequence[Spec]) -> InferRequest:
    """Read a request to a model with these inputs; raises InvalidInputError.

    A key that is an input's name is that tensor: a scalar, or a list; in `parameters` too. All else is a parameter.
    """
    document = read_object(body)
    id_ = document.get("id")
    if id_ is not None and not isinstance(id_, str):
        raise InvalidInputError("id", brief(id_), "use a text")
    given = dict(parameters("", document))
    names = {name for name, _, _ in inputs}
    values = {name: given.pop(name) for name in list(given) if name in names}
    for key, value in document.items():
        if key in names:
            values[key] = value
        elif key not in {"id", "parameters"}:
            given[key] = value
    tensors = tuple([_tensor(spec, values[spec[0]]) for spec in inputs if spec[0] in values])
    if not tensors:
        raise InvalidInputError("body", brief(document), f"give the inputs of this model: {', '.join(sorted(names))}")
    return InferRequest(tensors, None, id_, given)


def encode(model: str, version: str, id_: str | None, outputs: Sequence[Tensor]) -> bytes:
    """Write an answer: one element is itself, more are a list, flat."""
    answer: dict[str, Any] = {"model_name": model, "model_version": version}
    if id_ is not None:
        answer["id"] = id_
    for output in outputs:
        elements = write_elements(output)
        answer[output.name] = elements[0] if len(elements) == 1 else elements
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY, default=_scalar)


def _tensor(spec: Spec, value: Any) -> Tensor:
    name, datatype, shape = spec
    is_list = isinstance(value, list)
    elements = value if is_list else [value]
    array = read_elements(name, datatype, (len(elements),), elements)
    # The innermost axis is the list's, unless the model has but one axis of rows.
    axes = max(1, len(shape))
    return Tensor(name, array.reshape([1] * (axes - 1) + [len(elements)]))


def _scalar(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON")

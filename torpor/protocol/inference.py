"""A request for inference and the choice of its outputs, whichever form of V2 it came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torpor.errors import InvalidInputError
from torpor.protocol.tensors import Tensor, is_float

_NO_LABELS: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that is wanted, and how."""

    name: str
    binary: bool = False
    """As bytes after the JSON, not in it."""
    classes: int = 0
    """Not the output but its so many largest values, with their indices and labels; 0: the output."""


@dataclass(slots=True)  # made for each request: frozen ones take a microsecond longer, each
class InferRequest:
    """What is asked of a model."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Wanted, ...] | None = None
    """Those that are wanted, in this order; None is all of them."""
    id: str | None = None
    """Comes back with the answer."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Hints; a model that knows none of them leaves them unread."""
    binary: bool = False
    """How outputs are wanted where `outputs` does not say."""


def check_outputs(wanted: Sequence[Wanted] | None, known: Sequence[str]) -> None:
    """Raise InvalidInputError naming the first wanted output that the model does not have."""
    for index, each in enumerate(wanted or ()):
        if each.name not in known:
            raise InvalidInputError(f"outputs[{index}].name", each.name, f"use one of {', '.join(known)}")


def select(
    request: InferRequest, outputs: Sequence[Tensor], labels: Mapping[str, Sequence[str]] = _NO_LABELS
) -> list[tuple[Tensor, bool]]:
    """Return (output, whether it is wanted as bytes), in the order asked for.

    `labels` names the classes of outputs that have names for them. Raises InvalidInputError for an output that is none.
    """
    if request.outputs is None:
        return [(each, request.binary) for each in outputs]
    by_name = {output.name: output for output in outputs}
    check_outputs(request.outputs, list(by_name))
    selected: list[tuple[Tensor, bool]] = []
    for index, wanted in enumerate(request.outputs):
        output = by_name[wanted.name]
        if wanted.classes:
            path = f"outputs[{index}].parameters.classification"
            output = classified(path, output, wanted.classes, labels.get(wanted.name, ()))
        selected.append((output, wanted.binary))
    return selected


def classified(path: str, output: Tensor, classes: int, labels: Sequence[str]) -> Tensor:
    """Return the `classes` largest values of each row, largest first, as BYTES `value:index` or `value:index:label`.

    The first axis counts the rows where there is more than one; all others together are the classes. This is Triton's
    classification extension. Raises InvalidInputError where the output holds no numbers.
    """
    values = output.array
    if values.dtype.kind not in "iu" and not is_float(values.dtype):
        raise InvalidInputError(path, classes, f"output {output.name!r} is {output.datatype}; classes are numbers")
    rows = values.reshape(values.shape[0], -1) if values.ndim > 1 else values.reshape(1, -1)
    top = min(classes, rows.shape[1])
    # Stable, so that of equal values the first class comes first, on every machine.
    order = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :top]
    texts: NDArray[Any] = np.empty((rows.shape[0], top), np.object_)
    for row, indices in enumerate(order.tolist()):
        for place, index in enumerate(indices):
            texts[row, place] = _class(rows[row, index], index, labels)
    return Tensor(output.name, texts if values.ndim > 1 else texts[0])


def _class(value: Any, index: int, labels: Sequence[str]) -> bytes:
    number = f"{float(value):.6f}" if is_float(value.dtype) else str(int(value))
    label = f":{labels[index]}" if index < len(labels) else ""
    return f"{number}:{index}{label}".encode()

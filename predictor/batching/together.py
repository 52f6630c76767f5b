"""Several calls as one: which fit each other, how they are joined, and whose share of the answer is whose.

Imported with the first batch: it brings numpy.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from predictor.calls import RESERVED, Call, Handle, Infer, Predict
from predictor.loading.held import Held
from predictor.model import TakesParameters
from torpor.errors import ModelError
from torpor.protocol.tensors import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

Padding = Mapping[str, float]


def key_of(call: Call, held: Held, padding: Padding) -> Hashable:
    """Return what calls have in common that may be joined; None: this one is executed alone."""
    if isinstance(call, Predict):
        return ("predict", _parameters_key(call.parameters, held.takes_parameters))
    if isinstance(call, Infer) and held.joins:
        return _tensors_key(call, held, padding)
    if isinstance(call, Handle):
        return ("handle", call.explain)
    return None


def joined(calls: Sequence[Call], held: Held, padding: Padding) -> Sequence[Any]:
    """Return the answer to each call, computed at once; they have one key. Raises what the model raises, ModelError."""
    first = calls[0]
    if isinstance(first, Predict):
        return _predicted([each for each in calls if isinstance(each, Predict)], held)
    if isinstance(first, Infer):
        infers = [each for each in calls if isinstance(each, Infer)]
        return _in_slots(infers, held) if first.slot is not None else _inferred(infers, held, padding)
    assert isinstance(first, Handle)  # noqa: S101  # no other has a key
    assert held.handles is not None  # noqa: S101  # nor that without
    requests = [each.request for each in calls if isinstance(each, Handle)]
    return held.handles.handle(requests, explain=first.explain)


def _predicted(calls: Sequence[Predict], held: Held) -> Sequence[Any]:
    rows = [row for call in calls for row in call.instances]
    answers = Predict(rows, passed_on(calls[0].parameters)).alone(held)
    _check_rows("predictions", len(answers), len(rows))
    ends = np.cumsum([call.rows for call in calls]).tolist()
    return [answers[end - call.rows : end] for call, end in zip(calls, ends, strict=True)]


def _tensors_key(call: Infer, held: Held, padding: Padding) -> Hashable:
    inputs = call.request.inputs
    rows = call.rows
    if not rows or any(not each.shape or each.shape[0] != rows for each in inputs):
        return None
    shapes = tuple(
        [(each.name, each.datatype, len(each.shape) if each.name in padding else each.shape[1:]) for each in inputs]
    )
    if call.slot is not None:
        return ("slots", shapes)
    return ("infer", shapes, _parameters_key(call.request.parameters, held.takes_parameters))


def _parameters_key(parameters: Mapping[str, Any], reader: TakesParameters | None) -> bytes:
    if not parameters or reader is None:
        return b""
    return orjson.dumps(passed_on(parameters), option=orjson.OPT_SORT_KEYS, default=repr)


def passed_on(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return those that are the model's."""
    return {name: value for name, value in parameters.items() if name not in RESERVED}


def _inferred(calls: Sequence[Infer], held: Held, padding: Padding) -> Sequence[Sequence[Tensor]]:
    inputs = tuple(
        [
            Tensor(given.name, _concatenated([call.request.inputs[index].array for call in calls], padding, given.name))
            for index, given in enumerate(calls[0].request.inputs)
        ]
    )
    parameters = passed_on(calls[0].request.parameters)
    if parameters and held.takes_parameters is not None:
        outputs = held.takes_parameters.infer_with(inputs, parameters)
    else:
        outputs = held.model.infer(inputs)
    rows = inputs[0].shape[0]
    for each in outputs:
        _check_rows(f"output {each.name!r}", each.shape[0] if each.shape else 0, rows)
    longest = _lengths(inputs, padding)
    cut = {each.name: each.shape for each in held.signature.outputs}
    shares: list[Sequence[Tensor]] = []
    start = 0
    for call in calls:
        end = start + call.rows
        own = _lengths(call.request.inputs, padding)
        shares.append(
            [Tensor(each.name, _share(each.array[start:end], own, longest, cut.get(each.name))) for each in outputs]
        )
        start = end
    return shares


def _in_slots(calls: Sequence[Infer], held: Held) -> Sequence[Sequence[Tensor]]:
    """Compute with each request in its own row; rows between them are zeros, and not ready."""
    slots = [call.slot or 0 for call in calls]
    inputs = []
    for index, given in enumerate(calls[0].request.inputs):
        fill: Any = b"" if given.datatype == "BYTES" else 0
        whole = np.full((max(slots) + 1, *given.shape[1:]), fill, given.array.dtype)
        for slot, call in zip(slots, calls, strict=True):
            whole[slot] = call.request.inputs[index].array[0]
        inputs.append(Tensor(given.name, whole))
    outputs = held.model.infer(inputs)
    for each in outputs:
        _check_rows(f"output {each.name!r}", each.shape[0] if each.shape else 0, max(slots) + 1)
    return [[Tensor(each.name, each.array[slot : slot + 1]) for each in outputs] for slot in slots]


def _concatenated(arrays: Sequence[NDArray[Any]], padding: Padding, name: str) -> NDArray[Any]:
    """Return them one after the other; padded ones are as long as the longest."""
    if name not in padding or all(each.shape[1:] == arrays[0].shape[1:] for each in arrays):
        return np.concatenate(arrays)
    shape = [max(lengths) for lengths in zip(*(each.shape[1:] for each in arrays), strict=True)]
    fill: Any = b"" if arrays[0].dtype.kind in "OUS" else padding[name]
    whole = np.full((sum(len(each) for each in arrays), *shape), fill, arrays[0].dtype)
    start = 0
    for each in arrays:
        whole[(slice(start, start + len(each)), *(slice(length) for length in each.shape[1:]))] = each
        start += len(each)
    return whole


def _lengths(inputs: Sequence[Tensor], padding: Padding) -> Mapping[int, int]:
    """Return the length of each axis that may be padded, but the first; of one on which inputs differ, none."""
    found: dict[int, set[int]] = {}
    for each in inputs:
        if each.name in padding:
            for axis, length in enumerate(each.shape):
                found.setdefault(axis, set()).add(length)
    return {axis: lengths.pop() for axis, lengths in found.items() if axis and len(lengths) == 1}


def _share(
    rows: NDArray[Any], own: Mapping[int, int], longest: Mapping[int, int], declared: tuple[int, ...] | None
) -> NDArray[Any]:
    """Return a request's part of an output: of axes that padding has made longer, only its own length.

    Those are axes that are as long as the padded input's, and of any length (-1) where the output is declared.
    """
    cuts = []
    for axis, length in enumerate(rows.shape):
        may = axis in own and length == longest.get(axis) and own[axis] < length
        fixed = declared is not None and (axis >= len(declared) or declared[axis] != -1)
        cuts.append(slice(own[axis]) if may and not fixed else slice(None))
    return rows[tuple(cuts)]


def _check_rows(what: str, got: int, wanted: int) -> None:
    if got != wanted:
        raise ModelError(f"{what}: the model gave {got} rows for the {wanted} of a batch")

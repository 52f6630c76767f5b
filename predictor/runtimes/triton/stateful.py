"""Read `sequence_batching`: what a stateful model is told of its sequences, and what is kept for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from predictor.batching.sequencing import IDLE_S, Control, Kind, Sequencing, State
from predictor.runtimes.triton.fields import datatype, refused, shape

CANDIDATES = 1024
"""Sequences at once by the strategy `oldest`, where nothing is said: Triton has no limit."""
_MICROSECONDS = 1e6
_VALUES = {"int32_false_true": "INT32", "fp32_false_true": "FP32", "bool_false_true": "BOOL"}
_IDS = frozenset({"BYTES", "INT32", "INT64", "UINT32", "UINT64"})


def sequencing(found: Any) -> Sequencing | None:
    """Return what a ModelConfig says of sequences; None where it is not stateful. Raises InvalidInputError."""
    if found.WhichOneof("scheduling_choice") != "sequence_batching":
        return None
    given = found.sequence_batching
    is_oldest = given.WhichOneof("strategy_choice") == "oldest"
    slots = max(1, found.max_batch_size)
    return Sequencing(
        most=(given.oldest.max_candidate_sequences or CANDIDATES) if is_oldest else slots,
        has_slots=not is_oldest and found.max_batch_size > 0,
        idle_s=given.max_sequence_idle_microseconds / _MICROSECONDS or IDLE_S,
        controls=tuple(_controls(given)),
        states=tuple(_state(f"sequence_batching.state[{index}]", each) for index, each in enumerate(given.state)),
        has_batch=found.max_batch_size > 0,
    )


def _controls(given: Any) -> Iterator[Control]:
    for index, each in enumerate(given.control_input):
        path = f"sequence_batching.control_input[{index}]"
        if not each.name:
            raise refused(f"{path}.name", "", "a value is required")
        if len(each.control) != 1:
            raise refused(f"{path}.control", f"{len(each.control)} entries", "use one for each input")
        yield _control(f"{path}.control[0]", each.name, each.control[0])


def _control(path: str, name: str, given: Any) -> Control:
    kind = Kind(given.Kind.Name(given.kind))
    if kind is Kind.CORRID:
        found = datatype(f"{path}.data_type", given.data_type)
        if found not in _IDS:
            raise refused(f"{path}.data_type", f"TYPE_{found}", "use TYPE_UINT64, INT64, UINT32, INT32 or STRING")
        return Control(name, kind, found)
    said = [(field, list(getattr(given, field))) for field in _VALUES if getattr(given, field)]
    if len(said) != 1 or len(said[0][1]) != 2:
        shown = ", ".join(f"{field} {values}" for field, values in said) or "none"
        raise refused(path, shown, f"use one of {', '.join(_VALUES)}, with two values")
    field, (false, true) = said[0]
    return Control(name, kind, _VALUES[field], false, true)


def _state(path: str, given: Any) -> State:
    for field in ("input_name", "output_name"):
        if not getattr(given, field):
            raise refused(f"{path}.{field}", "", "a value is required")
    kind = datatype(f"{path}.data_type", given.data_type)
    dims = shape(f"{path}.dims", given.dims)
    for index, each in enumerate(given.initial_state):
        if datatype(f"{path}.initial_state[{index}].data_type", each.data_type) != kind:
            raise refused(f"{path}.initial_state[{index}].data_type", each.data_type, f"use the state's, TYPE_{kind}")
        dims = shape(f"{path}.initial_state[{index}].dims", each.dims)
    if -1 in dims:
        raise refused(f"{path}.dims", list(dims), "use whole numbers from 1, or an initial_state that has such")
    return State(given.input_name, given.output_name, kind, dims)

"""Which fields of a ModelConfig are read. Every other one that is set is refused by its name, or changes no answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from torpor.errors import InvalidInputError

_HINTS = frozenset(
    {
        "input.format",
        "instance_group.gpus",
        "instance_group.kind",
        "instance_group.name",
        "metric_tags",
        "optimization.eager_batching",
        "optimization.gather_kernel_buffer_threshold",
        "optimization.graph",
        "optimization.input_pinned_memory",
        "optimization.output_pinned_memory",
        "optimization.priority",
        "sequence_batching.state.use_same_buffer_for_input_output",
    }
)
"""How fast, or under which labels; where a model runs is the pod's to say."""
_READ = frozenset(
    {
        "backend",
        "default_model_filename",
        "dynamic_batching",
        "ensemble_scheduling.step.input_map",
        "ensemble_scheduling.step.model_name",
        "ensemble_scheduling.step.model_version",
        "ensemble_scheduling.step.output_map",
        "input.data_type",
        "input.dims",
        "input.name",
        "input.optional",
        "input.reshape",
        "instance_group.count",
        "max_batch_size",
        "model_transaction_policy",
        "model_warmup",
        "name",
        "output.data_type",
        "output.dims",
        "output.label_filename",
        "output.name",
        "output.reshape",
        "parameters",
        "platform",
        "response_cache",
        "sequence_batching.control_input",
        "sequence_batching.direct.max_queue_delay_microseconds",
        "sequence_batching.max_sequence_idle_microseconds",
        "sequence_batching.oldest",
        "sequence_batching.state.data_type",
        "sequence_batching.state.dims",
        "sequence_batching.state.initial_state.data_type",
        "sequence_batching.state.initial_state.dims",
        "sequence_batching.state.initial_state.name",
        "sequence_batching.state.initial_state.zero_data",
        "sequence_batching.state.input_name",
        "sequence_batching.state.output_name",
        "version_policy",
    }
)


def refuse_others(config: Any) -> None:
    """Raise InvalidInputError for the first field that is set and neither read nor a hint."""
    for path, known, value in _set(config, "", ""):
        if known not in _READ | _HINTS:
            allowed = "Torpor does not offer this; take it out to serve the rest"
            raise InvalidInputError(f"config.pbtxt: {path}", _shown(value), allowed)


def _set(message: Any, path: str, known: str) -> Iterator[tuple[str, str, Any]]:
    """Give (path, path without indices, value) of each field that is set, whole where that decides."""
    for field, value in message.ListFields():
        name = f"{known}.{field.name}" if known else field.name
        where = f"{path}.{field.name}" if path else field.name
        is_message = field.type == FieldDescriptor.TYPE_MESSAGE
        is_map = is_message and field.message_type.GetOptions().map_entry
        has_parts = any(each.startswith(f"{name}.") for each in _READ | _HINTS)
        if not is_message or is_map or not has_parts:
            yield where, name, value
        elif field.is_repeated:
            for index, each in enumerate(value):
                yield from _set(each, f"{where}[{index}]", name)
        else:
            yield from _set(value, where, name)


def _shown(value: Any) -> Any:
    if isinstance(value, str | int | float | bool):
        return value
    text = " ".join(str(value).split())
    return text if len(text) <= 100 else f"{text[:100]}…"

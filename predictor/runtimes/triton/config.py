"""Read `config.pbtxt`: Triton's model configuration in protobuf's text form. What is not offered is refused by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import text_format

from predictor.batching.options import MAX_QUEUE, Batching, QueuePolicy
from predictor.batching.sequencing import Sequencing
from predictor.runtimes.triton.fields import FILE, WARMUP, datatype, refused, shape
from predictor.runtimes.triton.graph import Step, check
from predictor.runtimes.triton.offered import refuse_others
from predictor.runtimes.triton.stateful import sequencing
from torpor.errors import InvalidInputError
from torpor.protocol.grpc.messages import message

MOST_CHARACTERS = 1_000_000
MOST_ELEMENTS = 2**28
"""Of an input that a model is warmed up by."""
BACKENDS = ("ensemble", "onnxruntime", "python", "pytorch")
_PLATFORMS = {"onnxruntime_onnx": "onnxruntime", "pytorch_libtorch": "pytorch"}
_FILES = {"ensemble": "", "onnxruntime": "model.onnx", "python": "model.py", "pytorch": "model.pt"}
_MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output. Of a model with a batch, shapes are without it."""

    name: str
    datatype: str
    """As V2 names it."""
    dims: tuple[int, ...]
    """-1 is any length."""
    reshape: tuple[int, ...] | None = None
    """What the model itself takes or gives; None: the same."""
    labels: str = ""
    """Of an output, the file that has the names of its classes."""
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """One input of a warm-up: zeros, unless it is random or in a file."""

    datatype: str
    shape: tuple[int, ...]
    """Without the batch."""
    is_random: bool = False
    file: str = ""
    """In the folder `warmup` beside the configuration: the elements as V2 has them in binary."""


@dataclass(frozen=True, slots=True)
class Warmup:
    """Requests that the model is warmed up by."""

    name: str
    batch: int
    count: int
    inputs: Mapping[str, Sample]


@dataclass(frozen=True, slots=True)
class Versions:
    """Which of the versions that are there are served."""

    latest: int = 1
    """So many of the highest; 0: all, or those that are named."""
    specific: tuple[int, ...] = ()

    def of(self, there: Sequence[int]) -> list[int]:
        """Return the versions to serve, highest first."""
        ordered = sorted(there, reverse=True)
        if self.specific:
            return [each for each in ordered if each in self.specific]
        return ordered[: self.latest] if self.latest else ordered


@dataclass(frozen=True, slots=True)
class Config:
    """A model, as its owner describes it."""

    name: str
    backend: str
    max_batch: int
    """0: shapes are whole; from 1: all have one axis more before them, which counts rows."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    filename: str
    versions: Versions
    batching: Batching | None
    sequencing: Sequencing | None
    """Of a stateful model."""
    parameters: Mapping[str, str]
    is_decoupled: bool
    keeps_answers: bool
    """response_cache; how many bytes of them is the server's to say."""
    warmups: tuple[Warmup, ...]
    steps: tuple[Step, ...]
    """Of an ensemble, the models that it asks."""
    message: Any
    """The ModelConfig itself, which clients may ask for."""


def read(text: str, folder: str = "") -> Config:
    """Return what it says of the model in a folder of this name, if that is known; raises InvalidInputError."""
    if len(text) > MOST_CHARACTERS:
        raise InvalidInputError(FILE, f"{len(text)} characters", f"use at most {MOST_CHARACTERS}")
    found = message("ModelConfig")()
    try:
        text_format.Parse(text, found)
    except (text_format.ParseError, ValueError, UnicodeError) as error:
        raise InvalidInputError(
            FILE, _brief(str(error)), "write it as Triton's ModelConfig in protobuf's text form"
        ) from error
    return understood(found, folder)


def understood(found: Any, folder: str = "") -> Config:
    """Return what a ModelConfig says; raises InvalidInputError as `read` does."""
    refuse_others(found)
    if folder and found.name and found.name != folder:
        raise refused("name", found.name, f"it is the folder's, {folder!r}, or left out")
    most = found.max_batch_size
    if most < 0:
        raise refused("max_batch_size", most, "use a whole number from 0")
    backend = _backend(found)
    inputs = tuple(_port(f"input[{index}]", each, is_input=True) for index, each in enumerate(found.input))
    outputs = tuple(_port(f"output[{index}]", each, is_input=False) for index, each in enumerate(found.output))
    _check_names("input", inputs)
    _check_names("output", outputs)
    return Config(
        name=folder or found.name,
        backend=backend,
        max_batch=most,
        inputs=inputs,
        outputs=outputs,
        filename=_filename(found.default_model_filename or _FILES[backend]),
        versions=_versions(found),
        batching=_batching(found),
        sequencing=sequencing(found),
        parameters={key: value.string_value for key, value in sorted(found.parameters.items())},
        is_decoupled=found.model_transaction_policy.decoupled,
        keeps_answers=found.response_cache.enable,
        warmups=tuple(_warmup(f"model_warmup[{index}]", each, most) for index, each in enumerate(found.model_warmup)),
        steps=_steps(found, backend, inputs, outputs),
        message=found,
    )


def _backend(found: Any) -> str:
    backend = found.backend or _PLATFORMS.get(found.platform, found.platform)
    if not backend:
        suffix = found.default_model_filename.rpartition(".")[2]
        backend = {"onnx": "onnxruntime", "pt": "pytorch", "py": "python"}.get(suffix, "")
    if backend not in BACKENDS:
        field = "platform" if found.platform and not found.backend else "backend"
        raise refused(field, backend, f"use {', '.join(BACKENDS)}")
    return str(backend)


def _steps(found: Any, backend: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> tuple[Step, ...]:
    given = found.ensemble_scheduling.step
    if backend != "ensemble":
        if found.WhichOneof("scheduling_choice") == "ensemble_scheduling":
            raise refused("ensemble_scheduling", f"{len(given)} steps", 'set platform: "ensemble" too')
        return ()
    steps = tuple(
        Step(each.model_name, max(0, each.model_version), dict(each.input_map), dict(each.output_map)) for each in given
    )
    check(steps, [each.name for each in inputs], [each.name for each in outputs])
    return steps


def _port(path: str, given: Any, *, is_input: bool) -> Port:
    if not given.name:
        raise refused(f"{path}.name", "", "a value is required")
    dims = shape(f"{path}.dims", given.dims)
    reshape = shape(f"{path}.reshape.shape", given.reshape.shape) if given.HasField("reshape") else None
    if reshape is not None:
        _check_reshape(path, dims, reshape)
    elif not dims:
        raise refused(f"{path}.dims", [], "at least one is needed; of single numbers, [ 1 ] and a reshape")
    return Port(
        given.name,
        datatype(f"{path}.data_type", given.data_type),
        dims,
        reshape,
        labels="" if is_input else _label_file(path, given.label_filename),
        is_optional=is_input and given.optional,
    )


def _check_reshape(path: str, dims: tuple[int, ...], reshape: tuple[int, ...]) -> None:
    if dims.count(-1) > 1 or reshape.count(-1) > 1 or dims.count(-1) != reshape.count(-1):
        allowed = "use at most one -1, in both or in none"
        raise refused(f"{path}.reshape.shape", list(reshape), allowed)
    if -1 not in dims and math.prod(dims) != math.prod(reshape):
        raise refused(f"{path}.reshape.shape", list(reshape), f"use as many elements as dims {list(dims)} has")


def _check_names(path: str, ports: Sequence[Port]) -> None:
    names = [each.name for each in ports]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise refused(f"{path}[{index}].name", name, "each name once")


def _filename(name: str) -> str:
    if "/" in name or name in {".", ".."} or "\x00" in name:
        raise refused("default_model_filename", name, "use the name of a file in the version's folder")
    return name


def _label_file(path: str, name: str) -> str:
    if name and ("/" in name or name in {".", ".."} or "\x00" in name):
        raise refused(f"{path}.label_filename", name, "use the name of a file beside config.pbtxt")
    return name


def _versions(found: Any) -> Versions:
    policy = found.version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return Versions(0)
    if choice == "specific":
        if not policy.specific.versions or min(policy.specific.versions) < 1:
            raise refused("version_policy.specific.versions", list(policy.specific.versions), "use numbers from 1")
        return Versions(0, tuple(policy.specific.versions))
    return Versions(policy.latest.num_versions or 1)


def _batching(found: Any) -> Batching | None:
    instances = sum(max(1, each.count) for each in found.instance_group) or 1
    most = max(1, found.max_batch_size)
    if found.platform == "ensemble" or found.backend == "ensemble":
        return None  # the models of its steps have their own
    if found.WhichOneof("scheduling_choice") == "sequence_batching":
        return _sequences_batching(found.sequence_batching, most)
    if found.WhichOneof("scheduling_choice") != "dynamic_batching":
        # Triton executes one request at a time on each instance, batches or not.
        return Batching(1, instances=instances, policy=QueuePolicy(allows_override=False))
    given = found.dynamic_batching
    _check_preferred("dynamic_batching", given.preferred_batch_size, most)
    levels = given.priority_levels
    if levels and not 1 <= given.default_priority_level <= levels:
        allowed = f"use a level from 1 to priority_levels, which is {levels}"
        raise refused("dynamic_batching.default_priority_level", given.default_priority_level, allowed)
    for level in given.priority_queue_policy:
        if not 1 <= level <= levels:
            raise refused("dynamic_batching.priority_queue_policy", level, f"use levels from 1 to {levels}")
    return Batching(
        max_size=most,
        preferred=tuple(sorted(set(given.preferred_batch_size))),
        delay_s=given.max_queue_delay_microseconds / _MICROSECONDS,
        levels=levels,
        default_level=given.default_priority_level if levels else 0,
        policy=_policy(given.default_queue_policy),
        policies={level: _policy(each) for level, each in sorted(given.priority_queue_policy.items())},
        keeps_order=given.preserve_ordering,
        instances=instances,
    )


def _sequences_batching(given: Any, most: int) -> Batching:
    """Return how requests of several sequences are executed together: on one instance, whose state it is."""
    policy = QueuePolicy(allows_override=False)
    if given.WhichOneof("strategy_choice") != "oldest":
        return Batching(most, delay_s=given.direct.max_queue_delay_microseconds / _MICROSECONDS, policy=policy)
    oldest = given.oldest
    _check_preferred("sequence_batching.oldest", oldest.preferred_batch_size, most)
    return Batching(
        most,
        tuple(sorted(set(oldest.preferred_batch_size))),
        oldest.max_queue_delay_microseconds / _MICROSECONDS,
        policy=policy,
        keeps_order=oldest.preserve_ordering,
    )


def _check_preferred(path: str, sizes: Sequence[int], most: int) -> None:
    for size in sizes:
        if not 1 <= size <= most:
            allowed = f"use whole numbers from 1 to max_batch_size, which is {most}"
            raise refused(f"{path}.preferred_batch_size", list(sizes), allowed)


def _policy(given: Any) -> QueuePolicy:
    return QueuePolicy(
        timeout_s=given.default_timeout_microseconds / _MICROSECONDS,
        allows_override=given.allow_timeout_override,
        delays=given.timeout_action == given.TimeoutAction.Value("DELAY"),
        max_size=given.max_queue_size or MAX_QUEUE,
    )


def _warmup(path: str, given: Any, most: int) -> Warmup:
    if given.batch_size > max(1, most):
        raise refused(f"{path}.batch_size", given.batch_size, f"use at most max_batch_size, which is {most}")
    inputs = {}
    for name, each in sorted(given.inputs.items()):
        where = f"{path}.inputs[{name}]"
        file = each.input_data_file
        if "/" in file or file in {".", ".."} or "\x00" in file:
            raise refused(f"{where}.input_data_file", file, f"use the name of a file in the folder {WARMUP}")
        dims = shape(f"{where}.dims", each.dims)
        if -1 in dims or math.prod(dims) * max(1, given.batch_size) > MOST_ELEMENTS:
            allowed = f"use whole numbers from 1, with the batch {MOST_ELEMENTS} elements at most"
            raise refused(f"{where}.dims", list(dims), allowed)
        inputs[name] = Sample(datatype(f"{where}.data_type", each.data_type), dims, each.random_data, file)
    return Warmup(given.name, given.batch_size, given.count or 1, inputs)


def _brief(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"

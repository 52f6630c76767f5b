"""What a process says of the model that it has opened: all that the server knows of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from predictor.batching.options import Batching, QueuePolicy
from predictor.model import (
    Batches,
    Configured,
    Explains,
    Handles,
    HandlesInParts,
    Model,
    NamesClasses,
    SaysVersion,
    Signature,
    Streams,
    TakesParameters,
    TensorSpec,
)
from predictor.processes.messages import GarbledError, Message

OPENED = "opened"


@dataclass(frozen=True, slots=True)
class Description:
    """Abilities are those of predictor/model.py."""

    signature: Signature
    takes_parameters: bool = False
    explains: bool = False
    streams: bool = False
    handles: bool = False
    sends_parts: bool = False
    labels: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    version: str = ""
    batching: Batching | None = None
    configuration: Mapping[str, Any] | None = None


def describe(model: Model) -> Description:
    """Return what the model is."""
    return Description(
        signature=model.signature,
        takes_parameters=isinstance(model, TakesParameters),
        explains=isinstance(model, Explains) and model.explains,
        streams=isinstance(model, Streams) and model.streams,
        handles=isinstance(model, Handles),
        sends_parts=isinstance(model, HandlesInParts) and model.sends_parts,
        labels=model.labels if isinstance(model, NamesClasses) else {},
        version=model.version if isinstance(model, SaysVersion) else "",
        batching=model.batching if isinstance(model, Batches) else None,
        configuration=model.configuration if isinstance(model, Configured) else None,
    )


def told(description: Description) -> Message:
    return Message(OPENED, dataclasses.asdict(description))


def heard(message: Message) -> Description:
    """Return what was told; raises GarbledError."""
    said = message.value
    try:
        signature = said["signature"]
        return Description(
            signature=Signature(
                str(signature["platform"]),
                tuple(map(_spec, signature["inputs"])),
                tuple(map(_spec, signature["outputs"])),
            ),
            takes_parameters=bool(said["takes_parameters"]),
            explains=bool(said["explains"]),
            streams=bool(said["streams"]),
            handles=bool(said["handles"]),
            sends_parts=bool(said["sends_parts"]),
            labels={str(name): [str(each) for each in names] for name, names in said["labels"].items()},
            version=str(said["version"]),
            batching=None if said["batching"] is None else _batching(said["batching"]),
            configuration=None if said["configuration"] is None else dict(said["configuration"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GarbledError(f"no description: {type(error).__name__}: {error}") from error


def _spec(said: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(str(said["name"]), str(said["datatype"]), tuple(map(int, said["shape"])))


def _batching(said: Mapping[str, Any]) -> Batching:
    return Batching(
        max_size=int(said["max_size"]),
        preferred=tuple(map(int, said["preferred"])),
        delay_s=float(said["delay_s"]),
        levels=int(said["levels"]),
        default_level=int(said["default_level"]),
        policy=_policy(said["policy"]),
        policies={int(level): _policy(each) for level, each in said["policies"].items()},
        keeps_order=bool(said["keeps_order"]),
        instances=int(said["instances"]),
        padding={str(name): float(value) for name, value in said["padding"].items()},
    )


def _policy(said: Mapping[str, Any]) -> QueuePolicy:
    return QueuePolicy(
        timeout_s=float(said["timeout_s"]),
        allows_override=bool(said["allows_override"]),
        delays=bool(said["delays"]),
        max_size=int(said["max_size"]),
    )

"""What a configuration leaves out, and the model itself says: as Triton completes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format

from predictor.model import Signature, TensorSpec
from predictor.runtimes.triton.config import Config, understood
from predictor.runtimes.triton.fields import FILE, refused
from torpor.errors import InvalidInputError
from torpor.protocol.grpc.messages import message


def by_signature(config: Config, signature: Signature) -> Config:
    """Return the configuration with the inputs and outputs of the model, where it names none of them."""
    if config.inputs and config.outputs:
        return config
    if not signature.inputs or not signature.outputs:
        what = "output" if config.inputs else "input"
        raise refused(what, "nothing", f"name them: the file of a {config.backend} model does not say them")
    whole = message("ModelConfig")()
    whole.CopyFrom(config.message)
    if not config.inputs:
        _add(whole.input, signature.inputs, has_batch=bool(config.max_batch))
    if not config.outputs:
        _add(whole.output, signature.outputs, has_batch=bool(config.max_batch))
    return understood(whole, config.name)


def by_document(config: Config, document: Mapping[str, Any]) -> Config:
    """Return the configuration that code of the model has completed; raises InvalidInputError."""
    whole = message("ModelConfig")()
    try:
        json_format.ParseDict(dict(document), whole)
    except (json_format.ParseError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{FILE}: auto_complete_config", str(error)[:200], "use what a ModelConfig has"
        ) from error
    return understood(whole, config.name)


def _add(ports: Any, specs: Sequence[TensorSpec], *, has_batch: bool) -> None:
    kinds = message("ModelConfig").DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_name
    for spec in specs:
        if has_batch and spec.shape[:1] != (-1,):
            raise refused(
                "max_batch_size", "not 0", f"{spec.name!r} has shape {list(spec.shape)}: no axis of any length"
            )
        dims = spec.shape[1:] if has_batch else spec.shape
        kind = kinds["TYPE_STRING" if spec.datatype == "BYTES" else f"TYPE_{spec.datatype}"].number
        port = ports.add(name=spec.name, data_type=kind, dims=dims or (1,))
        if not dims:
            port.reshape.SetInParent()

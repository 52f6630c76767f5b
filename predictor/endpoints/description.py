"""What a model takes and gives, in the words of V2's metadata and of Triton's model configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from predictor.model import Signature, TensorSpec
from torpor.errors import InvalidInputError
from torpor.protocol.headers import HEADER_LENGTH


def metadata(name: str, versions: Sequence[str], signature: Signature) -> dict[str, Any]:
    """Return the answer of the metadata endpoint."""
    return {
        "name": name,
        "versions": versions,
        "platform": signature.platform,
        "inputs": [_tensor(each) for each in signature.inputs],
        "outputs": [_tensor(each) for each in signature.outputs],
    }


def configuration(name: str, signature: Signature, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return Triton's model configuration in JSON: the model's own, where it has one.

    Without, `max_batch_size` is 0: shapes are whole, the first axis among them.
    """
    if own is not None:
        return {**own, "name": name}
    return {
        "name": name,
        "platform": signature.platform,
        "backend": signature.platform.partition("_")[0],
        "version_policy": {"specific": {"versions": [1]}},
        "max_batch_size": 0,
        "input": [_configured(each) for each in signature.inputs],
        "output": [_configured(each) for each in signature.outputs],
    }


def only_input(signature: Signature) -> TensorSpec:
    """Return the one input of a model that has one; raises InvalidInputError for others."""
    if len(signature.inputs) != 1:
        names = ", ".join(each.name for each in signature.inputs) or "unknown"
        raise InvalidInputError(HEADER_LENGTH, 0, f"the inputs of this model are {names}: send JSON that names them")
    return signature.inputs[0]


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}


def _configured(spec: TensorSpec) -> dict[str, Any]:
    kind = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": spec.shape}

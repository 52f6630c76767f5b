"""Files that come in a request, pictures or sounds: bytes by V2, base64 in JSON."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torpor.errors import InvalidInputError

if TYPE_CHECKING:
    from torpor.protocol.tensors import Tensor


def from_instance(field: str, given: Any) -> bytes:
    """Return the bytes of one V1 instance: base64, or {"b64": base64} as TensorFlow Serving has it."""
    if isinstance(given, dict) and set(given) == {"b64"}:
        given = given["b64"]
    if not isinstance(given, str):
        raise InvalidInputError(field, given, 'this model takes base64, or {"b64": base64}')
    return _decoded(field, given.encode())


def from_tensor(inputs: Sequence[Tensor], name: str, starts: tuple[bytes, ...]) -> list[bytes]:
    """Return the files of a V2 request: one input of datatype BYTES and shape [n] or [n, 1].

    `starts` is how such files begin: what begins otherwise is base64.
    """
    (given,) = named(inputs, name)
    if given.datatype != "BYTES":
        raise InvalidInputError(f"{name}.datatype", given.datatype, "this model takes BYTES")
    if given.array.ndim not in {1, 2} or given.shape[1:] not in {(), (1,)}:
        raise InvalidInputError(f"{name}.shape", list(given.shape), "this model takes shape [n] or [n, 1]")
    found = []
    for index, each in enumerate(given.array.ravel().tolist()):
        raw = each if isinstance(each, bytes) else str(each).encode()
        found.append(raw if raw.startswith(starts) else _decoded(f"{name}[{index}]", raw))
    return found


def named(inputs: Sequence[Tensor], name: str) -> Sequence[Tensor]:
    """Return the inputs, which are one of this name; raises InvalidInputError."""
    names = [each.name for each in inputs]
    if names != [name]:
        raise InvalidInputError("inputs", ", ".join(names), f"this model takes one input, named {name}")
    return inputs


def _decoded(field: str, given: bytes) -> bytes:
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(field, given[:40], f"base64 is needed: {error}") from error

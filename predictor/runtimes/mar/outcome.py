"""What a handler returns, as octets, as JSON-like values, as a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from predictor.model import HandlerError

if TYPE_CHECKING:
    from torpor.protocol.tensors import Tensor

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def octets(value: Any) -> tuple[bytes, str]:
    """Return a value as it is sent, and its media type: octets and texts as they are, all else as JSON."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value), "application/octet-stream"
    if isinstance(value, str):
        return value.encode(errors="replace"), "text/plain; charset=utf-8"
    try:
        return orjson.dumps(value, default=_known, option=_OPTIONS), "application/json"
    except TypeError as error:
        raise HandlerError(f"the handler returned what is no JSON: {error}") from error


def plain(value: Any) -> Any:
    """Return a value for V1: octets as the text that they are, tensors as lists."""
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode(errors="replace")
    return value.tolist() if hasattr(value, "tolist") else value


def tensor(name: str, value: Any) -> Tensor:
    """Return numbers, truth values and texts as a tensor of their shape; anything else as text that holds JSON."""
    import numpy as np

    from torpor.protocol.tensors import Tensor

    try:
        array = np.asarray(value)
    except ValueError:  # ragged
        array = np.asarray(None)
    if array.dtype.kind not in "biufUS":
        array = np.asarray(
            [octets(each)[0].decode() for each in (value if isinstance(value, list) else [value])], object
        )
    if array.dtype.kind == "S":
        array = array.astype(object)
    return Tensor(name, array)


def _known(value: Any) -> Any:
    if not hasattr(value, "tolist"):
        raise TypeError(f"{type(value).__name__} cannot be written")
    return value.tolist()

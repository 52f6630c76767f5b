"""The elements of a tensor as V2 writes them in JSON: flat in row-major order, or nested as the shape says.

NaN and the infinities are no JSON numbers; they are the texts "NaN", "Infinity" and "-Infinity", as Protocol Buffers
have it for the gRPC half of the same protocol. `numpy.array(data, dtype)` and JavaScript's `Number` read them back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torpor.errors import InvalidInputError, UnsupportedError
from torpor.protocol.document import brief
from torpor.protocol.tensors import DATATYPES, Tensor, is_float

MAX_DIMENSIONS = 32
"""numpy's, before its second version."""
MAX_LENGTH = 2**31 - 1

_NO_NUMBERS: Mapping[Any, float] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_TYPES: Mapping[str, frozenset[type]] = {
    "b": frozenset({bool}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "f": frozenset({int, float}),
    "O": frozenset({str}),
}


def read_shape(path: str, raw: Any) -> tuple[int, ...]:
    """Return the shape at `path`; raises InvalidInputError."""
    allowed = f"use a list of at most {MAX_DIMENSIONS} whole numbers from 0 to {MAX_LENGTH}"
    if not isinstance(raw, list) or len(raw) > MAX_DIMENSIONS:
        raise InvalidInputError(path, brief(raw), allowed)
    for length in raw:
        # A bool is an int to Python.
        if type(length) is not int or not 0 <= length <= MAX_LENGTH:
            raise InvalidInputError(path, brief(raw), allowed)
    return tuple(raw)


def read_elements(path: str, datatype: str, shape: tuple[int, ...], data: Any) -> NDArray[Any]:
    """Return the tensor whose shape and data are at `path`; raises InvalidInputError naming the first wrong element."""
    if not isinstance(data, list):
        raise InvalidInputError(f"{path}.data", brief(data), "use a list of the tensor's elements")
    is_nested = len(shape) > 1 and bool(data) and isinstance(data[0], list)
    flat = _flattened(path, shape, data) if is_nested else data
    count = math.prod(shape)
    if len(flat) != count:
        asked = str(count) if count < 2**63 else "2**63 or more"
        allowed = f"it means {asked} elements, and data has {len(flat)}"
        raise InvalidInputError(f"{path}.shape", brief(list(shape)), allowed)
    dtype = DATATYPES[datatype]
    kind, types = _kind(dtype), set(map(type, flat))
    wrong = _first_wrong(kind, flat, types)
    if wrong is None:
        array, wrong = _converted(dtype, kind, flat, types)
    if wrong is not None:
        place = _indices(wrong, shape) if is_nested else f"[{wrong}]"
        raise InvalidInputError(f"{path}.data{place}", brief(flat[wrong]), f"{datatype} takes {_takes(dtype)}")
    try:
        return array.reshape(shape)
    except ValueError as error:  # [0, 2147483647, 2147483647, 2147483647] has no elements, and is too big all the same
        raise InvalidInputError(f"{path}.shape", brief(list(shape)), str(error)) from error


def write_elements(tensor: Tensor) -> NDArray[Any] | list[Any]:
    """Return the elements, flat, as orjson writes them; raises UnsupportedError for bytes that are no text."""
    flat = tensor.array.ravel()
    if tensor.datatype == "BYTES":
        return [_text(tensor.name, each) for each in flat.tolist()]
    if is_float(flat.dtype):
        if flat.dtype.kind != "f":
            flat = flat.astype(np.float32)  # orjson knows no BF16
        finite = np.isfinite(flat)
        if not finite.all():
            elements: list[Any] = flat.tolist()
            for index in np.flatnonzero(~finite).tolist():
                value = elements[index]
                elements[index] = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            return elements
    return np.ascontiguousarray(flat)


def _flattened(path: str, shape: tuple[int, ...], data: list[Any]) -> list[Any]:
    """Return the elements in row-major order; every list must be as long as the shape says."""
    level: Sequence[Any] = [data]
    for length in shape:
        if level and (set(map(type, level)) != {list} or set(map(len, level)) != {length}):
            allowed = f"use a flat list, or lists nested as shape {list(shape)} says"
            raise InvalidInputError(f"{path}.data", brief(data), allowed)
        level = list(chain.from_iterable(level))
    return list(level)


def _first_wrong(kind: str, flat: Sequence[Any], types: set[type]) -> int | None:
    """Return the index of the first element whose JSON type does not fit; `types` are those that there are."""
    fitting = _TYPES[kind]
    if types <= fitting:
        return None
    for index, each in enumerate(flat):
        if type(each) not in fitting and not (kind == "f" and type(each) is str and each in _NO_NUMBERS):
            return index
    return None


def _converted(
    dtype: np.dtype[Any], kind: str, flat: Sequence[Any], types: set[type]
) -> tuple[NDArray[Any], int | None]:
    """Return the elements as an array; and the index of the first that is out of range, if one is."""
    if kind in "bO" or not flat:
        return np.array(flat, dtype), None
    low, high = _range(dtype)
    if str in types:
        flat = [_NO_NUMBERS.get(each, each) for each in flat]
    elif low <= min(flat) and max(flat) <= high:
        return np.array(flat, dtype), None
    if kind != "f":
        return np.empty(0, dtype), next(index for index, each in enumerate(flat) if not low <= each <= high)
    wide = np.array(flat, np.float64)
    with np.errstate(over="ignore"):
        array = wide.astype(dtype)
    overflown = np.isinf(array) & ~np.isinf(wide)
    return array, int(np.argmax(overflown)) if overflown.any() else None


@cache
def _range(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the least and the largest number."""
    if is_float(dtype):
        return -_largest(dtype), _largest(dtype)
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def _kind(dtype: np.dtype[Any]) -> str:
    return "f" if is_float(dtype) else dtype.kind


def _largest(dtype: np.dtype[Any]) -> float:
    # numpy's finfo does not know BF16, which has the exponents of FP32 and 7 bits after the point.
    return float(np.finfo(dtype).max) if dtype.kind == "f" else (2 - 2**-7) * 2.0**127


def _takes(dtype: np.dtype[Any]) -> str:
    if dtype.kind in "iu":
        return "whole numbers from {} to {}".format(*_range(dtype))
    if is_float(dtype):
        return f'numbers up to {_largest(dtype):.6g}, "NaN", "Infinity" and "-Infinity"'
    return "true and false" if dtype.kind == "b" else "texts"


def _indices(index: int, shape: tuple[int, ...]) -> str:
    """Return where the element is in nested lists: [1][3]."""
    return "".join(f"[{each}]" for each in np.unravel_index(index, shape))


def _text(name: str, element: Any) -> str:
    if isinstance(element, bytes):
        try:
            return element.decode()
        except UnicodeDecodeError as error:
            text = "holds bytes that are no UTF-8, which JSON cannot carry; ask for it with binary_data: true"
            raise UnsupportedError(f"output {name!r} {text}") from error
    if not isinstance(element, str):
        raise TypeError(f"output {name!r} holds {type(element).__name__} where BYTES are str or bytes")
    return element

"""Tensors as the Open Inference Protocol names them, as numpy arrays inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

DATATYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "BYTES": np.dtype(np.object_),
}
"""BYTES holds `str` or `bytes`, one per element. BF16 is no type of numpy's own: ml_dtypes brings it."""


def is_float(dtype: np.dtype[Any]) -> bool:
    """Say whether elements are floating-point numbers; numpy's own `kind` does not know it of BF16."""
    return dtype.kind == "f" or dtype == DATATYPES["BF16"]


@dataclass(slots=True)  # made for each request: frozen ones take a microsecond longer, each
class Tensor:
    """One named tensor; its datatype is the array's."""

    name: str
    array: NDArray[Any]

    @property
    def datatype(self) -> str:
        """Return the protocol's name; text arrays of any width are BYTES. Raises KeyError for what has none."""
        return "BYTES" if self.array.dtype.kind in "OUS" else _NAMES[self.array.dtype]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape


_NAMES = {dtype: name for name, dtype in DATATYPES.items()}

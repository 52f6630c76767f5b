"""What must hold of a decision tree before a library may walk it: a wrong index there is a crash of the process."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictor.runtimes.safetensors import CorruptError

Indices = NDArray[np.int64]


def indices(where: str, values: Any, length: int) -> Indices:
    """Return whole numbers as an array; raises CorruptError unless there are `length` of them."""
    try:
        array = np.asarray(values)
    except ValueError as error:  # lists within it
        raise CorruptError(f"{where} is no list of numbers") from error
    if array.ndim != 1 or len(array) != length:
        raise CorruptError(f"{where} has {array.size} values where {length} are needed")
    if length and array.dtype.kind not in "biu":
        raise CorruptError(f"{where} has values that are no whole numbers")
    return array.astype(np.int64)


def check_range(where: str, values: Indices, low: int, high: int) -> None:
    """Raise CorruptError unless all are from `low` up to, and not, `high`."""
    if len(values) and not low <= int(values.min()) <= int(values.max()) < high:
        wrong = next(int(each) for each in values if not low <= each < high)
        raise CorruptError(f"{where} has {wrong}, which is not from {low} to {high - 1}")


def check_tree(where: str, children: Indices, nodes: int) -> None:
    """Raise CorruptError unless the children, of all inner nodes, make a tree: its root is 0, and no way leads back.

    Whatever has one parent at most, and the root none, cannot be come to twice.
    """
    check_range(where, children, 1, nodes)
    if len(np.unique(children)) != len(children):
        raise CorruptError(f"{where} has a node with two parents")

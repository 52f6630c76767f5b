"""Rows of numbers, one for each instance, as they come by V1 and V2. A value that is missing is NaN: null by V1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torpor.errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from torpor.protocol.tensors import Tensor

INPUT = "input-0"
OUTPUT = "output-0"


def from_instances(instances: Sequence[Any], features: int, datatype: str) -> NDArray[Any]:
    """Return the rows of a V1 request; raises InvalidInputError that says which number of which row is none."""
    from torpor.protocol.elements import read_elements

    for index, row in enumerate(instances):
        if not isinstance(row, list) or len(row) != features:
            allowed = f"this model takes {features} features: a list of {features} numbers for each instance"
            raise InvalidInputError(f"instances[{index}]", row, allowed)
    if any(None in row for row in instances):
        instances = [[math.nan if each is None else each for each in row] for row in instances]
    try:
        return read_elements("instances", datatype, (len(instances), features), list(instances))
    except InvalidInputError as error:  # to V2, which it reads, the list is the data of something
        raise InvalidInputError(error.field.replace(".data", "", 1), error.value, error.allowed) from error


def from_tensors(inputs: Sequence[Tensor], features: int, *datatypes: str) -> NDArray[Any]:
    """Return the rows of a V2 request, of the first of `datatypes` unless they are of one of these already."""
    import numpy as np

    from torpor.protocol.tensors import DATATYPES

    names = [each.name for each in inputs]
    if names != [INPUT]:
        raise InvalidInputError("inputs", ", ".join(names), f"this model takes one input, named {INPUT}")
    (given,) = inputs
    if given.datatype == "BYTES":
        raise InvalidInputError(f"{INPUT}.datatype", "BYTES", "this model takes numbers: FP32, FP64 or integers")
    if given.array.ndim != 2 or given.shape[1] != features:
        allowed = f"this model takes {features} features: shape [n, {features}]"
        raise InvalidInputError(f"{INPUT}.shape", list(given.shape), allowed)
    if given.datatype in datatypes:
        return given.array
    with np.errstate(over="ignore"):  # whoever cannot take infinity looks for it
        array: NDArray[Any] = given.array.astype(DATATYPES[datatypes[0]])
    return array


def refuse_infinite(field: str, rows: NDArray[Any]) -> None:
    """Raise InvalidInputError for the first infinity, which a number may have become that FP32 cannot hold."""
    import numpy as np

    infinite = np.isinf(rows)
    if infinite.any():
        row, column = (int(each) for each in np.unravel_index(int(np.argmax(infinite)), rows.shape))
        value = float(rows[row, column])
        raise InvalidInputError(f"{field}[{row}][{column}]", value, "this model takes finite FP32 numbers, and NaN")

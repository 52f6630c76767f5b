"""What fields of a ModelConfig mean wherever they are, and how one that is wrong is refused."""

from __future__ import annotations

from collections.abc import Sequence

from torpor.errors import InvalidInputError
from torpor.protocol.grpc.messages import message

FILE = "config.pbtxt"
WARMUP = "warmup"
"""The folder beside it that has what models are warmed up by."""


def datatype(path: str, number: int) -> str:
    """Return V2's name of a data_type; raises InvalidInputError for TYPE_INVALID, and for numbers that are none."""
    names = message("ModelConfig").DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number
    name = names[number].name if number in names else str(number)
    if number not in names or name == "TYPE_INVALID":
        raise refused(path, name, "use TYPE_BOOL, TYPE_FP32, TYPE_STRING, …")
    return "BYTES" if name == "TYPE_STRING" else name.removeprefix("TYPE_")


def shape(path: str, dims: Sequence[int]) -> tuple[int, ...]:
    """Return a shape; raises InvalidInputError where a length is none."""
    for each in dims:
        if each != -1 and not 1 <= each < 2**31:
            raise refused(path, list(dims), "use whole numbers from 1, or -1 for any length")
    return tuple(dims)


def refused(path: str, value: object, allowed: str) -> InvalidInputError:
    """Return the error for a field, to be raised by the caller."""
    return InvalidInputError(f"{FILE}: {path}", value, allowed)

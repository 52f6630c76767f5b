"""Texts as they come by V1 and V2, and in batches of about the same length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from torpor.errors import InvalidInputError

if TYPE_CHECKING:
    from torpor.protocol.tensors import Tensor

INPUT = "text"


def from_instances(instances: Sequence[Any]) -> list[str]:
    """Return the texts of a V1 request."""
    for index, each in enumerate(instances):
        if not isinstance(each, str):
            raise InvalidInputError(f"instances[{index}]", each, "this model takes texts")
    return list(instances)


def from_tensors(inputs: Sequence[Tensor]) -> list[str]:
    """Return the texts of a V2 request: one input `text` of datatype BYTES and shape [n] or [n, 1]."""
    names = [each.name for each in inputs]
    if names != [INPUT]:
        raise InvalidInputError("inputs", ", ".join(names), f"this model takes one input, named {INPUT}")
    (given,) = inputs
    if given.datatype != "BYTES":
        raise InvalidInputError(f"{INPUT}.datatype", given.datatype, "this model takes BYTES")
    if given.array.ndim not in {1, 2} or given.shape[1:] not in {(), (1,)}:
        raise InvalidInputError(f"{INPUT}.shape", list(given.shape), "this model takes shape [n] or [n, 1]")
    return [_text(index, each) for index, each in enumerate(given.array.ravel().tolist())]


def batches(texts: Sequence[str], size: int) -> Iterator[list[int]]:
    """Give the positions of texts that belong together, long with long: a batch costs what its longest text costs."""
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _text(index: int, value: object) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"{INPUT}[{index}]", value, "this model takes texts in UTF-8") from error
    return str(value)

"""What a loaded model is to the endpoints, whichever framework it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:  # numpy costs 60 ms, which the endpoints do not pay before they listen
    from torpor.protocol.tensors import Tensor


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output as the metadata endpoint describes it; -1 in the shape is any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """What goes in and what comes out."""

    platform: str
    """As the Open Inference Protocol writes it: `<project>_<format>`, for instance `sklearn_skops`."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Model(Protocol):
    """An open model. Its methods block and run in worker threads, several at a time."""

    @property
    def signature(self) -> Signature:
        """What goes in and what comes out."""

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        """Return one JSON-like prediction per instance (V1); raises InvalidInputError naming `instances`."""

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the output tensors (V2); raises InvalidInputError naming the input, its value, what is allowed."""

    def warm(self) -> None:
        """Run once on made-up input, so that the first request does not pay for it."""

    def close(self) -> None:
        """Give memory and files back."""


@runtime_checkable
class CountsTokens(Protocol):
    """A model that may know how many tokens it is at work on; called from another thread than its other methods."""

    def tokens_in_flight(self) -> float | None:
        """Return how many these are at present; None where it does not know."""

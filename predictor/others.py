"""What the code of one model may do with the other models of its pod."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from predictor.model import Signature
from torpor.errors import UnsupportedError

if TYPE_CHECKING:  # numpy costs 60 ms
    from torpor.protocol.tensors import Tensor

T = TypeVar("T")

Ask = Callable[[str, str, "Sequence[Tensor]", Mapping[str, Any]], "Coroutine[Any, Any, Sequence[Tensor]]"]
"""(model, version or empty, inputs, parameters) to outputs, on the event loop."""


class Described(NamedTuple):
    """What a model is."""

    signature: Signature
    configuration: Mapping[str, Any]
    """Of Triton's kind; empty where it has none."""


class Neighbours(Protocol):
    """What the code of a model may do with the others."""

    def described(self, name: str, version: str) -> Described:
        """Return what a model is; blocks, raises as `Served.require` does."""

    def wait(self, work: Callable[[Ask], Coroutine[Any, Any, T]]) -> T:
        """Run on the event loop what asks others; blocks. From any thread but the loop's."""

    def stream(
        self, name: str, version: str, inputs: Sequence[Tensor], parameters: Mapping[str, Any]
    ) -> Generator[Sequence[Tensor], None, None]:
        """Give the answers of a model that answers bit by bit, or the one of another; blocks between them."""


class Here:
    """The others that models of this process may ask: one for all, as the module is by which models' code asks."""

    def __init__(self) -> None:
        self.neighbours: Neighbours | None = None

    def require(self) -> Neighbours:
        """Return them; raises UnsupportedError where there are none."""
        if self.neighbours is None:
            raise UnsupportedError("there are no other models here to ask: this one is in a process of its own")
        return self.neighbours


here = Here()

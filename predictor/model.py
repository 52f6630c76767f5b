"""What a loaded model is to the endpoints, whichever framework it comes from."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from torpor.errors import ModelError

if TYPE_CHECKING:  # numpy costs 60 ms, which the endpoints do not pay before they listen
    from predictor.batching.options import Batching
    from predictor.batching.sequencing import Sequencing
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


@runtime_checkable
class TakesParameters(Protocol):
    """A model that knows some of the parameters that come with a request."""

    def predict_with(self, instances: Sequence[Any], parameters: Mapping[str, Any]) -> Sequence[Any]:
        """As `predict`; raises InvalidInputError naming `parameters.NAME` for a value that is not allowed."""

    def infer_with(self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]) -> Sequence[Tensor]:
        """As `infer`; raises InvalidInputError naming `parameters.NAME` for a value that is not allowed."""


@runtime_checkable
class Explains(Protocol):
    """A model that may be able to say why."""

    @property
    def explains(self) -> bool:
        """Whether it is."""

    def explain(self, instances: Sequence[Any]) -> Sequence[Any]:
        """Return one JSON-like explanation per instance (V1); raises InvalidInputError naming `instances`."""


@runtime_checkable
class Streams(Protocol):
    """A model that may be able to answer bit by bit."""

    @property
    def streams(self) -> bool:
        """Whether it is."""

    def stream(
        self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]
    ) -> Generator[Sequence[Tensor], None, None]:
        """Give the output tensors of one answer after the other; blocks between them. Closed early, it stops."""


@runtime_checkable
class NamesClasses(Protocol):
    """A model whose outputs' values are those of classes with names."""

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """By output, the names of its classes in order; outputs without names are not in it."""


@runtime_checkable
class Batches(Protocol):
    """A model that may say how its requests become batches."""

    @property
    def batching(self) -> Batching | None:
        """By which rules; None: each is computed alone."""


@runtime_checkable
class Sequenced(Protocol):
    """A model that may be stateful."""

    @property
    def sequencing(self) -> Sequencing | None:
        """How its sequences are executed; None: no request belongs to another."""


@runtime_checkable
class KeepsAnswers(Protocol):
    """A model that says whether its answers may be kept."""

    @property
    def keeps_answers(self) -> bool:
        """Whether the same request always has the same answer."""


@runtime_checkable
class Configured(Protocol):
    """A model with a configuration of Triton's."""

    @property
    def configuration(self) -> Mapping[str, Any]:
        """The fields of its ModelConfig."""


@runtime_checkable
class AsksOthers(Protocol):
    """A model that may ask other models of its pod."""

    @property
    def asks_others(self) -> bool:
        """Whether it may."""


@runtime_checkable
class SaysVersion(Protocol):
    """A model whose files say which version it is."""

    @property
    def version(self) -> str:
        """The version, not empty."""


@runtime_checkable
class RunsApart(Protocol):
    """A model that is computed in processes of its own, which may end and are started again. Used by any thread."""

    @property
    def trouble(self) -> str:
        """Why it answers nothing at present, which may pass; empty if it does."""

    @property
    def processes(self) -> int:
        """How many can compute."""

    @property
    def restarts(self) -> Mapping[str, int]:
        """How many have ended that were needed, by reason."""

    def pids(self) -> list[int]:
        """Return the numbers of those that run."""


@dataclass(frozen=True, slots=True)
class HandlerRequest:
    """A request as TorchServe's handlers get it."""

    parts: Mapping[str, Any]
    """By name: octets, texts, or what JSON holds; a body that has no parts is called `body`."""
    headers: Mapping[str, str]
    id: str


@dataclass(frozen=True, slots=True)
class HandlerAnswer:
    """What a handler answers to one request, to be sent as it is."""

    body: bytes
    media_type: str
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class HandlerError(ModelError):
    """A handler failed, or refused a request; `status` is what TorchServe's clients are told."""

    def __init__(self, message: str, status: int = 503) -> None:
        self.status = status
        super().__init__(message)


@runtime_checkable
class Handles(Protocol):
    """A model that takes whole requests, whatever is in them, and makes whole answers."""

    def handle(self, requests: Sequence[HandlerRequest], *, explain: bool = False) -> Sequence[HandlerAnswer]:
        """Return one answer for each request, in order; raises HandlerError."""


@runtime_checkable
class HandlesInParts(Protocol):
    """A model whose handler may send an answer bit by bit."""

    @property
    def sends_parts(self) -> bool:
        """Whether it does."""

    def handle_in_parts(
        self, request: HandlerRequest, *, explain: bool = False
    ) -> Generator[HandlerAnswer, None, None]:
        """Give the parts of one answer as they come: status, media type and headers are the first one's.

        Blocks between them; raises HandlerError. Closed early, the handler is told when it sends one more.
        """

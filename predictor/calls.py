"""What is asked of a model, once a protocol has read a request and before it writes the answer.

A protocol is a generator: it yields the call, gets what the model answers, and returns what goes to the client. So one
text reads, asks and writes, and whoever runs it may ask the model on another thread, or for several requests at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from predictor.model import HandlerAnswer, HandlerRequest

if TYPE_CHECKING:  # numpy costs 60 ms, which the endpoints do not pay before they listen
    from predictor.loading.held import Held
    from torpor.protocol.inference import InferRequest
    from torpor.protocol.tensors import Tensor

T = TypeVar("T")

RESERVED = frozenset({"priority", "timeout"})
"""Parameters that are about waiting, no business of a model's, and change nothing in an answer."""


class Call(Protocol):
    """One request to a model."""

    @property
    def rows(self) -> int:
        """How many inferences it counts as."""

    def alone(self, held: Held) -> Any:
        """Return what the model answers to it; blocks, raises what the model raises."""


Computing = Generator[Call, Any, T]
"""Yields one call, or none, and gets its answer; what the model raises is raised in it. Returns the client's answer."""


@dataclass(slots=True)
class Predict:
    """V1: one JSON-like prediction for each instance."""

    instances: Sequence[Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return len(self.instances)

    def alone(self, held: Held) -> Sequence[Any]:
        if self.parameters and held.takes_parameters is not None:
            return held.takes_parameters.predict_with(self.instances, self.parameters)
        return held.model.predict(self.instances)


@dataclass(slots=True)
class Explain:
    """V1: one JSON-like explanation for each instance."""

    instances: Sequence[Any]

    @property
    def rows(self) -> int:
        return len(self.instances)

    def alone(self, held: Held) -> Sequence[Any]:
        assert held.explains is not None  # noqa: S101  # who calls has asked
        return held.explains.explain(self.instances)


@dataclass(slots=True)
class Infer:
    """V2: tensors in, tensors out. `checked` in predictor/endpoints/v2compute.py makes it."""

    request: InferRequest
    slot: int | None = None
    """Of a sequence with a place of its own in every batch: which."""

    @property
    def rows(self) -> int:
        """Of the first input's first axis: what Triton counts as inferences."""
        shape = self.request.inputs[0].shape
        return shape[0] if shape else 1

    def alone(self, held: Held) -> Sequence[Tensor]:
        if self.request.parameters and held.takes_parameters is not None:
            return held.takes_parameters.infer_with(self.request.inputs, self.request.parameters)
        return held.model.infer(self.request.inputs)


@dataclass(slots=True)
class Handle:
    """TorchServe: a whole request to a handler, and its whole answer."""

    request: HandlerRequest
    explain: bool = False

    @property
    def rows(self) -> int:
        return 1

    def alone(self, held: Held) -> HandlerAnswer:
        assert held.handles is not None  # noqa: S101  # who calls has asked
        (answer,) = held.handles.handle([self.request], explain=self.explain)
        return answer


class NoAnswerError(Exception):
    """A protocol has yielded twice: a bug of ours."""


def computed(computing: Computing[T], ask: Callable[[Call], Any]) -> T:
    """Run a protocol from the first step to the last; `ask` asks the model."""
    call, result = started(computing)
    if call is None:
        return result  # type: ignore[return-value]  # then it has ended by this
    try:
        answer = ask(call)
    except Exception as error:  # also a StopIteration of the model's own, which a generator takes for ours
        return failed(computing, error)
    return written(computing, answer)


def started(computing: Computing[T]) -> tuple[Call | None, T | None]:
    """Return the call, or, where there is none, what goes to the client."""
    try:
        return next(computing), None
    except StopIteration as ended:
        return None, ended.value


def written(computing: Computing[T], answer: Any) -> T:
    """Return what goes to the client for what the model has answered."""
    return _ended(computing, computing.send, answer)


def failed(computing: Computing[T], error: Exception) -> T:
    """Let the protocol know what the model has raised; raises it, or what the protocol makes of it."""
    if isinstance(error, StopIteration):
        computing.close()
        raise error
    return _ended(computing, computing.throw, error)


def _ended(computing: Computing[T], step: Callable[[Any], Any], given: Any) -> T:
    """Take the last step; raises NoAnswerError where it was not the last."""
    try:
        step(given)
    except StopIteration as ended:
        result: T = ended.value
        return result
    computing.close()
    raise NoAnswerError

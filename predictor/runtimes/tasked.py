"""What the models of the tasks have in common: both protocols, with parameters, in one method of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from predictor.model import Signature
from torpor.protocol.tensors import Tensor

Given = TypeVar("Given")
Answer = TypeVar("Answer")


class Tasked(ABC, Generic[Given, Answer]):
    """Fits `Model` and `TakesParameters`; a task says how to read, how to compute, and how to write."""

    @property
    @abstractmethod
    def signature(self) -> Signature:
        """What goes in and what comes out."""

    @abstractmethod
    def from_instances(self, instances: Sequence[Any]) -> list[Given]:
        """Read a V1 request."""

    @abstractmethod
    def from_tensors(self, inputs: Sequence[Tensor]) -> list[Given]:
        """Read a V2 request."""

    @abstractmethod
    def compute(self, given: Sequence[Given], parameters: Mapping[str, Any]) -> list[Answer]:
        """Return one answer each."""

    @abstractmethod
    def to_predictions(self, answers: Sequence[Answer]) -> list[Any]:
        """Write a V1 answer."""

    @abstractmethod
    def to_tensors(self, answers: Sequence[Answer]) -> tuple[Tensor, ...]:
        """Write a V2 answer."""

    @abstractmethod
    def warm(self) -> None:
        """Run once on made-up input."""

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        return self.predict_with(instances, {})

    def predict_with(self, instances: Sequence[Any], parameters: Mapping[str, Any]) -> Sequence[Any]:
        return self.to_predictions(self.compute(self.from_instances(instances), parameters))

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        return self.infer_with(inputs, {})

    def infer_with(self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]) -> Sequence[Tensor]:
        return self.to_tensors(self.compute(self.from_tensors(inputs), parameters))

    def close(self) -> None:
        """Nothing: the weights go with the object."""

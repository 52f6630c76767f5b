"""A model together with what must be given back when it is closed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from predictor.model import CountsTokens, Model, Signature

if TYPE_CHECKING:
    from torpor.protocol.tensors import Tensor


class Held:
    """Fits `Model`."""

    def __init__(self, model: Model, resources: ExitStack) -> None:
        """`resources` closes the model, then gives back its files."""
        self._model = model
        self._resources = resources

    @property
    def signature(self) -> Signature:
        return self._model.signature

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        return self._model.predict(instances)

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        return self._model.infer(inputs)

    def warm(self) -> None:
        self._model.warm()

    def tokens_in_flight(self) -> float | None:
        return self._model.tokens_in_flight() if isinstance(self._model, CountsTokens) else None

    def close(self) -> None:
        self._resources.close()

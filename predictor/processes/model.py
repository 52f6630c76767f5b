"""A model whose methods are computed by processes, with the abilities that it has there."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from predictor.model import HandlerAnswer, HandlerRequest, Model, Signature
from predictor.processes import asking
from predictor.processes.description import Description
from predictor.processes.messages import Message
from predictor.processes.pool import Pool

if TYPE_CHECKING:
    from predictor.batching.options import Batching
    from torpor.protocol.tensors import Tensor


class ModelApart:
    """Fits `Model` and `RunsApart`, and those abilities that say themselves whether they are there."""

    def __init__(self, pool: Pool, description: Description) -> None:
        """`pool` has been started, and is closed with the model."""
        self._pool = pool
        self._description = description

    @property
    def signature(self) -> Signature:
        return self._description.signature

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        return self._description.labels

    @property
    def batching(self) -> Batching | None:
        batching = self._description.batching
        return batching and replace(batching, instances=max(batching.instances, self._pool.count))

    @property
    def explains(self) -> bool:
        return self._description.explains

    @property
    def streams(self) -> bool:
        return self._description.streams

    @property
    def sends_parts(self) -> bool:
        return self._description.sends_parts

    @property
    def trouble(self) -> str:
        return self._pool.trouble

    @property
    def processes(self) -> int:
        return self._pool.processes

    @property
    def restarts(self) -> Mapping[str, int]:
        return self._pool.restarts

    def pids(self) -> list[int]:
        return self._pool.pids()

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        return self._rows(asking.predict(instances))

    def explain(self, instances: Sequence[Any]) -> Sequence[Any]:
        return self._rows(asking.explain(instances))

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        return self._pool.call(asking.infer(inputs), asking.tensors)

    def stream(
        self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]
    ) -> Generator[Sequence[Tensor], None, None]:
        with contextlib.closing(self._pool.steps(asking.stream(inputs, parameters), asking.tensors)) as steps:
            yield from steps

    def handle_in_parts(
        self, request: HandlerRequest, *, explain: bool = False
    ) -> Generator[HandlerAnswer, None, None]:
        asked = asking.handle([request], explain=explain, kind=asking.PARTS)
        with contextlib.closing(self._pool.steps(asked, asking.handled)) as steps:
            for (each,) in steps:
                yield each

    def warm(self) -> None:
        """Nothing: it is, in every process, before it is here."""

    def close(self) -> None:
        """End the processes."""
        self._pool.close()

    def _rows(self, message: Message) -> Sequence[Any]:
        return self._pool.call(message, asking.rows)


class _TakingParameters(ModelApart):
    def predict_with(self, instances: Sequence[Any], parameters: Mapping[str, Any]) -> Sequence[Any]:
        return self._rows(asking.predict(instances, parameters))

    def infer_with(self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]) -> Sequence[Tensor]:
        return self._pool.call(asking.infer(inputs, parameters), asking.tensors)


class _Handling(ModelApart):
    def handle(self, requests: Sequence[HandlerRequest], *, explain: bool = False) -> Sequence[HandlerAnswer]:
        return self._pool.call(asking.handle(requests, explain=explain), asking.handled)


class _SayingVersion(ModelApart):
    @property
    def version(self) -> str:
        return self._description.version


class _Configured(ModelApart):
    @property
    def configuration(self) -> Mapping[str, Any]:
        return self._description.configuration or {}


def model_of(pool: Pool, description: Description) -> Model:
    """Return the model of a pool that has been started: what it can do, it can do here, and nothing else."""
    abilities = (
        (_TakingParameters, description.takes_parameters),
        (_Handling, description.handles),
        (_SayingVersion, bool(description.version)),
        (_Configured, description.configuration is not None),
    )
    bases = tuple([each for each, has_it in abilities if has_it]) or (ModelApart,)
    kind: type[ModelApart] = type(ModelApart.__name__, bases, {})
    return kind(pool, description)

"""The models of a pod, to those of them that ask others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from predictor.calls import Computing, Infer
from predictor.execution import Execution
from predictor.loading.held import Held
from predictor.models import Models
from predictor.others import Ask, Described
from predictor.workers import Workers

if TYPE_CHECKING:
    from torpor.protocol.tensors import Tensor

T = TypeVar("T")


class PodNeighbours:
    """Fits `Neighbours`: the models of this process, by the same queues and batches as requests from outside."""

    def __init__(self, models: Models, execution: Execution, workers: Workers) -> None:
        """Made on the event loop."""
        self._models = models
        self._execution = execution
        self._workers = workers
        self._loop = asyncio.get_running_loop()

    def described(self, name: str, version: str) -> Described:
        async def find() -> Described:
            served = self._models.find(name, version or None)
            return Described(await served.described(), served.configuration or {})

        return self._waited(find())

    def wait(self, work: Callable[[Ask], Coroutine[Any, Any, T]]) -> T:
        return self._waited(work(self.ask))

    async def ask(
        self, name: str, version: str, inputs: Sequence[Tensor], parameters: Mapping[str, Any]
    ) -> Sequence[Tensor]:
        from torpor.protocol.inference import InferRequest  # noqa: PLC0415  # numpy comes with it

        served = self._models.find(name, version or None)
        if served.is_away:
            await served.present()
        request = InferRequest(tuple(inputs), parameters=dict(parameters))
        with served.used() as held:
            length = sum(each.array.nbytes for each in inputs)
            return await self._execution.run(served, held, lambda: _asked(request), length)

    def stream(
        self, name: str, version: str, inputs: Sequence[Tensor], parameters: Mapping[str, Any]
    ) -> Generator[Sequence[Tensor], None, None]:
        async def take() -> tuple[Held, AbstractContextManager[Held]]:
            served = self._models.find(name, version or None)
            if served.is_away:
                await served.present()
            use = served.used()
            return use.__enter__(), use

        async def leave() -> None:
            use.__exit__(None, None, None)

        held, use = self._waited(take())
        try:
            if held.streams is not None:
                yield from held.streams.stream(inputs, parameters)
            else:
                yield self.wait(lambda ask: ask(name, version, inputs, parameters))
        finally:
            self._waited(leave())

    def _waited(self, work: Coroutine[Any, Any, T]) -> T:
        # A thread that waits computes nothing: another may, or all of them could wait for one that is not there.
        with self._workers.lent():
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _asked(request: Any) -> Computing[Sequence[Tensor]]:
    answer: Sequence[Tensor] = yield Infer(request)
    return answer

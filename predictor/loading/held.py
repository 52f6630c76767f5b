"""A model, what it can do beyond what all can, and what must be given back when it is closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from predictor.batching.options import Batching
from predictor.model import (
    AsksOthers,
    Batches,
    Configured,
    CountsTokens,
    Explains,
    Handles,
    HandlesInParts,
    KeepsAnswers,
    Model,
    NamesClasses,
    RunsApart,
    SaysVersion,
    Sequenced,
    Signature,
    Streams,
    TakesParameters,
)

if TYPE_CHECKING:
    from predictor.batching.batcher import Batcher
    from predictor.batching.sequences import Sequences
    from predictor.cache import ResponseCache


class Held:
    """An open model. Its abilities are looked up once: to ask a Protocol costs 10 µs, each time."""

    def __init__(
        self,
        model: Model,
        resources: ExitStack | None = None,
        batching: Batching | None = None,
        cache_bytes: int = 0,
    ) -> None:
        """`resources` closes the model, then gives back its files. `batching` goes before what the model says.

        So many bytes of answers are kept for requests that come again.
        """
        self.model = model
        self.signature = model.signature
        self.outputs = tuple([each.name for each in self.signature.outputs])
        self.takes_parameters = model if isinstance(model, TakesParameters) else None
        self.explains = model if isinstance(model, Explains) and model.explains else None
        self.streams = model if isinstance(model, Streams) and model.streams else None
        self.handles = model if isinstance(model, Handles) else None
        self.sends_parts = model if isinstance(model, HandlesInParts) and model.sends_parts else None
        self.apart = model if isinstance(model, RunsApart) else None
        self.counts_tokens = model if isinstance(model, CountsTokens) else None
        self.labels: Mapping[str, Sequence[str]] = model.labels if isinstance(model, NamesClasses) else {}
        self.configuration = model.configuration if isinstance(model, Configured) else None
        self.asks_others = isinstance(model, AsksOthers) and model.asks_others
        """It waits for the event loop, which must not wait for it."""
        self.version = model.version if isinstance(model, SaysVersion) else None
        self.batching = batching or (model.batching if isinstance(model, Batches) else None)
        """How requests become batches; None: each is computed alone."""
        self.sequencing = model.sequencing if isinstance(model, Sequenced) else None
        """Of a stateful model."""
        self.sequences: Sequences | None = None
        """Those at work; whoever computes makes it when it is first needed."""
        self.joins = _joins(model.signature)
        self.batcher: Batcher | None = None
        """Who does so; whoever computes makes it when it is first needed."""
        may_keep = not isinstance(model, KeepsAnswers) or model.keeps_answers
        self.cache = _cache(cache_bytes) if cache_bytes and may_keep else None
        """Answers that are kept."""
        self._resources = resources

    def close(self) -> None:
        """Give memory and files back; blocks."""
        if self._resources is not None:
            self._resources.close()


def _joins(signature: Signature) -> bool:
    """Tell whether tensors may be joined along the first axis: it counts rows, as many as one likes, everywhere."""
    return all(each.shape[:1] == (-1,) for each in (*signature.inputs, *signature.outputs))


def _cache(most_bytes: int) -> ResponseCache:
    from predictor.cache import ResponseCache  # noqa: PLC0415  # few have one

    return ResponseCache(most_bytes)

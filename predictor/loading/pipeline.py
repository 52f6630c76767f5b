"""Turn a URI into a warm model: resolve, fetch, verify, open, warm."""

from __future__ import annotations

from predictor.loading.progress import Progress
from predictor.loading.source import Source
from predictor.model import Model
from torpor.aio.clock import Clock


async def load(source: Source, progress: Progress, clock: Clock) -> Model:
    """Return the model, open and warm; raises LoadError. `progress` says how it goes, and ends ready or failed."""
    raise NotImplementedError

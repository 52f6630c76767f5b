"""Open a model in processes of its own: what a load does where it would open it here."""

from __future__ import annotations

from predictor.loading.source import Source
from predictor.model import Model
from predictor.processes.model import model_of
from predictor.processes.pool import Pool
from predictor.processes.process import Order
from predictor.runtimes.runtime import Files


class Opening:
    """Of one model, once."""

    def __init__(self, source: Source, files: Files) -> None:
        order = Order(source.format, files, source.processes)
        self._pool = Pool(source.name, order, source.processes, source.call_timeout_s)

    def model(self) -> Model:
        """Return it, warm; blocks, raises LoadError."""
        return model_of(self._pool, self._pool.start())

    def stop(self) -> None:
        """Have `model` raise, soon; from any thread."""
        self._pool.stop()

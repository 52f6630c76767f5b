"""What is to be loaded, as the pod was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from predictor.batching.options import Batching
from predictor.storage.settings import StorageSettings


@dataclass(frozen=True, slots=True)
class Source:
    """One model. `read` in predictor/storage/settings.py makes `storage` from the environment."""

    name: str
    format: str
    uri: str
    model_dir: Path
    """Where what cannot be used in place is put, in a folder of its own, for as long as the model is open."""
    allow_pickle: bool = False
    storage: StorageSettings = field(default_factory=StorageSettings)
    batching: Batching | None = None
    """How its requests become batches; None: as the model itself says."""
    cache_bytes: int = 0
    """Of answers that are kept for requests that come again."""
    without: tuple[str, ...] = ()
    """Folders below the place, each with a slash, that are not the model's: other versions of it."""
    processes: int = 0
    """Of its own, by which it is computed, each with the whole model; 0: it is computed in the server's."""
    call_timeout_s: float = 0.0
    """After which a process that has not answered is ended; 0: never."""

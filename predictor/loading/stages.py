"""The five stages of a load. Each is a function from one frozen dataclass to the next, so none can be left out.

They block. What is common to them (time, threads, trying again, cleaning up) is the pipeline's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from predictor.loading.source import Source
from predictor.model import Model
from predictor.runtimes import registry
from predictor.runtimes.runtime import Files, Runtime
from predictor.storage import schemes
from predictor.storage.place import File, Place, Stop
from torpor.errors import LoadError


@dataclass(frozen=True, slots=True)
class Located:
    """Which files make the model, and where they are."""

    runtime: Runtime
    place: Place
    files: tuple[File, ...]
    folder: Path | None
    """Where they lie already, if on this machine."""
    allow_pickle: bool
    scratch: Path

    @property
    def to_fetch(self) -> int:
        """Bytes that must come from elsewhere."""
        return 0 if self.folder else sum(each.size for each in self.files)


@dataclass(frozen=True, slots=True)
class Fetched:
    """All files are on this machine."""

    runtime: Runtime
    files: Files


@dataclass(frozen=True, slots=True)
class Verified:
    """They are complete, sound, and of a kind that may be opened."""

    runtime: Runtime
    files: Files


@dataclass(frozen=True, slots=True)
class Opened:
    """The model is in memory, and has never been asked."""

    model: Model


def resolve(source: Source, runtime: Runtime) -> Located:
    """Look at the place and choose the files: what is missing or may not be opened is known before any is fetched."""
    place = schemes.place(source.uri, source.storage)
    listing = place.look()
    names = [each.path for each in listing.files if not each.path.startswith(source.without)]
    chosen = set(runtime.choose(names, allow_pickle=source.allow_pickle))
    files = tuple(each for each in listing.files if each.path in chosen)
    return Located(runtime, place, files, listing.folder, source.allow_pickle, source.model_dir)


def fetch(located: Located, folder: Path, received: Callable[[int], None], stop: Stop) -> Fetched:
    """Put the files into `folder`, unless they can be used where they are."""
    if located.folder is None:
        _check_space(located.to_fetch, folder)
        located.place.fetch(located.files, folder, received, stop)
    names = tuple(each.path for each in located.files)
    return Fetched(located.runtime, Files(located.folder or folder, names, located.allow_pickle, located.scratch))


def verify(fetched: Fetched) -> Verified:
    """Check headers and configuration before anything is opened."""
    fetched.runtime.verify(fetched.files)
    return Verified(fetched.runtime, fetched.files)


def open_(verified: Verified) -> Opened:
    """Make the model."""
    return Opened(verified.runtime.open(verified.files))


def warm(opened: Opened) -> Model:
    """Ask it once."""
    opened.model.warm()
    return opened.model


def _check_space(needed: int, folder: Path) -> None:
    have = sum(each.stat().st_size for each in folder.rglob("*"))  # of an earlier try
    free = shutil.disk_usage(folder).free
    if needed - have > free:
        raise LoadError(
            "fetch",
            f"the model needs {needed / 1e6:,.0f} MB in {folder.parent}, and {free / 1e6:,.0f} MB are free;"
            " free some space, or set TORPOR_MODEL_DIR to a larger disk",
        )


def runtime(source: Source) -> Runtime:
    """Return the framework for the source's format; raises UnsupportedError if it is unknown or not installed."""
    found = registry.runtime(source.format)
    registry.check_installed(source.format, found)
    return found

"""What a framework offers: which files it needs, whether they are sound, and the model they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from predictor.model import Model
from torpor.errors import ForbiddenError

ALLOW_PICKLE = "torpor.dev/allow-pickle"
PICKLES = frozenset({".pkl", ".pickle", ".joblib", ".bin", ".pt", ".pth", ".ckpt"})


@dataclass(frozen=True, slots=True)
class Files:
    """The chosen files, on this machine's disk."""

    folder: Path
    names: tuple[str, ...]
    allow_pickle: bool = False
    scratch: Path | None = None
    """Where a runtime may make folders, which go when its model is closed; None: where the system has such."""

    def path(self, name: str) -> Path:
        return self.folder / name


class Runtime(Protocol):
    """One framework. All methods block; they raise TorporError, or LoadError where the stage is another than theirs."""

    @property
    def requires(self) -> tuple[str, ...]:
        """The modules it cannot do without."""

    @property
    def extra(self) -> str:
        """The extra of the distribution that brings them; empty if the core has them."""

    @property
    def keeps_files(self) -> bool:
        """Whether the open model goes on reading its folder; what is only mapped stays without its name."""

    def choose(self, names: Sequence[str], *, allow_pickle: bool) -> tuple[str, ...]:
        """Return those of the files that are there which it needs, so that no others are fetched."""

    def prepare(self) -> None:
        """Import the framework: seconds, and so done beside the fetch. Again, or from another thread, it waits."""

    def verify(self, files: Files) -> None:
        """Raise unless the files are complete and sound, before any of them is opened."""

    def open(self, files: Files) -> Model:
        """Return the model."""


def refuse_pickle(name: str, better: str) -> ForbiddenError:
    """Return why a pickle is not opened, and both ways out."""
    return ForbiddenError(
        f"{name} is a pickle, and a pickle runs code when it is opened; save the model as {better}, "
        f'or trust where it comes from by annotating the InferenceService with {ALLOW_PICKLE}: "true"'
    )

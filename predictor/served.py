"""The one model of this process, as the endpoints see it: on its way, here, or never to come."""

from __future__ import annotations

from predictor.loading.progress import Progress
from predictor.model import Model
from torpor.errors import LoadError, NotFoundError, UnavailableError

VERSION = "1"
"""One process serves one version of one model; which revision that is, the Route says."""


class Served:
    """Belongs to the event loop."""

    def __init__(self, name: str, progress: Progress) -> None:
        self.name = name
        self.progress = progress
        self.model: Model | None = None
        """Set when it is warm."""
        self.is_ending = False
        """SIGTERM was received."""

    @property
    def is_ready(self) -> bool:
        return self.model is not None and not self.is_ending

    def check(self, name: str, version: str | None = None) -> None:
        """Raise NotFoundError unless this is the model, and the version, that is here."""
        if name != self.name:
            raise NotFoundError(f"model {name!r} is not here; this server has {self.name!r}")
        if version not in {None, VERSION}:
            raise NotFoundError(f"model {name!r} has no version {version!r}; it has {VERSION!r}")

    def require(self, name: str, version: str | None = None) -> Model:
        """Return the model; raises NotFoundError, LoadError, or UnavailableError while it loads."""
        self.check(name, version)
        if self.model is not None:
            return self.model
        error = self.progress.snapshot()["error"]
        if error:
            raise LoadError(error["stage"], f"{error['stage']}: {error['message']}")
        raise UnavailableError(f"model {name!r} is loading; /progress says how far it is")

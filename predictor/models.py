"""Which models are in this process, in which versions, and which of these is asked where a request names none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from predictor.loading.held import Held
from predictor.loading.progress import Progress
from predictor.served import Served
from torpor.errors import ConflictError, NotFoundError, UnavailableError


class Models:
    """Never empty: the model that the pod was made for stays, if only as one that was unloaded. Belongs to the loop."""

    def __init__(self, first: Served) -> None:
        self.first = first
        self.is_ending = False
        """SIGTERM was received."""
        self.needed: Sequence[Served] = (first,)
        """The pod is ready when all of these answer."""
        self._progress: Progress | None = None
        self._versions: dict[str, dict[str, Served]] = {first.name: {first.version: first}}
        self._defaults: dict[str, str] = {first.name: first.version}
        self._also: dict[str, str] = {}

    def __iter__(self) -> Iterator[Served]:
        for versions in self._versions.values():
            yield from versions.values()

    @property
    def is_ready(self) -> bool:
        """Whether the pod may get requests: the models that it was made for answer, and it is not ending."""
        is_started = self._progress is None or self._progress.state == "ready"
        return is_started and all(each.answers for each in self._awaited()) and not self.is_ending

    @property
    def progress(self) -> Progress:
        """How far the pod's start is."""
        return self.first.progress if self._progress is None else self._progress

    def check(self) -> None:
        """Raise why the pod may get no requests, unless it may: LoadError, UnavailableError, NotFoundError."""
        if self._progress is not None and self._progress.state == "loading":
            raise UnavailableError("models are loading; /progress says how far they are")
        for each in self._awaited():
            each.check()

    def _awaited(self) -> Iterator[Served]:
        """Give those that must answer: one of many may be sent away and the rest serve on."""
        is_one = len(self.needed) == 1 and len(self._versions) == 1
        return (each for each in self.needed if is_one or not each.is_unloaded)

    def names(self) -> list[str]:
        return list(self._versions)

    def versions(self, name: str) -> list[Served]:
        """Return all versions of a model, oldest first; raises NotFoundError."""
        found = self._versions.get(self._also.get(name, name))
        if found is None:
            there = ", ".join(map(repr, self._versions))
            raise NotFoundError(f"model {name!r} is not here; this server has {there}")
        return list(found.values())

    def find(self, name: str, version: str | None = None) -> Served:
        """Return this version of the model, or its default; raises NotFoundError unless it is known here."""
        versions = self._versions.get(name)
        if versions is None and name in self._also:
            return self.find(self._also[name], version)
        if versions is not None:
            served = versions.get(version or self._defaults[name])
            if served is not None:
                return served
        there = ", ".join(repr(each.version) for each in self.versions(name))
        raise NotFoundError(f"model {name!r} has no version {version!r}; it has {there}")

    def require(self, name: str, version: str | None = None) -> Held:
        """Return the model; raises NotFoundError, LoadError, or UnavailableError while it loads."""
        return self.find(name, version).require()

    def default(self, name: str) -> str:
        """Return the version that is asked where a request names none; raises NotFoundError."""
        self.versions(name)
        return self._defaults[self._also.get(name, name)]

    def add(self, served: Served) -> None:
        """Know one more; the first version of a name is its default. Raises ConflictError if it is known."""
        versions = self._versions.setdefault(served.name, {})
        if served.version in versions:
            raise ConflictError(f"model {served.name!r} has a version {served.version!r} already")
        versions[served.version] = served
        self._defaults.setdefault(served.name, served.version)

    def become(self, known: Sequence[Served], needed: Sequence[Served], progress: Progress) -> None:
        """Know these, at least one, instead of what the pod began with; `progress` is the pod's."""
        self._versions, self._defaults = {}, {}
        for each in known:
            self.add(each)
        self.first, self.needed, self._progress = known[0], tuple(needed), progress

    def name_also(self, name: str, model: str) -> None:
        """Let the model be asked by another name too, unless a model of its own has it."""
        self._also[name] = model

    def set_default(self, name: str, version: str) -> None:
        """Ask this version where a request names none; raises NotFoundError."""
        self._defaults[name] = self.find(name, version).version

    def remove(self, served: Served) -> None:
        """Forget a version; raises ConflictError for the default while there are others, as TorchServe does."""
        versions = self._versions[served.name]
        if len(versions) > 1 and self._defaults[served.name] == served.version:
            others = ", ".join(each for each in versions if each != served.version)
            raise ConflictError(
                f"version {served.version!r} is the default of model {served.name!r}; first make another that: {others}"
            )
        del versions[served.version]
        if not versions:
            del self._versions[served.name], self._defaults[served.name]

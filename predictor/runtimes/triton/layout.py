"""Which of a model's files are what: `config.pbtxt` and label files, and a folder for each version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from predictor.runtimes.triton.config import Config
from predictor.runtimes.triton.fields import FILE, WARMUP
from torpor.errors import InvalidInputError, NotFoundError


@dataclass(frozen=True, slots=True)
class Layout:
    """A model of a repository."""

    beside: tuple[str, ...]
    """The configuration, if it is there, and what lies beside it."""
    versions: dict[int, tuple[str, ...]]
    """Of each version its files, paths from the model's folder."""

    @property
    def has_config(self) -> bool:
        return FILE in self.beside

    @property
    def newest(self) -> int:
        return max(self.versions, default=1)  # of an ensemble nothing lies in the folder of its version

    @property
    def chosen(self) -> tuple[str, ...]:
        """The files of the version that is served by itself: the highest, as by Triton's own policy."""
        return (*self.beside, *self.versions.get(self.newest, ()))


def lay_out(names: Sequence[str]) -> Layout:
    """Return what is there; raises NotFoundError where that is no model, InvalidInputError where it is several."""
    beside = tuple(each for each in names if "/" not in each or each.startswith(f"{WARMUP}/"))
    versions: dict[int, list[str]] = {}
    for each in names:
        folder, slash, _ = each.partition("/")
        if slash and _is_version(folder):
            versions.setdefault(int(folder), []).append(each)
    if versions or FILE in beside:
        return Layout(beside, {version: tuple(files) for version, files in versions.items()})
    models = models_of(names)
    if models:
        allowed = "these are models of a repository, and a pod serves one: name its folder"
        raise InvalidInputError("storageUri", ", ".join(models), allowed)
    raise NotFoundError("there is no folder of a version, like 1/, as a model of Triton's has")


def models_of(names: Sequence[str]) -> list[str]:
    """Return the folders of models that a repository has: those with a configuration, or with a folder of a version."""
    found = set()
    for each in names:
        parts = each.split("/")
        if (len(parts) == 2 and parts[1] == FILE) or (len(parts) > 2 and _is_version(parts[1])):
            found.add(parts[0])
    return sorted(found)


def root(names: Sequence[str]) -> str:
    """Return where the model is: at the top, or in the one folder of a repository that has no other; with a slash."""
    models = models_of(names)
    return f"{models[0]}/" if len(models) == 1 and not is_model(names) else ""


def is_model(names: Sequence[str]) -> bool:
    """Tell whether this is the folder of a model, and not of a repository."""
    return FILE in names or bool(versions_of(names))


def versions_of(names: Sequence[str]) -> list[int]:
    """Return the versions that a model's folder has, by its files."""
    return sorted(
        {int(each.partition("/")[0]) for each in names if "/" in each and _is_version(each.partition("/")[0])}
    )


def _is_version(folder: str) -> bool:
    """Triton ignores folders that begin with a zero, and those that are no number."""
    return folder.isascii() and folder.isdecimal() and not folder.startswith("0")


def served(layout: Layout, config: Config) -> int:
    """Return the version that is opened, the highest that is here; raises InvalidInputError where others are meant.

    A pod sees to it that of several versions each is opened by itself.
    """
    versions = config.versions
    if versions.specific and layout.newest not in versions.specific:
        shown = ", ".join(map(str, versions.specific))
        allowed = f"the highest version that is there is {layout.newest}"
        raise InvalidInputError(f"{FILE}: version_policy.specific.versions", shown, allowed)
    return layout.newest

"""Which models a repository has, in which versions; decided by the names of its files and by its configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from predictor.runtimes.triton.config import Versions, read
from predictor.runtimes.triton.fields import FILE
from predictor.runtimes.triton.layout import is_model, models_of, versions_of
from torpor.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Found:
    """One version of one model."""

    name: str
    """Its folder's; empty where the place is the folder of the model itself."""
    version: int
    without: tuple[str, ...]
    """The folders of its other versions, each with a slash."""
    is_ensemble: bool = False


def configurations(names: Sequence[str]) -> list[str]:
    """Return which files `survey` needs the texts of."""
    if is_model(names):
        return [FILE] if FILE in names else []
    return [path for model in models_of(names) if (path := f"{model}/{FILE}") in set(names)]


def survey(names: Sequence[str], texts: Mapping[str, str]) -> list[Found]:
    """Return what is to be served, of each model its highest version last; raises InvalidInputError.

    A configuration that cannot be read is told when its model is loaded, which may be never.
    """
    if is_model(names):
        return _of("", names, texts.get(FILE))
    found = []
    for model in models_of(names):
        prefix = f"{model}/"
        inside = [each.removeprefix(prefix) for each in names if each.startswith(prefix)]
        found += _of(model, inside, texts.get(f"{model}/{FILE}"))
    return found


def _of(model: str, names: Sequence[str], text: str | None) -> list[Found]:
    policy, is_ensemble = _said(text)
    there = versions_of(names) or [1]  # object stores have no empty folders, and an ensemble has no file in its own
    chosen = policy.of(there)
    if not chosen:
        where = f"{model}/{FILE}" if model else FILE
        known = ", ".join(map(str, sorted(there)))
        shown = ", ".join(map(str, policy.specific))
        raise InvalidInputError(f"{where}: version_policy.specific.versions", shown, f"there is {known}")
    return [
        Found(model, version, tuple(f"{each}/" for each in there if each != version), is_ensemble)
        for version in reversed(chosen)
    ]


def _said(text: str | None) -> tuple[Versions, bool]:
    if text is None:
        return Versions(), False
    try:
        config = read(text)
    except InvalidInputError:
        return Versions(), False
    return config.versions, config.backend == "ensemble"

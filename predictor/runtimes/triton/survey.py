"""Which models a repository has, in which versions; decided by the names of its files and by its configurations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    needs: tuple[str, ...] = ()
    """The models that an ensemble asks."""


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
    policy, needs = _said(text)
    there = versions_of(names) or [1]  # object stores have no empty folders, and an ensemble has no file in its own
    chosen = policy.of(there)
    if not chosen:
        where = f"{model}/{FILE}" if model else FILE
        known = ", ".join(map(str, sorted(there)))
        shown = ", ".join(map(str, policy.specific))
        raise InvalidInputError(f"{where}: version_policy.specific.versions", shown, f"there is {known}")
    return [
        Found(model, version, tuple(f"{each}/" for each in there if each != version), needs)
        for version in reversed(chosen)
    ]


def _said(text: str | None) -> tuple[Versions, tuple[str, ...]]:
    if text is None:
        return Versions(), ()
    try:
        config = read(text)
    except InvalidInputError:
        return Versions(), ()
    return config.versions, tuple(dict.fromkeys(each.model for each in config.steps))


def in_order(found: Sequence[Found]) -> list[list[Found]]:
    """Return them in rounds: what an ensemble asks is in an earlier one. Raises InvalidInputError for a circle."""
    rounds: list[list[Found]] = []
    left, there = list(found), {each.name for each in found}
    while left:
        missing = {each.name for each in left}
        ready = [each for each in left if not missing.intersection(each.needs) & there]
        if not ready:
            circle = ", ".join(sorted(missing))
            raise InvalidInputError(
                f"{FILE}: ensemble_scheduling", circle, "ensembles cannot ask one another in a circle"
            )
        rounds.append(ready)
        left = [each for each in left if each not in ready]
    return rounds


def with_needed(names: Iterable[str], found: Sequence[Found]) -> set[str]:
    """Return these models, and those that they ask."""
    needs = {each.name: each.needs for each in found}
    wanted: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += [each for each in needs.get(name, ()) if each in needs]
    return wanted

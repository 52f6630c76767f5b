"""Which file of a folder is the model, where one file is all that a model is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from predictor.runtimes.runtime import refuse_pickle
from torpor.errors import InvalidInputError, NotFoundError

PICKLED = (".joblib", ".pkl", ".pickle")


def is_pickled(name: str) -> bool:
    return PurePosixPath(name).suffix in PICKLED


def choose(names: Sequence[str], kinds: Sequence[tuple[str, ...]], *, allow_pickle: bool, better: str) -> str:
    """Return the model's name: of the first of `kinds` (suffixes) that is there, or a pickle where nothing else is.

    Of several files of a kind the one called `model` wins. `better` is the file that is wanted, and how it is saved.
    """
    for suffixes in (*kinds, PICKLED):
        found = sorted(each for each in names if "/" not in each and PurePosixPath(each).suffix in suffixes)
        if not found:
            continue
        ours = [each for each in found if PurePosixPath(each).stem == "model"] or found
        if len(ours) > 1:
            raise InvalidInputError("storageUri", ", ".join(ours), "one model is needed; name its file in the URI")
        if suffixes is PICKLED and not allow_pickle:
            raise refuse_pickle(ours[0], better)
        return ours[0]
    known = ", ".join(suffix for kind in (*kinds, PICKLED) for suffix in kind)
    raise NotFoundError(f"there is no file that ends with {known}; save the model as {better}")

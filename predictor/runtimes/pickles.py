"""A model out of a pickle, opened only where its place is trusted."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

from torpor.errors import LoadError


def unpickled(path: Path) -> Any:
    """Return the object; raises LoadError. Runs whatever code the file wants to run."""
    # joblib reads plain pickles too, and people give its files any of the names; it comes with scikit-learn.
    has_joblib = importlib.util.find_spec("joblib") is not None
    try:
        if has_joblib:
            import joblib

            return joblib.load(path)
        with path.open("rb") as file:
            return pickle.load(file)  # noqa: S301  # choose() has refused it unless its place is trusted
    except Exception as error:  # whatever its code raises
        advice = "" if has_joblib else "; if joblib wrote it, pip install 'torpor[sklearn]'"
        raise LoadError("open", f"{path.name} cannot be unpickled: {type(error).__name__}: {error}{advice}") from error

"""A model out of a pickle, opened only where its place is trusted."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from torpor.errors import LoadError, UnsupportedError


def unpickled(path: Path) -> Any:
    """Return the object; raises LoadError. Runs whatever code the file wants to run."""
    try:
        if path.suffix == ".joblib":
            return _joblib(path)
        with path.open("rb") as file:
            return pickle.load(file)  # noqa: S301  # choose() has refused it unless its place is trusted
    except UnsupportedError:
        raise
    except Exception as error:  # whatever its code raises
        raise LoadError("open", f"{path.name} cannot be unpickled: {type(error).__name__}: {error}") from error


def _joblib(path: Path) -> Any:
    try:
        import joblib
    except ImportError as error:
        raise UnsupportedError(
            f"{path.name} needs joblib, not installed here; pip install 'torpor[sklearn]'"
        ) from error
    return joblib.load(path)

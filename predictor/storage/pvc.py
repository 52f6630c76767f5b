"""`pvc://CLAIM/PATH`: a PersistentVolumeClaim, which the pod finds below one root, used where it lies."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from predictor.storage.local import LocalPlace
from predictor.storage.place import safe_path
from torpor.errors import InvalidInputError


def pvc(uri: str, root: Path) -> LocalPlace:
    """Return the place: `ROOT/CLAIM/PATH`."""
    below = unquote(uri.removeprefix("pvc://")).rstrip("/")
    if not below or below.startswith("/"):
        raise InvalidInputError("storageUri", uri, "use pvc://CLAIM/PATH")
    return LocalPlace(uri, root / safe_path(below))

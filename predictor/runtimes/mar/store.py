"""Where in a model's place the archive is: alone, unpacked already, or in the model-store of KServe's TorchServe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from predictor.runtimes.mar.archive import TARRED
from predictor.runtimes.mar.manifest import MANIFEST
from torpor.errors import InvalidInputError, NotFoundError, TooLargeError
from torpor.protocol.document import brief

CONFIG = "config/config.properties"
STORE = "model-store"
_ARCHIVES = (".mar", *TARRED)
_LIMIT = 1024 * 1024
_ALL = {"", "all", "none", "n/a"}
"""What `load_models` says without naming one."""


def choose(names: Sequence[str]) -> tuple[str, ...]:
    """Return the files that are needed: one archive, or several that config.properties chooses from, or a folder's."""
    roots = sorted(each.removesuffix(MANIFEST) for each in names if _is_manifest(each))
    if roots:
        if len(roots) > 1:
            raise InvalidInputError("storageUri", ", ".join(roots), "one model is needed; name its folder in the URI")
        return tuple(each for each in names if each.startswith(roots[0]) and "__pycache__/" not in each)
    archives = [each for each in names if each.endswith(_ARCHIVES) and str(PurePosixPath(each).parent) in {".", STORE}]
    if not archives:
        raise NotFoundError(
            f"there is no model archive: a file that ends with {', '.join(_ARCHIVES)}, such files in {STORE}, "
            f"or a folder with {MANIFEST}"
        )
    return (*archives, *(each for each in names if each == CONFIG))


def archive(folder: Path, names: Sequence[str]) -> Path:
    """Return the archive, or the folder that is one unpacked, among the chosen files; raises InvalidInputError."""
    for each in names:
        if _is_manifest(each):
            return folder / each.removesuffix(MANIFEST)
    archives = [each for each in names if each.endswith(_ARCHIVES)]
    if len(archives) > 1:
        archives = _wanted(folder, names, archives)
    return folder / archives[0]


def properties(text: str) -> dict[str, str]:
    """Read a file of Java properties, as far as TorchServe's go: lines of `key=value`, `#` before remarks."""
    found = {}
    for line in text.replace("\\\n", "").splitlines():
        key, mark, value = line.strip().partition("=")
        if mark and not key.startswith(("#", "!")):
            found[key.strip()] = value.strip()
    return found


def _wanted(folder: Path, names: Sequence[str], archives: Sequence[str]) -> list[str]:
    """Return the one of several that config.properties loads at the start."""
    asked = _asked(folder / CONFIG) if CONFIG in names else set()
    wanted = [each for each in archives if PurePosixPath(each).name in asked]
    if len(wanted) != 1:
        allowed = f"one model is needed: name its file in the URI, or in load_models of {CONFIG}"
        raise InvalidInputError("storageUri", ", ".join(wanted or archives), allowed)
    return wanted


def _asked(path: Path) -> set[str]:
    """Return the file names that `model_snapshot` has, or else `load_models`."""
    if path.stat().st_size > _LIMIT:
        raise TooLargeError(f"{CONFIG} has more than {_LIMIT} bytes")
    given = properties(path.read_text("utf-8", "replace"))
    snapshot = given.get("model_snapshot", "")
    if snapshot:
        return _of_snapshot(snapshot)
    loaded = given.get("load_models", "")
    if loaded.lower() in _ALL:
        return set()
    # `name=file.mar`, or the file alone.
    return {each.rpartition("=")[2].strip() for each in loaded.split(",")}


def _of_snapshot(text: str) -> set[str]:
    where = f"{CONFIG}: model_snapshot"
    try:
        snapshot = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(where, brief(text), f"JSON is needed: {error}") from error
    found: set[str] = set()
    for name, versions in _object(where, _object(where, snapshot).get("models", {})).items():
        for version, said in _object(f"{where}.models.{name}", versions).items():
            file = _object(f"{where}.models.{name}.{version}", said).get("marName")
            if not isinstance(file, str):
                raise InvalidInputError(f"{where}.models.{name}.{version}.marName", brief(file), "a name is needed")
            found.add(file)
    return found


def _object(where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInputError(where, brief(value), "an object is needed")
    return value


def _is_manifest(name: str) -> bool:
    return name == MANIFEST or name.endswith(f"/{MANIFEST}")
